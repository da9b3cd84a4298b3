"""Interlaced video: frames that hold two fields, made into pictures of one moment."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av.filter

_MIN_SIDE_PIXELS = 4  # of what bwdif takes


def deinterlaced(frames: Iterator[Any]) -> Iterator[Any]:
    """Yield each `av.VideoFrame` with its time, those that are flagged interlaced by bwdif.

    Until the first such frame nothing is held back; from there on each frame waits for the next,
    which bwdif looks at.
    """
    before = None
    for frame in frames:
        if frame.interlaced_frame and min(frame.width, frame.height) >= _MIN_SIDE_PIXELS:
            yield from _from_first_interlaced(before, frame, frames)
            return
        yield frame
        before = frame


def _from_first_interlaced(before: Any, first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    fields = _Bwdif(first)
    if before is not None and fields.takes(before):
        fields.push(before)
    skip = fields.waiting
    for frame in _chain(first, rest):
        if not fields.takes(frame):
            yield from fields.finish()[skip:]
            fields, skip = _Bwdif(frame), 0
        made = fields.push(frame)
        yield from made[skip:]
        skip = max(skip - len(made), 0)
    yield from fields.finish()[skip:]


class _Bwdif:
    """FFmpeg's deinterlacer for frames of one size and format, one frame out for each in."""

    def __init__(self, frame: Any) -> None:
        self._takes = (frame.width, frame.height, frame.format.name)
        self._waiting: deque[tuple[int | None, Any]] = deque()
        self._graph = av.filter.Graph()
        self._graph.link_nodes(
            self._graph.add_buffer(template=frame, time_base=Fraction(1)),
            self._graph.add("bwdif", "mode=send_frame:deint=interlaced"),
            self._graph.add("buffersink"),
        ).configure()

    @property
    def waiting(self) -> int:
        """How many frames were taken and not yet given."""
        return len(self._waiting)

    def takes(self, frame: Any) -> bool:
        return (frame.width, frame.height, frame.format.name) == self._takes

    def push(self, frame: Any) -> list[Any]:
        self._waiting.append((frame.pts, frame.time_base))
        self._graph.push(frame)
        return self._pulled()

    def finish(self) -> list[Any]:
        self._graph.push(None)
        return self._pulled()

    def _pulled(self) -> list[Any]:
        made: list[Any] = []
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return made
            frame.pts, frame.time_base = self._waiting.popleft()
            made.append(frame)


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
