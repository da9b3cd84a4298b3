"""What many queries of one layer chose, in sums: a recorder needs no more of queries of video.

A backend that computes a whole layer at once reports these sums, and no segment by itself. Axes:
H query heads, n queries, Q query cubes, C cubes that any of the queries may choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol, Self

import torch
from torch import Tensor

from adaspark.method.attention import Choice, Observer
from adaspark.method.segment import Segment


class Words(Protocol):
    """What the segments of text of a layer chose, yet to be found."""

    @property
    def segments(self) -> Sequence[Segment]:
        """Those of text: the same in all layers."""

    @property
    def device(self) -> torch.device:
        """Where they will be found."""

    @property
    def nbytes(self) -> int:
        """Of what is kept until then."""

    def found(self, layers: Sequence[Self]) -> Iterator[tuple[Segment, Tensor, Tensor]]:
        """Each segment with probabilities fp32 and choices bool [L, H, m, C] in these layers."""


@dataclass(frozen=True, eq=False)
class Known:
    """One segment whose probabilities and choices [H, m, C] are known."""

    segments: Sequence[Segment]
    probs: Tensor
    kept: Tensor

    @property
    def device(self) -> torch.device:
        """Of its tensors."""
        return self.probs.device

    @property
    def nbytes(self) -> int:
        """Of its tensors."""
        return self.probs.nbytes + self.kept.nbytes

    def found(self, layers: Sequence[Known]) -> Iterator[tuple[Segment, Tensor, Tensor]]:
        """Put together."""
        probs, kept = (torch.stack([getattr(of, name) for of in layers]) for name in _TABLES)
        yield self.segments[0], probs, kept


_TABLES = ("probs", "kept")


@dataclass(frozen=True, eq=False)
class Tally:
    """The choices of consecutive `segments`, those of text after those of video.

    `attended` int32 [Q, C] counts the (head, query) pairs of query cube `first_cube` + q that
    attend to a cube, their own included; `entropies` fp32 [H, n] are in nats, of the queries of
    video. `pairs()` int64 [2] counts (query, key) pairs over all heads: keys of cubes that are
    attended to, and all keys that were multiplied. `words` are those of text, None if there is
    none. Both are found when they are asked for, from little that is kept till then; nothing here
    has waited for the device.
    """

    segments: Sequence[Segment]
    first_cube: int
    attended: Tensor
    entropies: Tensor
    pairs: Callable[[], Tensor]
    words: Words | None = None


class Later:
    """A tally that is yet to be summed by `make`, from `nbytes` of tensors that are kept till then:
    once, whoever asks.
    """

    def __init__(self, make: Callable[[], Tally], nbytes: int) -> None:
        self._make: Callable[[], Tally] | None = make
        self._nbytes, self._lock = nbytes, Lock()
        self._tally: Tally | None = None

    @property
    def tally(self) -> Tally:
        """The sums."""
        with self._lock:
            if self._make is not None:
                self._tally, self._make = self._make(), None
        assert self._tally is not None, "it is made, or making it has raised"
        return self._tally

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that are kept now."""
        if (found := self._tally) is None:
            return self._nbytes
        return found.attended.nbytes + found.entropies.nbytes


@dataclass(frozen=True)
class TallyObserver:
    """An observer that is content with sums where a backend has them, at once or later."""

    observe: Observer
    add: Callable[[Tally | Later], None]

    def __call__(self, segment: Segment, choice: Choice) -> None:
        """One segment's choice."""
        self.observe(segment, choice)


def video_queries(segments: Sequence[Segment]) -> int:
    """How many of the queries are video: they come first."""
    return sum(len(segment.positions) for segment in segments if not segment.is_text)
