"""Compiled work that is ended from outside between two of its tasks.

A kernel's threads take their tasks from one counter until it has run out, and hear of nothing else:
who wants the work to end runs the counter out. That costs the kernels nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from numpy.typing import NDArray

LOOK_SECS = 0.05
"""How often it is asked whether the work is still wanted."""
RUN_OUT = 2**62
"""More than there are tasks of anything."""


class Interrupted(Exception):
    """The work was ended: what it wrote is not whole."""


class Tasks:
    """The counters, int64 [1], of the work under way; they may be run out from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: list[NDArray[np.int64]] = []
        self._are_over = False

    def run_out(self) -> None:
        """Let no task begin any more."""
        with self._lock:
            self._are_over = True
            for counter in self._counters:
                counter[0] = RUN_OUT

    @contextmanager
    def counted_by(self, counter: NDArray[np.int64]) -> Iterator[None]:
        """Around work that takes its tasks from `counter`. Raises Interrupted if they were run out
        before it or during it.
        """
        with self._lock:
            if self._are_over:
                raise Interrupted
            self._counters.append(counter)
        try:
            yield
        finally:
            with self._lock:
                self._counters.pop()
        if self._are_over:
            raise Interrupted


_NEVER = Tasks()
_tasks: ContextVar[Tasks] = ContextVar("adaspark_tasks", default=_NEVER)


@contextmanager
def interruptible(is_unwanted: Callable[[], bool]) -> Iterator[Tasks]:
    """The compiled work of this thread inside the block ends once it `is_unwanted`, which another
    thread looks up; then Interrupted is raised there.
    """
    tasks, is_done = Tasks(), threading.Event()

    def watch() -> None:
        while not is_done.wait(LOOK_SECS):
            if is_unwanted():
                tasks.run_out()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    token = _tasks.set(tasks)
    try:
        yield tasks
    finally:
        _tasks.reset(token)
        is_done.set()
        watcher.join()


@contextmanager
def counted_by(counter: NDArray[np.int64]) -> Iterator[None]:
    """Around compiled work that takes its tasks from `counter`; see `Tasks.counted_by`."""
    tasks = _tasks.get()
    if tasks is _NEVER:
        yield
    else:
        with tasks.counted_by(counter):
            yield
