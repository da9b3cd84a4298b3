"""How far a run is, and how long it will still take, on one line of a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO, TypeVar

Event = TypeVar("Event")
UNITS = {"decode": "frames", "vision": "frames", "prefill": "layers"}
"""Of the phases that are told: words tell themselves."""
LINE_SECS, LIVE_SECS = 30.0, 0.5
"""Seconds between two lines in a file, and between two states of the line on a terminal."""


def with_time_left(
    events: Iterable[Event],
    out: TextIO = sys.stderr,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Event]:
    """Pass the events of a request on; its phases are told on `out` as they go.

    Frames are decoded ahead of the tower, so that the tower's count is what tells the time left.
    """
    live = out.isatty()
    phase, began, first, told = "", clock(), 0, -LINE_SECS
    for event in events:
        name = found if (found := getattr(event, "name", "")) in UNITS else ""
        if name == "decode" and phase == "vision":
            yield event
            continue
        if name != phase:
            if live and phase:
                out.write("\r\033[K")
            phase, began, first, told = name, clock(), getattr(event, "done", 0), -LINE_SECS
        if name and (now := clock()) - told >= (LIVE_SECS if live else LINE_SECS):
            line = _line(event, now - began, first)
            out.write(f"\r\033[K{line}" if live else f"{line}\n")
            out.flush()
            told = now
        yield event


def _line(phase: Any, spent_secs: float, first: int) -> str:
    """`vision: 640 of 3,600 frames, 2 min left`; `first` were done when the clock started."""
    name, done, total = phase
    line = f"{name}: {done:,} of {total:,} {UNITS[name]}"
    if done <= first:
        return line
    return f"{line}, {_duration(spent_secs * (total - done) / (done - first))} left"


def _duration(secs: float) -> str:
    if secs < 90:
        return f"{secs:.0f} s"
    return f"{secs / 60:.0f} min" if secs < 5400 else f"{secs / 3600:.1f} h"
