"""A long clip read in parts, several at a time: one reader of frames keeps a processor waiting."""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from math import ceil
from queue import SimpleQueue
from typing import TypeVar

from adaspark.errors import UserError

Item = TypeVar("Item")
MOST_READERS, CORES_A_READER = 2, 4
"""768 frames of an hour of 320 x 180 to features, on an H200 with 16 cores: 2.0 s with one reader,
1.6 with two, 1.9 with three, 2.2 with four, which keep Python from feeding the GPU."""
MOST_FRAMES = 64
"""Of a part, where several are read at a time: the first frames are at hand while others are read.
768 frames as above: 1.67 s in two parts, 1.50 in parts of 216 and of 135, 1.49 of 67."""
SPREAD_FRAMES = 16
"""Frames at least so far apart, as those (19): a part begins with a seek, which decodes from the
last key frame on, and nearer ones would be decoded twice as a good part of it."""
LEAST_FRAMES = 48
"""Of a part: to open and to seek costs as much as some frames."""
FAR_FRAMES = 32
"""Frames so far apart are sought one by one, and at every seek a decoder's threads run dry: a
second reader keeps the processors at work, be they two, and a few frames are worth a part."""
LEAST_FAR_FRAMES = 8
PART_BYTES = 2**26
"""Bounds what a part holds before it is asked for."""


def readers_here(apart: float = 1.0) -> int:
    """How many parts this machine reads at a time, of frames so many `apart` in their file; 1 where
    cores are few.
    """
    cores = os.cpu_count() or 1
    return max(1, min(MOST_READERS, cores if apart >= FAR_FRAMES else cores // CORES_A_READER))


def part_length(frames: int, frame_bytes: int, readers: int, apart: float = 1.0) -> int:
    """Frames of a part, of a clip of so many: all of them where parts would be too short."""
    most = MOST_FRAMES if readers > 1 and apart >= SPREAD_FRAMES else max(frames, 1)
    length = min(ceil(frames / readers), PART_BYTES // frame_bytes, most)
    least = LEAST_FAR_FRAMES if apart >= FAR_FRAMES else LEAST_FRAMES
    return length if length >= least else max(frames, 1)


def in_parts(
    read: Callable[[Sequence[float]], Iterator[Item]],
    times_secs: Sequence[float],
    *,
    length: int,
    readers: int,
) -> Iterator[Item]:
    """What `read(times_secs)` yields, in order; parts of `length` times are read by threads.

    `readers` parts are begun, the next one when the first of them has been taken. Where a part
    cannot be read, all is read as one: only that knows how much damage is too much.
    """
    if length >= len(times_secs):
        yield from read(times_secs)
        return
    gone, taken = threading.Event(), 0
    starts = deque(range(0, len(times_secs), length))
    with ThreadPoolExecutor(readers, thread_name_prefix="part") as pool:

        def begin() -> SimpleQueue[tuple[Item] | BaseException | None]:
            made: SimpleQueue[tuple[Item] | BaseException | None] = SimpleQueue()
            start = starts.popleft()
            part = times_secs[start : start + length]
            pool.submit(contextvars.copy_context().run, _run, read, part, made, gone)
            return made

        begun = deque(begin() for _ in range(min(readers, len(starts))))
        try:
            while begun:
                made = begun.popleft()
                while (item := made.get()) is not None:
                    if isinstance(item, UserError):
                        gone.set()
                        yield from islice(read(times_secs), taken, None)
                        return
                    if isinstance(item, BaseException):
                        raise item
                    yield item[0]
                    taken += 1
                if starts:
                    begun.append(begin())
        finally:
            gone.set()


def _run(
    read: Callable[[Sequence[float]], Iterator[Item]],
    part: Sequence[float],
    made: SimpleQueue[tuple[Item] | BaseException | None],
    gone: threading.Event,
) -> None:
    """Read one part to its end, or until nobody wants it."""
    try:
        for item in read(part):
            made.put((item,))
            if gone.is_set():
                return
    except BaseException as error:
        made.put(error)
    else:
        made.put(None)
