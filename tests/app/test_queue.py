"""Runs that wait for others, and what work tells of itself meanwhile."""

from __future__ import annotations

import threading

import pytest

from adaspark.errors import UserError
from app.service.admission import AdmissionQueue, Waiting
from app.service.progress import STEPS, Report, reported


def test_reports_come_before_the_result_and_not_too_often() -> None:
    def work(report: Report) -> str:
        for done in range(1, 1001):
            report(done, 1000)
        return "done"

    *shares, result = reported(work)
    assert result == "done" and shares == [n / STEPS for n in range(1, STEPS + 1)]


def test_work_that_fails_ends_its_reports_with_its_error() -> None:
    def work(report: Report) -> str:
        report(1, 2)
        raise ValueError("broken")

    shares = reported(work)
    assert next(shares) == 0.5
    with pytest.raises(ValueError, match="broken"):
        next(shares)


def test_a_page_that_leaves_ends_the_work_that_it_waited_for() -> None:
    ended = threading.Event()

    def work(report: Report) -> None:
        try:
            while True:
                report(1, 2)
        finally:
            ended.set()

    shares = reported(work)
    assert next(shares) == 0.5 and not ended.is_set()
    shares.close()  # type: ignore[attr-defined]
    assert ended.is_set()


def test_too_many_waiting_runs_are_refused() -> None:
    admission, stop = AdmissionQueue(maximum=1), threading.Event()
    with (
        admission.enter(stop) as places,
        pytest.raises(UserError, match="1 of them"),
        admission.enter(stop),
    ):
        pass
    with admission.enter(stop) as places:
        assert list(places) == []


def test_a_waiting_run_hears_its_place_and_how_long_that_takes() -> None:
    admission, stop = AdmissionQueue(), threading.Event()
    with admission.enter(stop) as places:
        assert list(places) == []
    with admission.enter(stop) as first, admission.enter(stop) as second:
        with admission.enter(stop) as third:
            assert list(first) == []
            two, one = next(second), next(third)
            assert (two.ahead, one.ahead) == (1, 2) and one.secs == 2 * (two.secs or 0)
        with admission.enter(stop) as fourth:
            assert next(fourth).ahead == 2


def test_a_waiting_run_that_is_stopped_waits_no_longer() -> None:
    admission, stop = AdmissionQueue(), threading.Event()
    with admission.enter(threading.Event()), admission.enter(stop) as places:
        assert next(places) == Waiting(1, None)
        stop.set()
        assert list(places) == []
    assert admission.inside == 0
