"""The admission queue of runs, how a run is stopped, and the sentence for one that fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from adaspark.errors import UserError

log = logging.getLogger(__name__)
MAX_WAITING = 16


@dataclass
class Run:
    """One question on its way through the engine."""

    stop: threading.Event = field(default_factory=threading.Event)
    superseded: bool = False

    def cancel(self) -> None:
        """Stop because a newer run takes its place; nothing more is sent of this one."""
        self.superseded = True
        self.stop.set()


class AdmissionQueue:
    """Admits at most `maximum` runs, the one that is answered and those that wait for it.

    It only counts them: the engine answers one at a time.
    """

    def __init__(self, maximum: int = MAX_WAITING) -> None:
        self.maximum = maximum
        self._inside = 0
        self._lock = threading.Lock()

    @contextmanager
    def enter(self) -> Iterator[int]:
        """Yield how many runs are ahead. Raises UserError if too many are."""
        with self._lock:
            ahead = self._inside
            if ahead >= self.maximum:
                raise UserError("Too many questions are waiting; try again in a minute.")
            self._inside += 1
        try:
            yield ahead
        finally:
            with self._lock:
                self._inside -= 1


def sentence(error: BaseException) -> str:
    """One sentence for the page: a UserError's own, and for any other error a general one."""
    if isinstance(error, UserError):
        return str(error)
    log.error("A request failed", exc_info=error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "The model ran out of memory; ask for fewer frames, or a shorter video."
    return "The model failed on this request; the server's log says why. Try other settings."
