"""A visitor's next question about the clip in view does not read it again; nobody else's does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from fake_engine import FakeEngine, loading

from adaspark.method.config import AdaSparkConfig
from adaspark.model.conversation import Conversation
from adaspark.model.engine import Engine
from app.media.samples import read_samples
from app.service.compare import compare
from app.service.deferred_engine import DeferredEngine
from app.service.kept_caches import KeptCaches
from app.service.service import Service
from app.service.sessions import Asked
from app.service.settings import Settings

DIALS = Settings(0.6, 0.5, 2, 2, 2, 0, 4, 3)
CONFIG = AdaSparkConfig((2, 2, 2), 0.6, 0.5)
QUESTIONS = ("what color is the circle ?", "how many are there ?")


@pytest.fixture(scope="module")
def engine() -> DeferredEngine:
    """The bundled model."""
    face = DeferredEngine(
        lambda: Engine(device="cpu"), name="mini", is_bundled=True, default_config=CONFIG
    )
    face.start()
    face.engine()
    return face


@pytest.fixture
def service(engine: DeferredEngine, tmp_path: Path) -> Iterator[Service]:
    samples = tmp_path / "samples"
    samples.mkdir()
    for name in ("01_one", "02_other"):
        write_clip(samples / f"{name}.mp4", frames=8)
        (samples / f"{name}.json").write_text(json.dumps({"items": [{"question": QUESTIONS[0]}]}))
    built = Service(engine, tmp_path / "proxies", samples=read_samples(samples))
    for visitor in ("a", "b"):
        built.openings.choose_sample(visitor, "01_one", DIALS)
    yield built
    built.close()


def cached(service: Service, visitor: str, question: str, settings: Settings = DIALS) -> int:
    """How many tokens of a question's prompt were in the cache."""
    *_, last = service.ask(visitor, question, settings)
    assert last["state"] == "done", last
    return int(last["summary"].get("cached_tokens", 0))


def test_the_next_question_of_a_visitor_does_not_read_the_clip_again(service: Service) -> None:
    assert cached(service, "a", QUESTIONS[0]) == 0
    assert cached(service, "a", QUESTIONS[1]) > 0
    assert cached(service, "b", QUESTIONS[1]) == 0, "what is another's is not used"
    assert cached(service, "b", QUESTIONS[0]) > 0


def test_other_settings_read_it_again_and_are_kept_then(service: Service) -> None:
    cached(service, "a", QUESTIONS[0])
    moved = Settings(0.9, 0.5, 2, 2, 2, 0, 4, 3)
    *_, last = service.retune("a", moved)
    assert "cached_tokens" not in last["summary"]
    assert cached(service, "a", QUESTIONS[1], moved) > 0


def test_a_run_beside_it_leaves_it_alone(service: Service) -> None:
    *_, last = service.ask("a", QUESTIONS[0], DIALS)
    *_, beside = compare(service, "a", last["key"], "dense")
    assert beside["state"] == "done" and all(side["seconds"] for side in beside["sides"])
    *_, last = service.ask("a", QUESTIONS[1], DIALS)
    assert last["summary"]["cached_tokens"] > 0
    *_, beside = compare(service, "a", last["key"], "dense")
    assert [side["seconds"] for side in beside["sides"]] == [None, None], "one did not read it"


def test_what_is_held_goes_with_the_clip_and_with_the_visitor(service: Service) -> None:
    held = service.sessions.get("a").clip
    cached(service, "a", QUESTIONS[0])
    assert held.nbytes > 0 and service.runner.kept.held_bytes == held.nbytes
    service.openings.choose_sample("a", "02_other", DIALS)
    assert held.nbytes == 0
    cached(service, "a", QUESTIONS[0])
    held = service.sessions.get("a").clip
    assert held.nbytes > 0
    service.leave("a")
    assert held.nbytes == service.runner.kept.held_bytes == 0


def test_a_follow_up_says_nothing_of_how_fast_a_clip_is_read(service: Service) -> None:
    cached(service, "a", QUESTIONS[0])
    before = service.time_estimates.secs_per_flop
    assert cached(service, "a", QUESTIONS[1]) > 0
    assert service.time_estimates.secs_per_flop == before


def test_programs_keep_what_they_say(service: Service) -> None:
    video = service.sessions.get("a").video
    assert video is not None

    def told(question: str, **keep: Any) -> Any:
        asked = Asked(video, question)
        finished = service.answer("program", asked, DIALS.options(service.limits), **keep)
        words = "".join(word.text for word in finished.result.trace.words)
        return finished.result.trace.meta.cached_tokens, QUESTIONS[0] in words

    assert told(QUESTIONS[0]) == (None, True)
    assert told(QUESTIONS[1], keep="video") == (None, False)
    assert told(QUESTIONS[1], keep="video")[0]
    assert told(QUESTIONS[0], keep="conversation")[1]
    known, has_earlier = told(QUESTIONS[1], keep="conversation")
    assert known and has_earlier
    assert told(QUESTIONS[1], keep="video")[1] is False


class Holding(Conversation):
    """One that holds so many bytes."""

    size = 0

    @property
    def nbytes(self) -> int:
        return self.size

    def release(self) -> None:
        self.size = 0


def test_the_longest_unused_caches_are_freed_first() -> None:
    kept, (first, second, third) = KeptCaches(100), (Holding() for _ in range(3))
    for conversation in (first, second, first, third):
        conversation.size = 40
        kept.used(conversation)
    assert (first.size, second.size, third.size) == (40, 0, 40) and kept.held_bytes == 80
    third.size = 101
    kept.used(third)
    assert (first.size, third.size) == (0, 0), "one that alone is too large is not held"


def test_a_run_about_a_clip_that_is_no_longer_chosen_leaves_nothing(tmp_path: Path) -> None:
    engine = FakeEngine(step_secs=0)
    service = Service(loading(engine), tmp_path / "proxies")
    session = service.sessions.get("a")
    old = session.clip
    session.choose()
    assert session.clip is not old and old._is_closed
    service.close()
