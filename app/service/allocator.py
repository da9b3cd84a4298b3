"""A server's freed memory: kept while runs need it, given back between them."""

from __future__ import annotations

from typing import Any

from adaspark.model import freed_memory


class Allocator:
    """That of C. To be made before the threads that answer."""

    def __init__(self, libc: Any = None) -> None:
        self._libc, self._runs = libc, 0
        freed_memory.keep(libc)

    def give_back(self, runs: int) -> None:
        """Give the system what is free, if runs have ended since the last time: so many so far."""
        if runs != self._runs:
            freed_memory.give_back(self._libc)
        self._runs = runs
