"""What is remembered of a page that sends several requests at once."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.service import sessions
from app.service.queue import Run
from app.service.sessions import Asked, Session, Sessions, Video

QUESTION = Asked(Video(Path("clip.mp4"), "clip"), "why?")


@pytest.mark.parametrize("begin", [lambda v: v.begin(QUESTION), Session.begin_beside])
def test_of_runs_begun_at_once_all_but_one_are_cancelled(
    begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that nobody holds could not be stopped any more."""
    meeting, made = threading.Barrier(2), []

    class Meeting(Run):
        """Waits to be made at the same time as another, which a lock does not let happen."""

        def __init__(self) -> None:
            super().__init__()
            made.append(self)
            with suppress(threading.BrokenBarrierError):
                meeting.wait(0.3)

    session = Session()
    monkeypatch.setattr(sessions, "Run", Meeting)
    threads = [threading.Thread(target=begin, args=(session,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    lost = [run for run in made if run is not session.run and run is not session.beside]
    assert len(made) == 2 and len(lost) == 1 and lost[0].superseded


def test_a_question_ends_the_run_beside_and_stopping_ends_both() -> None:
    session = Session()
    beside = session.begin_beside()
    first = session.begin(QUESTION)
    assert beside.superseded and not first.superseded
    other = session.begin_beside()
    session.stop()
    assert first.stop.is_set() and other.stop.is_set()
    assert not first.superseded and not other.superseded


def test_an_earlier_choice_of_video_does_not_replace_a_later_one() -> None:
    session = Session()
    early, late = session.choose(), session.choose()
    session.settle(late, QUESTION.video)
    session.settle(early, None, "refused")
    assert session.video == QUESTION.video and session.refusal is None


def test_the_longest_silent_visitor_is_forgotten_and_stopped() -> None:
    known = Sessions(maximum=2)
    runs = {session_id: known.get(session_id).begin(QUESTION) for session_id in "ab"}
    known.get("a")
    known.get("c")
    assert runs["b"].stop.is_set() and not runs["a"].stop.is_set()
    assert known.get("a").run is runs["a"] and known.get("b").run is None


def test_a_run_that_is_begun_as_its_page_leaves_is_stopped() -> None:
    """Its visitor is forgotten: nobody could stop it any more."""
    known = Sessions()
    session = known.get("a")
    known.forget("a")
    assert session.begin(QUESTION).stop.is_set() and session.begin_beside().stop.is_set()
    assert not known.get("a").begin(QUESTION).stop.is_set()
