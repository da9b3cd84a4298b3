"""Runs beside the one in view: baselines, what is shown of both, and runs that give way."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from clips import write_clip
from fake_engine import FakeEngine, loading
from hypothesis import given
from hypothesis import strategies as st
from waiting import PATIENCE_SECS

from adaspark.method.config import AdaSparkConfig
from adaspark.trace.baselines import BASELINES
from app.media.samples import read_samples
from app.service.ablate import ablate
from app.service.compare import BASELINE_NAMES, UNLIKE, compare, compare_pinned
from app.service.messages import BesideMessage
from app.service.results import Finished
from app.service.service import Service
from app.service.settings import Settings
from app.service.side_by_side import GONE, marked, sides

DIALS = Settings(0.9, 0.7, 2, 2, 2, 0, 8)
OTHER = Settings(0.4, 0.7, 4, 2, 2, 0, 8)
VISITOR = "a"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def service(engine: FakeEngine, tmp_path: Path) -> Iterator[Service]:
    write_clip(tmp_path / "clip.mp4")
    (tmp_path / "clip.json").write_text(json.dumps({"items": [{"question": "why?"}]}))
    built = Service(loading(engine), tmp_path / "proxies", samples=read_samples(tmp_path))
    built.openings.choose_sample(VISITOR, "clip", DIALS)
    yield built
    built.close()


def asked(service: Service, question: str = "why?") -> Finished:
    key = list(service.ask(VISITOR, question, DIALS))[-1]["key"]
    finished = service.results.get(key)
    assert finished is not None
    return finished


def last(messages: Iterator[BesideMessage]) -> BesideMessage:
    return list(messages)[-1]


def test_every_baseline_has_its_name_on_the_page() -> None:
    assert tuple(BASELINE_NAMES) == BASELINES


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_answers_the_same_question_with_one_thing_changed(
    service: Service, engine: FakeEngine, name: str
) -> None:
    base = asked(service)
    message = last(compare(service, VISITOR, base.key, name))
    (path, question, before), (other_path, same_question, after) = engine.asked
    assert (path, question) == (other_path, same_question)
    assert (before.fps, before.max_new_tokens) == (after.fps, after.max_new_tokens)
    assert (after.max_frames == before.max_frames) == (name != "frames")
    assert (after.keep_tokens is None) == (name != "prune")
    assert after.config.is_dense == (name in ("dense", "frames", "prune"))
    other = service.results.get(message["key"])
    assert other is not None and other.key != base.key
    for side, finished in zip(message["sides"], (base, other), strict=True):
        assert "".join(piece["text"] for piece in side["answer"]) == finished.result.answer
        assert side["attention_density"] == finished.result.trace.attention_density
        assert side["tokens"] == len(finished.result.trace.cube_from_token)


def test_a_pruned_run_says_how_many_tokens_it_kept(service: Service) -> None:
    base = asked(service)
    ours, pruned = last(compare(service, VISITOR, base.key, "prune"))["sides"]
    tokens = len(base.result.trace.cube_from_token)
    assert (ours["tokens"], ours["pruned_from"]) == (tokens, None)
    assert pruned["pruned_from"] == tokens > pruned["tokens"] > 0
    assert pruned["label"] == f"Pruned to {pruned['tokens']} tokens"


def test_dense_is_not_charged_for_choosing(service: Service) -> None:
    key = asked(service).key
    sides = last(compare(service, VISITOR, key, "dense"))["sides"]
    assert [side["flops"] for side in sides] == [6.0, 9.0]


def test_beside_a_dense_run_it_is_said_what_the_kept_cubes_hold(service: Service) -> None:
    base = asked(service)
    message = last(compare(service, VISITOR, base.key, "dense"))
    shares = {each["kind"]: each for each in message["held"]}
    assert shares.keys() == {"question", "answer"}
    assert all(0 < each["share"] < 1 and each["measured"] for each in shares.values())
    assert "held" not in last(compare(service, VISITOR, base.key, "uniform"))
    dense = service.results.get(message["key"])
    assert dense is not None and "held" not in compare_pinned(service, dense.key, base.key)


def test_answers_are_marked_where_they_differ(service: Service) -> None:
    message = last(compare(service, VISITOR, asked(service).key, "uniform"))
    differing = [[p["text"] for p in s["answer"] if not p["same"]] for s in message["sides"]]
    assert differing == [[" red"], [" blue"]]
    assert [side["label"] for side in message["sides"]] == ["AdaSpark", "Even"]


@pytest.mark.parametrize("key", ["", "unknown", None])
def test_a_run_that_is_gone_is_said_to_be(service: Service, key: object) -> None:
    assert last(compare(service, VISITOR, key, "dense")) == {"state": "error", "error": GONE}


def test_a_pinned_run_is_told_apart_by_its_settings_and_runs_nothing(
    service: Service, engine: FakeEngine
) -> None:
    pinned, other = asked(service), list(service.retune(VISITOR, OTHER))[-1]
    message = compare_pinned(service, other["key"], pinned.key)
    assert message["state"] == "done" and message["key"] == pinned.key and len(engine.asked) == 2
    assert [side["label"] for side in message["sides"]] == [
        "p 0.4 and 0.7, cubes 4 x 2 x 2",
        "p 0.9 and 0.7, cubes 2 x 2 x 2",
    ]


def test_a_pinned_run_of_another_question_is_refused(service: Service) -> None:
    pinned, other = asked(service), asked(service, "what now?")
    message = compare_pinned(service, other.key, pinned.key)
    assert message == {"state": "error", "error": UNLIKE}
    assert compare_pinned(service, pinned.key, "gone")["error"] == GONE


def test_fewer_frames_are_called_that(service: Service) -> None:
    message = last(compare(service, VISITOR, asked(service).key, "frames"))
    assert [side["label"] for side in message["sides"]] == ["AdaSpark", "Fewer frames"]


def test_an_unknown_baseline_runs_nothing(service: Service, engine: FakeEngine) -> None:
    message = last(compare(service, VISITOR, asked(service).key, "<prune>"))
    assert "not with '<prune>'" in message["error"] and len(engine.asked) == 1


def test_a_newer_question_ends_the_run_beside(service: Service) -> None:
    messages = compare(service, VISITOR, asked(service).key, "dense")
    assert next(messages)["state"] == "running"
    newer = threading.Thread(target=asked, args=(service,))
    newer.start()
    run = service.sessions.get(VISITOR).beside
    assert run is not None and run.stop.wait(PATIENCE_SECS)
    assert last(messages) == {"state": "superseded"}
    newer.join()


def test_a_run_beside_leaves_the_question_of_the_dials_alone(service: Service) -> None:
    base = asked(service)
    list(compare(service, VISITOR, base.key, "dense"))
    retuned = last(service.retune(VISITOR, DIALS))
    finished = service.results.get(retuned["key"])
    assert finished is not None
    assert finished.result.trace.meta.config == AdaSparkConfig((2, 2, 2), 0.9, 0.7)


@given(st.text(max_size=40), st.text(max_size=40))
def test_marked_pieces_are_the_texts(first: str, second: str) -> None:
    for text, pieces in zip((first, second), marked(first, second), strict=True):
        assert "".join(piece["text"] for piece in pieces) == text
    ours, theirs = ("".join(p["text"] for p in side if p["same"]) for side in marked(first, second))
    assert ours.split() == theirs.split()
    assert all(piece["same"] for side in marked(first, first) for piece in side)


@pytest.mark.parametrize("on", [False, True])
def test_a_cube_is_forced_and_the_first_answer_scored(
    service: Service, engine: FakeEngine, on: bool
) -> None:
    base = asked(service)
    message = last(ablate(service, VISITOR, base.key, [3], on))
    options = engine.asked[-1][2]
    assert options.forced == {3: on} and options.scored == base.result.answer_ids
    assert (options.config, options.max_frames) == (base.options.config, base.options.max_frames)
    assert message["before"] == base.result.logprob == -1 and message["after"] == -2
    assert [side["label"] for side in message["sides"]] == [
        "AdaSpark",
        f"Cube 3 {'on' if on else 'off'}",
    ]


def test_a_region_of_cubes_is_forced_together(service: Service, engine: FakeEngine) -> None:
    message = last(ablate(service, VISITOR, asked(service).key, [3, 0, 7], False))
    assert engine.asked[-1][2].forced == {3: False, 0: False, 7: False}
    assert [side["label"] for side in message["sides"]] == ["AdaSpark", "3 cubes off"]


@pytest.mark.parametrize("cubes", [None, 3, [], ["3"], [True], [1.5], [0, None]])
def test_without_a_cube_nothing_is_forced(
    service: Service, engine: FakeEngine, cubes: object
) -> None:
    message = last(ablate(service, VISITOR, asked(service).key, cubes, True))
    assert "No cube is chosen" in message["error"] and len(engine.asked) == 1


def test_seconds_are_compared_with_seconds_of_this_visit_alone(service: Service) -> None:
    run = asked(service)
    other = list(compare(service, VISITOR, run.key, "dense"))[-1]
    assert [side["seconds"] for side in other["sides"]] == [0.1, 0.1]
    recorded = replace(run, is_recorded=True)
    assert [side["seconds"] for side in sides(recorded, run, ("a", "b"))] == [None, None]
    assert [side["recorded"] for side in sides(recorded, run, ("a", "b"))] == [True, False]
