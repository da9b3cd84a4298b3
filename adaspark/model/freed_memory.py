"""Memory that was freed: glibc's, where that is what allocates; with another nothing is done."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_KEEPING = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1))
"""Of mallopt(3): one pool for all threads, no block apart from it, none of it given back."""


def keep(libc: Any = None) -> None:
    """Have this process keep what is freed for its next tensors, until it is given back.

    By itself glibc asks the system for every large tensor and returns it when it is freed, or, in
    a thread, makes another pool: to touch such memory again costs a fault for each 4 KiB, for a
    prompt of 16K tokens on a CPU a seventh of its time. To be called before threads are made, by a
    process that does one thing: under a server's load it was not shown to stay flat.
    """
    if (mallopt := getattr(libc or _libc(), "mallopt", None)) is not None:
        for option, value in _KEEPING:
            mallopt(option, value)


def give_back(libc: Any = None) -> None:
    """Return what is free to the system: all whole pages of it; a few milliseconds."""
    if (trim := getattr(libc or _libc(), "malloc_trim", None)) is not None:
        trim(0)


@cache
def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
