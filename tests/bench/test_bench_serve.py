"""`adaspark bench serve`: whole requests, conditions in turn, medians, one table of them all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trace_factory import make_trace

from adaspark.bench.serve import models
from adaspark.bench.serve import run as serve
from adaspark.bench.serve import table as serve_table
from adaspark.bench.serve.conditions import PHASES, Ran, Request
from adaspark.bench.serve.models import load, write_clip
from adaspark.errors import UserError
from adaspark.model import generation, vision
from adaspark.model.checkpoint import BUNDLED
from adaspark.model.features import Features

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("serve") / "clip.mp4", seconds=8)


@pytest.fixture(scope="module")
def request_(clip: Path) -> Request:
    return Request(load(BUNDLED, CPU), clip, 128, 3)


def test_each_way_takes_its_phases_and_writes_as_many_words(request_: Request) -> None:
    stock = request_.stock()
    silent = request_.ours(recorded=False)
    recorded = request_.ours(recorded=True, known=silent.features)
    assert stock.seconds.keys() == silent.seconds.keys() == set(PHASES)
    assert all(stock.seconds[name] > 0 for name in PHASES[:4])
    assert silent.trace is None and silent.text == recorded.text
    assert silent.features is not None and silent.seconds["vision"] > 0
    assert recorded.seconds["decode"] == recorded.seconds["vision"] == 0
    assert recorded.trace is not None and recorded.seconds["scene"] > 0
    tokens = recorded.trace.cube_from_token.size
    assert request_.tokens <= tokens < request_.tokens + 60
    answer = [word for word in recorded.trace.words if word.kind == "answer"]
    assert len(answer) == request_.words - 1  # the last one is never read again


def test_parity_sees_a_wrong_tower(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = vision.encode
    wrong = lambda *given: tuple(1.01 * features for features in usual(*given))  # noqa: E731
    monkeypatch.setattr(vision, "encode", wrong)
    name, error, limit = next(serve.parity(clip, CPU))
    assert name == "features" and error > limit


def ran(seconds: float, *, recorded: bool) -> Ran:
    trace = make_trace() if recorded else None
    known = Features(torch.zeros(1, 1), (1, 1, 1), [0.0, 0.5])
    return Ran(dict.fromkeys(PHASES, seconds), "", known, trace, 10**9)


class Canned:
    """Answers at once; says that it took 1, 2, ... seconds a phase."""

    def __init__(self) -> None:
        self.count = 0
        self.served = type("Served", (), {"config": models.CONFIG})()

    def stock(self) -> Ran:
        self.count += 1
        return ran(self.count, recorded=False)

    def ours(self, *, recorded: bool, **_: Any) -> Ran:
        self.count += 1
        return ran(self.count, recorded=recorded)

    def follow_ups(self, known: Features, count: int) -> list[float]:
        return [100.0, *(0.25 * number for number in range(1, count + 1))]


def test_arms_alternate_and_figures_are_medians() -> None:
    row = serve.measured(Canned(), 3)  # type: ignore[arg-type]
    assert row["first"] == {"stock": 6.0, "ours": 12.0, "recorded": 18.0}
    for condition, middle in {"stock": 7.0, "ours": 8.0, "recorded": 9.0}.items():
        assert row["seconds"][condition] == {
            **dict.fromkeys(PHASES, middle),
            "first_word": 3 * middle,
            "last_word": 4 * middle,
            "whole": 6 * middle,
        }
    assert row["follow_up"] == 0.5, "the first question filled the cache"
    assert row["slider_move"] == 6 * 13 and row["peak_gigabytes"]["stock"] == 1.0
    assert row["new_cube_shape"] == {"4x8x8": [6 * 15, 6 * 16], "2x4x4": [6 * 17, 6 * 18]}


@pytest.mark.parametrize("model, weights", [("7B", "random weights"), ("mini", "bundled model")])
def test_the_table_shows_every_arm(tmp_path: Path, model: str, weights: str) -> None:
    row = {"model": model, **serve.measured(Canned(), 1)}  # type: ignore[arg-type]
    used = {"accelerator": "none", "processor": "a processor", "torch": "2", "transformers": "5"}
    run = {"setting": {**used, "commit": "abc"}, "kernels": "numba, 512 bits", "repeats": 1}
    text = json.dumps({**run, "words": 64, "rows": [row]})
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    shown = serve_table.written(tmp_path)
    told_of = ("| stock |", "| ours |", "| ours, recorded |", "| 24.00 |", "a processor", "abc")
    for told in (*told_of, "another question its first word in 0.38 s"):
        assert told in shown
    assert weights in shown
    assert np.isfinite(row["attention_density"])


@pytest.mark.parametrize("wrong", [{"tokens": [100]}, {"repeats": 0}])
def test_what_cannot_be_timed_is_refused(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"tokens": None, "repeats": 1, "quick": True, "json_path": None}
    with pytest.raises(UserError, match="at least 256 tokens"):
        serve.run(**{**given, **wrong})


def test_another_question_is_read_alone(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its video is in the cache."""
    known = request_.ours(recorded=False).features
    assert known is not None
    written: list[Any] = []
    generate = generation.generate

    def watched(*given: Any, **named: Any) -> Any:
        written.append(generate(*given, **named))
        return written[-1]

    monkeypatch.setattr(generation, "generate", watched)
    found = request_.follow_ups(known, 2)
    assert found == [one.seconds["prefill"] for one in written] and len(found) == 3
    first, *others = (one.cached_tokens for one in written)
    assert not first and min(others) >= known.grid[0] * known.grid[1] * known.grid[2]


def test_more_tokens_show_more_frames(request_: Request) -> None:
    few = request_.served.sampling(request_.path, 128)
    many = request_.served.sampling(request_.path, 600)
    assert many == replace(few, max_frames=many.max_frames) and many.max_frames > few.max_frames
