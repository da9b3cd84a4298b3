"""The queue of runs: who is answered, who waits for how many others, and the end of it all."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from adaspark.errors import UserError

MAX_WAITING = 16
CLOSING = "The server is about to restart; ask again in a minute."
FULL = "Too many questions are waiting, {} of them; try again in a minute."
_REMEMBERED = 8
_LOOK_AGAIN_SECS = 0.1


class Waiting(NamedTuple):
    """A run's place: how many are `ahead`, and about how many seconds they take (None: no run has
    ended yet).
    """

    ahead: int
    secs: float | None


class AdmissionQueue:
    """At most `maximum` runs, of which the `at_once` that came first are answered; thread-safe."""

    def __init__(self, maximum: int = MAX_WAITING, *, at_once: int = 1) -> None:
        self.maximum = maximum
        self.is_closed = False
        self._at_once = at_once
        self._inside: list[object] = []
        self._lasted: deque[float] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Condition()

    @property
    def inside(self) -> int:
        """How many runs are answered or wait."""
        return len(self._inside)

    @contextmanager
    def enter(self, stop: threading.Event) -> Iterator[Iterator[Waiting]]:
        """Take a place. Iterate over what it yields, the run's places, before the run is answered:
        it ends when it is the run's turn, or `stop` is set.

        Raises UserError if too many wait, or none is taken any more.
        """
        own = object()
        with self._lock:
            if self.is_closed:
                raise UserError(CLOSING)
            if len(self._inside) >= self.maximum:
                raise UserError(FULL.format(len(self._inside)))
            self._inside.append(own)
        begun: list[float] = []
        try:
            yield self._places(own, stop, begun)
        finally:
            with self._lock:
                self._inside.remove(own)
                if begun and not stop.is_set():
                    self._lasted.append(time.monotonic() - begun[0])
                self._lock.notify_all()

    def close(self, grace_secs: float) -> bool:
        """Take no more runs, and wait for those inside; returns whether all have ended in time."""
        with self._lock:
            self.is_closed = True
            self._lock.notify_all()
            return self._lock.wait_for(lambda: not self._inside, grace_secs)

    def wait_until_idle(self) -> bool:
        """Wait until no run is inside; whether runs are still taken."""
        with self._lock:
            self._lock.wait_for(lambda: not self._inside or self.is_closed)
            return not self.is_closed

    def _places(self, own: object, stop: threading.Event, begun: list[float]) -> Iterator[Waiting]:
        told: int | None = None
        while not stop.is_set():
            with self._lock:
                ahead = self._ahead(own)
                if ahead and ahead == told:
                    self._lock.wait(_LOOK_AGAIN_SECS)  # `stop` wakes nobody
                    continue
            if not ahead:
                begun.append(time.monotonic())
                return
            told = ahead
            yield Waiting(ahead, self._secs(ahead))

    def _ahead(self, own: object) -> int:
        return max(0, self._inside.index(own) + 1 - self._at_once)

    def _secs(self, ahead: int) -> float | None:
        if not self._lasted:
            return None
        return ahead * sum(self._lasted) / len(self._lasted) / self._at_once
