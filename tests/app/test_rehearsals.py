"""Compiling ahead between visitors' runs."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from fake_engine import FakeEngine

from adaspark.ask.ahead import rehearsals
from app.service.admission import AdmissionQueue
from app.service.rehearsals import Rehearsals


class Rehearsed(FakeEngine):
    """An engine on a GPU that counts what it rehearses; `during` is called in each."""

    def __init__(self, during: Any = lambda: None) -> None:
        super().__init__()
        self.device, self.max_video_tokens = "cuda:0", 128_000
        self.during, self.rehearsed = during, 0

    def rehearse(self, *_: Any) -> None:
        self.during()
        self.rehearsed += 1


def total() -> int:
    engine: Any = Rehearsed()
    settings = len(list(rehearsals(engine)))
    assert settings > 1
    return settings


def test_every_setting_is_rehearsed_once_and_it_says_how_far_it_is() -> None:
    said: list[Any] = []
    mine = Rehearsals(AdmissionQueue())
    engine = Rehearsed(lambda: said.append(mine.facts()))
    assert mine.facts() == {}
    mine.run(engine)
    assert engine.rehearsed == total() and mine.facts() == {}
    assert said == [{"compiling": f"{n} / {total()}"} for n in range(total())]


def test_a_processor_s_kernels_are_not_rehearsed() -> None:
    engine = Rehearsed()
    engine.device = "cpu"
    Rehearsals(AdmissionQueue()).run(engine)
    assert engine.rehearsed == 0


def test_it_waits_while_a_visitor_s_run_is_inside() -> None:
    admission, engine = AdmissionQueue(), Rehearsed()
    mine = Rehearsals(admission)
    with admission.enter(threading.Event()) as places:
        list(places)
        thread = threading.Thread(target=mine.run, args=(engine,))
        thread.start()
        while thread.is_alive() and not mine.total:
            time.sleep(0.01)
        assert thread.is_alive() and engine.rehearsed == 0
    thread.join()
    assert engine.rehearsed == total()


def test_it_ends_with_the_server() -> None:
    admission = AdmissionQueue()
    engine = Rehearsed(lambda: admission.close(0.0))
    Rehearsals(admission).run(engine)
    assert engine.rehearsed == 1


def test_what_cannot_be_compiled_ahead_is_left_to_the_question(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise RuntimeError("no compiler")

    mine = Rehearsals(AdmissionQueue())
    mine.run(Rehearsed(fail))
    assert mine.facts() == {} and "no compiler" in caplog.text
