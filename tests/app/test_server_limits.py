"""Limits of a server, and what a visitor reads who meets one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from fake_engine import FakeEngine, loading
from waiting import PATIENCE_SECS

from adaspark.errors import UserError
from app.media.samples import read_samples
from app.service.admission import AdmissionQueue
from app.service.queue import RateLimit, Run
from app.service.service import Service
from app.service.sessions import Asked, Session
from app.service.settings import Settings, checked_question
from app.web.limits import ServerLimits

DIALS = Settings(0.9, 0.7, 2, 2, 2)
SLOW = "hold words"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Service]:
    samples = tmp_path / "samples"
    samples.mkdir()
    write_clip(samples / "01_clip.mp4")
    item = {"family": "needle", "question": "what?", "answer": "red"}
    (samples / "01_clip.json").write_text(json.dumps({"items": [item]}))

    def made(**limits: Any) -> Service:
        given = ServerLimits(**limits)
        engine = loading(FakeEngine())
        return Service(engine, tmp_path / "own", samples=read_samples(samples), limits=given)

    return made


def ready(service: Service, session_id: str = "one") -> str:
    service.openings.choose_sample(session_id, next(iter(service.videos.samples)), DIALS)
    return session_id


def test_a_question_that_is_too_long_is_refused_with_both_numbers() -> None:
    limits = ServerLimits(question_chars=10)
    assert checked_question(" 0123456789 ", limits) == "0123456789"
    with pytest.raises(UserError, match="11 characters and this server takes at most 10"):
        checked_question("0123456789a", limits)


@pytest.mark.parametrize("value", [10**30, 10**400, -(10**400), 1e300])
def test_numbers_of_any_size_are_refused_in_a_sentence(value: Any) -> None:
    for at in range(10):
        values: list[Any] = [0.5, 0.5, 2, 2, 2, 1, 8, 32, 10000, 100]
        values[at] = value
        with pytest.raises(UserError) as refused:
            Settings(*values).options()
        assert len(str(refused.value)) < 300


def test_limits_of_the_server_hold_for_what_is_shown() -> None:
    limits = ServerLimits(shown_frames=8, shown_pixels=5000, new_tokens=4)
    for field, most in (("max_frames", 8), ("max_pixels", 5000), ("max_new_tokens", 4)):
        fits = Settings(1, 1, 1, 1, 1, **{"max_new_tokens": 1, field: most})
        assert getattr(fits.options(limits), field) == most
        with pytest.raises(UserError, match=f"from 1 to {most}"):
            Settings(1, 1, 1, 1, 1, **{"max_new_tokens": 1, field: most + 1}).options(limits)


def test_visitors_are_limited_apart_and_for_a_minute() -> None:
    now = [0.0]
    rate = RateLimit(2, now=lambda: now[0])
    rate.check("one"), rate.check("one"), rate.check("two")
    now[0] = 20.0
    with pytest.raises(UserError, match=r"at most 2 questions a minute.*in 40 s"):
        rate.check("one")
    now[0] = 60.0
    rate.check("one")


def test_the_rate_is_that_of_questions(make: Callable[..., Service]) -> None:
    service = make(visitor_runs=1)
    session = ready(service)
    assert list(service.ask(session, "what?", DIALS))[-1]["state"] == "done"
    assert "questions a minute" in list(service.ask(session, "what?", DIALS))[-1]["error"]


def test_a_run_that_takes_too_long_ends_with_a_sentence(make: Callable[..., Service]) -> None:
    service = make(run_secs=1)
    last = list(service.ask(ready(service), SLOW, DIALS))[-1]
    assert last["state"] == "error" and "longer than 1 s" in last["error"]
    service.runner._run_secs = 600  # the limit that the first met is not the next one's
    assert list(service.ask("one", "what?", DIALS))[-1]["state"] == "done"


def test_a_programs_run_ends_when_it_leaves(make: Callable[..., Service]) -> None:
    service = make()
    video = service.videos.chosen(service.sessions.get(ready(service)))
    ended = threading.Event()

    def ask() -> None:
        with suppress(UserError):  # if it is stopped before its first word
            service.answer("program", Asked(video, SLOW), DIALS.options())
        ended.set()

    threading.Thread(target=ask, daemon=True).start()
    while not service.sessions.get("program").called:
        time.sleep(0.01)
    service.leave("program")
    assert ended.wait(PATIENCE_SECS)


def test_runs_of_one_program_do_not_end_each_other() -> None:
    session = Session()
    with session.begin_call() as one, session.begin_call() as two:
        assert not one.stop.is_set() and not two.stop.is_set()
        session.leave()
        assert one.stop.is_set() and two.stop.is_set()
    assert session.called == []


def test_a_closing_queue_waits_for_what_is_inside_and_takes_no_more() -> None:
    queue, stop = AdmissionQueue(), threading.Event()
    with queue.enter(stop):
        assert not queue.close(grace_secs=0.01)
        with pytest.raises(UserError, match="about to restart"), queue.enter(stop):
            pass
    assert queue.close(grace_secs=PATIENCE_SECS)


def test_a_run_in_time_is_not_late() -> None:
    run = Run()
    with run.within(30):
        pass
    assert not run.is_late and not run.stop.is_set()
