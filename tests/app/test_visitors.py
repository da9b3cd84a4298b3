"""What is remembered of a page that sends several requests at once."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE_SECS

from app.service import sessions
from app.service.belongings import Belongings
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

        def __init__(self, owner: str) -> None:
            super().__init__(owner)
            made.append(self)
            with suppress(threading.BrokenBarrierError):
                meeting.wait(0.3)

    session = Session()
    monkeypatch.setattr(sessions, "Run", Meeting)
    threads = [threading.Thread(target=begin, args=(session,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECS)
    lost = [run for run in made if run is not session.run and run is not session.beside]
    assert len(made) == 2 and len(lost) == 1 and lost[0].superseded


def test_a_run_that_begins_late_does_not_end_one_of_a_later_number() -> None:
    """Events that were sent in turn may begin out of turn: the newest move of a slider wins."""
    session = Session()
    newest = session.begin(QUESTION, 3)
    assert session.begin(QUESTION, 2).superseded and not newest.superseded
    assert session.run is newest
    assert not session.begin(QUESTION, 4).superseded and newest.superseded


def test_a_question_ends_the_run_beside_and_stopping_ends_both() -> None:
    session = Session()
    beside = session.begin_beside()
    first = session.begin(QUESTION)
    assert beside.superseded and not first.superseded
    other = session.begin_beside()
    session.stop()
    assert first.stop.is_set() and other.stop.is_set()
    assert not first.superseded and not other.superseded


def test_a_stop_that_a_later_run_has_overtaken_is_not_its_own() -> None:
    session = Session()
    newest = session.begin(QUESTION, 4)
    session.stop(3)
    assert not newest.stop.is_set()
    session.stop(4)
    assert newest.stop.is_set()
    again = session.begin(QUESTION, 5)
    session.stop()
    assert again.stop.is_set(), "without a number all are meant"


def test_an_earlier_choice_of_video_does_not_replace_a_later_one() -> None:
    session = Session()
    early, late = session.choose(), session.choose()
    session.settle(late, QUESTION.video)
    session.settle(early, None)
    assert session.video == QUESTION.video


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


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def belongings(now: list[float]) -> Belongings:
    return Belongings(60, now=lambda: now[0])


def test_what_a_visitor_had_is_kept_while_a_page_is_open(
    belongings: Belongings, now: list[float]
) -> None:
    belongings.arrive("a"), belongings.arrive("a")
    belongings.own("a", key="k")
    belongings.leave("a")
    now[0] = 1e6
    assert belongings.take_left() == (set(), set())
    belongings.leave("a")
    now[0] += 59
    assert belongings.take_left() == (set(), set())
    now[0] += 2
    assert belongings.take_left() == ({"k"}, set())
    assert belongings.take_left() == (set(), set())


def test_a_visitor_who_is_heard_of_has_not_left(belongings: Belongings, now: list[float]) -> None:
    belongings.own("a", key="k")
    for _ in range(3):
        now[0] += 50
        belongings.seen("a"), belongings.seen("nobody")
        assert belongings.take_left() == (set(), set())
    now[0] += 61
    assert belongings.take_left() == ({"k"}, set())


def test_a_video_of_two_goes_with_the_second(belongings: Belongings, now: list[float]) -> None:
    video = Path("clip.mp4")
    belongings.own("a", video=video)
    belongings.arrive("b")
    belongings.own("b", video=video)
    now[0] = 61
    assert belongings.take_left() == (set(), set())
    belongings.leave("b")
    now[0] = 200
    assert belongings.take_left() == (set(), {video})
