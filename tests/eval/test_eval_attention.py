"""Fig. 1's question: where dense attention lies, how steadily the FFN moves tokens."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
from evaluated import context
from hypothesis import given
from hypothesis import strategies as st

from adaspark.errors import UserError
from adaspark.eval.attention import run as attention
from adaspark.eval.attention.report import failures, findings
from adaspark.eval.fidelity.compensation import recording_branches
from adaspark.eval.harness.clips import Length, mixed_clips
from adaspark.eval.harness.conditions import Condition
from adaspark.eval.harness.recorded_rows import KINDS, kinds_of, rows_of
from adaspark.eval.harness.runner import Record, RecordedBatch
from adaspark.eval.report.results import load
from adaspark.method.config import DENSE
from adaspark.method.selection import nucleus

PLAN = attention.Plan(items=2, lengths=("16x112", "16x84"), video_rows=5)


@cache
def folder() -> Path:
    place = Path(mkdtemp())
    running = context(place, PLAN)
    attention.run(PLAN, running)
    attention.draw(running.results)
    return place


@cache
def items() -> list[dict[str, Any]]:
    return load(folder()).items


@given(st.integers(1, 40), st.floats(0.02, 0.98), st.integers(0, 10**6))
def test_the_fewest_tokens_are_those_of_the_nucleus(tokens: int, share: float, seed: int) -> None:
    mass = torch.rand(3, tokens, generator=torch.Generator().manual_seed(seed)) + 1e-3
    (found,) = attention.tokens_to_mass(7 * mass, [share])
    expected = nucleus((mass / mass.sum(-1, keepdim=True)).double(), share).sum(-1)
    assert torch.equal(found, expected)


def test_even_attention_takes_as_many_tokens_as_it_has_mass() -> None:
    counts = attention.tokens_to_mass(torch.full((1, 100), 0.004), [0.505, 0.945])
    assert [int(count) for count in counts] == [51, 95]


@pytest.mark.long
def test_tokens_hold_what_their_cubes_hold() -> None:
    """The same queries, recorded by token and by cube."""
    recorded: list[RecordedBatch] = []
    clips = mixed_clips(Length(16, 112), items=1, families=["needle", "order"])
    runner = context(folder(), PLAN).runner
    record = Record(recorded.append, mass=True, video_rows=7)
    for condition in (attention.BY_TOKEN, Condition("dense", replace(DENSE, cube=(2, 3, 2)))):
        runner.observe(clips, condition, record)
    tokens, cubes = recorded
    for kind, wanted in kinds_of(tokens, 0).items():
        one, many = rows_of(tokens, 0, wanted), rows_of(cubes, 0, wanted)
        summed = torch.zeros_like(many.mass)
        summed = summed.index_add(-1, cubes.geometry.layout.cube_from_token, one.mass)
        torch.testing.assert_close(summed, many.mass, atol=1e-5, rtol=1e-4)
        assert torch.equal(one.visible.sum(-1), many.visible.sum(-1))
        assert 0 < float(one.mass.sum(-1).mean()) < 1, kind  # text holds some of it


def test_what_the_ffn_moves_is_what_its_modules_return() -> None:
    running = context(folder(), PLAN)
    clips = mixed_clips(Length(16, 84), items=PLAN.items)
    with recording_branches(running.runner.model) as branches:
        running.runner.observe(clips, attention.BY_TOKEN, Record(lambda _: None))
    inputs, outputs = branches.take(6)
    ratio = (outputs.norm(dim=-1) / inputs.norm(dim=-1))[:, :, -72:]  # the video ends the prefix
    stored = {item["key"][1]: item["ffn"]["video"] for item in items() if item["key"][0] == "16x84"}
    for row, clip in enumerate(clips):
        np.testing.assert_allclose(stored[clip.seed]["mean"], ratio[:, row].mean(-1), rtol=1e-3)
        np.testing.assert_allclose(stored[clip.seed]["variance"], ratio[:, row].var(-1), rtol=1e-3)


def test_more_mass_takes_more_tokens() -> None:
    assert items()
    for item in items():
        for kind in KINDS:
            held = [item["attention"][kind]["tokens"][share] for share in attention.SHARES]
            assert (np.diff(held, axis=0) >= 0).all() and 0 < np.min(held) <= np.max(held) <= 1


def test_a_finished_run_adds_nothing_and_a_spent_budget_says_what_is_left_out() -> None:
    again = context(folder(), PLAN, budget_secs=0)
    count = len(again.results.items)
    attention.run(PLAN, again)
    assert len(again.results.items) == count and "left_out" not in again.results.data
    more = context(Path(mkdtemp()), PLAN, budget_secs=0)
    attention.run(PLAN, more)
    assert set(more.results.data["left_out"]) == {"16x112", "16x84"} and not more.results.items


def test_the_page_is_drawn_from_saved_items() -> None:
    page = (folder() / "index.html").read_text("utf-8")
    assert "Fig. 1" in page and "Quoted (Q)" in page and "undecided" in page
    results = load(folder())
    attention.draw(results)
    assert (folder() / "index.html").read_text("utf-8") == page
    assert [figure.name for figure in results.figures] == [
        "attention_question", "attention_video", "attention_ffn",
    ]  # fmt: skip


def test_sentences_follow_the_numbers() -> None:
    even, steady = copy.deepcopy(items()[:4]), copy.deepcopy(items()[:4])
    for item in even:
        for kind in KINDS:
            item["attention"][kind]["tokens"]["0.95"] = [0.93] * 6
        item["ffn"]["text"] = item["ffn"]["video"]
    said = " ".join(failures(even))
    assert said.count("is not concentrated") == 3 and "layers 0, 1, 2, 3, 4 and 5" in said
    for item in steady:
        for kind in KINDS:
            item["attention"][kind]["tokens"]["0.95"] = [0.1, 0.2, 0.1, 0.1, 0.1, 0.1]
        item["ffn"]["text"]["variance"] = [9 * v for v in item["ffn"]["video"]["variance"]]
    assert not list(failures(steady))
    said = " ".join(findings(steady))
    assert "F is 9 in all layers" in said and "20.0 % in layer 1 (the layers differ)" in said


@pytest.mark.parametrize("wrong", [{"items": 0}, {"video_rows": 0}, {"lengths": ("16",)}])
def test_plans_that_ask_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        attention.Plan(**wrong)
