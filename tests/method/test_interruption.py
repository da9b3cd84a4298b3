"""Compiled work ends from outside: no task begins once it is unwanted."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from adaspark.method.interruption import RUN_OUT, Interrupted, counted_by, interruptible


def test_no_task_begins_once_the_work_is_unwanted() -> None:
    unwanted, counter, begun = threading.Event(), np.zeros(1, np.int64), 0
    with pytest.raises(Interrupted), interruptible(unwanted.is_set), counted_by(counter):
        while counter[0] < 1_000_000:
            counter[0] += 1
            begun += 1
            if begun == 3:
                unwanted.set()
                while counter[0] < RUN_OUT:
                    time.sleep(0.001)
    assert begun == 3


def test_what_was_run_out_begins_no_other_work() -> None:
    counter = np.zeros(1, np.int64)
    with interruptible(lambda: False) as tasks:
        tasks.run_out()
        with pytest.raises(Interrupted), counted_by(counter):
            raise AssertionError("it has begun")
    assert counter[0] == 0


def test_work_that_nobody_watches_is_whole() -> None:
    counter = np.zeros(1, np.int64)
    with counted_by(counter):
        counter[0] += 1
    with interruptible(lambda: False), counted_by(counter):
        counter[0] += 1
    assert counter[0] == 2


def test_an_error_of_the_work_is_its_own() -> None:
    counter = np.zeros(1, np.int64)
    with (
        pytest.raises(ZeroDivisionError),
        interruptible(lambda: False) as tasks,
        counted_by(counter),
    ):
        tasks.run_out()
        raise ZeroDivisionError
