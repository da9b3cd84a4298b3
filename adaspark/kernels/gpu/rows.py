"""Queries as the GPU kernels read them: flat rows of consecutive segments, cut into tiles.

Torch only, no kernel. Axes: R rows, T tiles of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from adaspark.kernels.gpu.bits import WORD
from adaspark.method.segment import Segment
from adaspark.method.tally import video_queries


@dataclass(frozen=True, eq=False)
class Rows:
    """Queries of consecutive segments, one row each.

    `positions` int64 [R] in the sequence; int32 [R] each: `places` among the queries that were
    given, and the segments' `video_before`, `text_before` and `own_cube` of every row;
    `whole_cubes` and `text_seen` are its segment's `partial_cube` and `end_text`. `end_cube` is the
    most that any of them may choose from.
    """

    positions: Tensor
    places: Tensor
    video_before: Tensor
    text_before: Tensor
    own_cube: Tensor
    whole_cubes: Tensor
    text_seen: Tensor
    end_cube: int
    segments: Sequence[Segment]

    @classmethod
    def of(cls, segments: Sequence[Segment], start: int) -> Rows:
        """The rows of `segments`, whose queries begin at `start` in the sequence."""
        positions = torch.cat([s.positions for s in segments])

        def spread(values: Sequence[int]) -> Tensor:
            of_rows = np.repeat(np.asarray(values, np.int32), [len(s.positions) for s in segments])
            return torch.from_numpy(of_rows).to(positions.device)

        def joined(name: str) -> Tensor:
            return torch.cat([getattr(s, name) for s in segments]).int()

        return cls(
            positions=positions,
            places=(positions - start).int(),
            video_before=joined("video_before"),
            text_before=joined("text_before"),
            own_cube=joined("own_cube"),
            whole_cubes=spread([s.partial_cube for s in segments]),
            text_seen=spread([s.end_text for s in segments]),
            end_cube=max(s.end_cube for s in segments),
            segments=segments,
        )

    @property
    def count(self) -> int:
        """R."""
        return len(self.places)

    @cached_property
    def video_count(self) -> int:
        """How many of the rows are video: they come first."""
        return video_queries(self.segments)

    @property
    def words(self) -> int:
        """Groups of rows whose bits share a word."""
        return ceil(self.count / WORD)

    def grouped_heads(self, share: int, queries: int) -> Rows:
        """The `share` heads of a KV group as rows of one head, with `queries` places a head."""
        if share == 1:
            return self
        names = ("positions", "video_before", "text_before", "own_cube", "whole_cubes", "text_seen")
        repeated = {name: getattr(self, name).repeat(share) for name in names}
        places = [self.places + head * queries for head in range(share)]
        return replace(self, places=torch.cat(places), **repeated)

    @cached_property
    def _end_cubes(self) -> list[int]:
        """By word of rows: the most cubes that any of its rows may choose from."""
        ends = [segment.end_cube for segment in self.segments]
        sizes = [len(segment.positions) for segment in self.segments]
        by_row = np.tile(np.repeat(ends, sizes), self.count // sum(sizes))
        words = np.maximum.reduceat(by_row, range(0, self.count, WORD))
        return [int(cubes) for cubes in words]

    @cached_property
    def _parted(self) -> dict[tuple[int, int], list[tuple[slice, int]]]:
        return {}

    def parts(self, *, max_scores: int, merged_cubes: int) -> list[tuple[slice, int]]:
        """Runs of rows, whole words each, and the cubes that they may choose from.

        Rows times cubes are `max_scores` at most, though a single word may be more. Beyond
        `merged_cubes` a run does not mix rows that see up to twice as much as others: widths are
        powers of two.
        """
        key = max_scores, merged_cubes
        if key not in self._parted:
            found: list[tuple[slice, int]] = []
            for word, cubes in enumerate(self._end_cubes):
                start, stop = word * WORD, min((word + 1) * WORD, self.count)
                run, width = found[-1] if found else (slice(0, 0), 0)
                few = max(cubes, width) <= merged_cubes
                alike = few or (cubes - 1).bit_length() == (width - 1).bit_length()
                if found and alike and (stop - run.start) * max(width, cubes) <= max_scores:
                    found[-1] = (slice(run.start, stop), max(width, cubes))
                else:
                    found.append((slice(start, stop), cubes))
            self._parted[key] = found
        return self._parted[key]

    @cached_property
    def seen_cubes(self) -> Tensor:
        """int32 [R]: how many cubes each row sees a token of: the first ones, for cubes are
        numbered in the order of their first tokens.
        """
        layout = self.segments[0].layout
        if not layout.cubes:
            return torch.zeros_like(self.video_before)
        first = layout.first_token_from_cube.int()
        return torch.searchsorted(first, self.video_before, out_int32=True)

    @cached_property
    def partly_visible(self) -> Tensor:
        """int32 [R, most]: tokens that each row sees of the cubes from its `whole_cubes` on; of a
        row of text 0, unless it stands between slices of a video.
        """
        layout = self.segments[0].layout
        last = (self.video_before - 1).clamp_min(0)
        begun = (layout.cube_from_token[last] >= self.whole_cubes) & (self.video_before > 0)
        return layout.tokens_seen[last].masked_fill(~begun[:, None], 0)

    @cached_property
    def _tiled(self) -> dict[int, tuple[Tensor, Tensor]]:
        return {}

    def tiles(self, size: int) -> tuple[Tensor, Tensor]:
        """int32 [T] each, of tiles of `size` rows: cubes that all rows see whole, text keys."""
        if size not in self._tiled:
            short = -self.count % size
            whole = pad(self.whole_cubes, (0, short), value=self.end_cube).view(-1, size)
            text = pad(self.text_seen, (0, short)).view(-1, size)
            self._tiled[size] = whole.amin(1), text.amax(1)
        return self._tiled[size]


def chunks(segments: Sequence[Segment], *, heads: int, max_bytes: int) -> list[list[Segment]]:
    """Consecutive segments whose masks, a bit a (head, row, cube), take `max_bytes` at most.

    A segment that is larger alone still makes a chunk.
    """
    found: list[list[Segment]] = []
    rows = cubes = 0
    for segment in segments:
        rows, cubes = rows + len(segment.positions), max(cubes, segment.end_cube)
        if not found or heads * rows * cubes / 8 > max_bytes:
            found.append([])
            rows, cubes = len(segment.positions), segment.end_cube
        found[-1].append(segment)
    return found
