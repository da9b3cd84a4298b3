"""What a visitor has here, results and uploaded videos, which goes when the visitor has left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class _Owned:
    keys: set[str] = field(default_factory=set)
    videos: set[Path] = field(default_factory=set)
    pages: int = 0
    seen: float = 0.0


class Belongings:
    """Of each visitor: keys of results, videos, open pages, and when it was last heard of.

    Who has no open page and was not heard of for `left_secs` has left. `now` is a clock in seconds.
    Thread-safe.
    """

    def __init__(self, left_secs: float, now: Callable[[], float] = time.monotonic) -> None:
        self._left_secs, self._now = left_secs, now
        self._owned: dict[str, _Owned] = {}
        self._lock = threading.Lock()

    def arrive(self, visitor: str) -> None:
        """A page was opened."""
        with self._lock:
            self._of(visitor).pages += 1

    def leave(self, visitor: str) -> None:
        """A page was closed."""
        with self._lock:
            owned = self._of(visitor)
            owned.pages = max(0, owned.pages - 1)

    def seen(self, visitor: str) -> None:
        """Something was heard of a visitor who is known."""
        with self._lock:
            if visitor in self._owned:
                self._of(visitor)

    def own(self, visitor: str, *, key: str | None = None, video: Path | None = None) -> None:
        """A result or a video is this visitor's."""
        with self._lock:
            owned = self._of(visitor)
            if key is not None:
                owned.keys.add(key)
            if video is not None:
                owned.videos.add(video)

    def take_left(self) -> tuple[set[str], set[Path]]:
        """What those had who have left, and nobody else has: they are forgotten."""
        with self._lock:
            before = self._now() - self._left_secs
            left = [v for v, o in self._owned.items() if not o.pages and o.seen < before]
            gone = [self._owned.pop(visitor) for visitor in left]
            kept = set().union(*(owned.videos for owned in self._owned.values()))
        keys = set().union(*(owned.keys for owned in gone))
        return keys, set().union(*(owned.videos for owned in gone)) - kept

    def _of(self, visitor: str) -> _Owned:
        owned = self._owned.setdefault(visitor, _Owned())
        owned.seen = self._now()
        return owned
