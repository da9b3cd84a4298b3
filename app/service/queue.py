"""How a run is stopped, how many a visitor may start, and the sentence for one that fails."""

from __future__ import annotations

import errno
import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adaspark.errors import UserError

log = logging.getLogger(__name__)
_PLACES = 6
_FAILED = "The model failed on this request; the server's log says why. Try other settings."


@dataclass
class Run:
    """One question on its way through the engine; its result is the `owner`'s."""

    owner: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    superseded: bool = False
    is_late: bool = False

    def cancel(self) -> None:
        """Stop because a newer run takes its place; nothing more is sent of this one."""
        self.superseded = True
        self.stop.set()

    @contextmanager
    def within(self, secs: float) -> Iterator[None]:
        """Stop the run if it takes longer than this; it `is_late` then."""

        def end() -> None:
            self.is_late = True
            self.stop.set()

        timer = threading.Timer(secs, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class RateLimit:
    """At most `maximum` runs a minute for each visitor; thread-safe.

    A visitor is a session; `now` is a clock in seconds.
    """

    def __init__(self, maximum: int, now: Callable[[], float] = time.monotonic) -> None:
        self.maximum = maximum
        self._now = now
        self._begun: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def check(self, visitor: str) -> None:
        """Count one more run. Raises UserError if the visitor has begun too many."""
        with self._lock:
            now = self._now()
            self._forget(now - 60)
            begun = self._begun.setdefault(visitor, deque())
            if len(begun) >= self.maximum:
                raise UserError(
                    f"This server answers at most {self.maximum} questions a minute to each "
                    f"visitor; try again in {begun[0] + 60 - now:.0f} s."
                )
            begun.append(now)

    def _forget(self, before: float) -> None:
        for visitor, begun in list(self._begun.items()):
            while begun and begun[0] <= before:
                begun.popleft()
            if not begun:
                del self._begun[visitor]


def sentence(error: BaseException) -> str:
    """One sentence for the page: a UserError's own, and for any other error a general one.

    What is logged is the error's kind and where it was raised; its text may hold what was asked.
    """
    if isinstance(error, UserError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-_PLACES:]]
    log.error("A request failed: %s at %s", type(error).__name__, " > ".join(places))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "The model ran out of memory; ask for fewer frames, or a shorter video."
    return disk_sentence(error) or _FAILED


def disk_sentence(error: BaseException) -> str:
    """One sentence for a disk that is full or cannot be written to; empty for any other error."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "This server's disk is full; try again in a while."
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "This server cannot write to its folder; its operator must make it writable."
    return ""
