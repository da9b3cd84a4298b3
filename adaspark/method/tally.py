"""What many queries of one layer chose, in sums: a recorder needs no more of queries of video.

A backend that computes a whole layer at once reports these sums, and no segment by itself. Axes:
H query heads, n queries, Q query cubes, C cubes that any of the queries may choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from adaspark.method.attention import Choice, Observer
from adaspark.method.sequence import Segment


@dataclass(frozen=True, eq=False)
class Tally:
    """The choices of consecutive `segments`, those of text after those of video.

    `attended` int32 [Q, C] counts the (head, query) pairs of query cube `first_cube` + q that
    attend to a cube, their own included; `entropies` fp32 [H, n] are in nats, of the queries of
    video. `pairs()` int64 [2] counts (query, key) pairs over all heads: keys of cubes that are
    attended to, and all keys that were multiplied. `words` has `probs` and `kept` [H, m, C] of each
    segment of text. Nothing here has waited for the device.
    """

    segments: Sequence[Segment]
    first_cube: int
    attended: Tensor
    entropies: Tensor
    pairs: Callable[[], Tensor]
    words: Sequence[tuple[Segment, Tensor, Tensor]]


@dataclass(frozen=True)
class TallyObserver:
    """An observer that is content with sums where a backend has them."""

    observe: Observer
    add: Callable[[Tally], None]

    def __call__(self, segment: Segment, choice: Choice) -> None:
        """One segment's choice."""
        self.observe(segment, choice)


def video_queries(segments: Sequence[Segment]) -> int:
    """How many of the queries are video: they come first."""
    return sum(len(segment.positions) for segment in segments if not segment.is_text)
