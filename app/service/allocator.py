"""The memory of C's allocator: few pools for many threads, and what is free in them given back.

A server answers in ever new threads. Without a bound glibc makes a pool for each of them, up to
eight a processor, and keeps in each what the largest answers took there.
"""

from __future__ import annotations

import ctypes
from typing import Any

from adaspark.model.freed_memory import give_back

_M_ARENA_MAX = -8
MOST_POOLS = 2


class Allocator:
    """glibc's, where that is what there is; with another nothing is done.

    To be made before the threads that answer.
    """

    def __init__(self, libc: Any = None) -> None:
        self._libc = libc or ctypes.CDLL(None)
        self._runs = 0
        if hasattr(self._libc, "mallopt"):
            self._libc.mallopt(_M_ARENA_MAX, MOST_POOLS)

    def give_back(self, runs: int) -> None:
        """Give the system what is free, if runs have ended since the last time: so many so far."""
        if runs != self._runs:
            give_back(self._libc)
        self._runs = runs
