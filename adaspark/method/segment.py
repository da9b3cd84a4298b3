"""Segments: the queries of a sequence in pieces that see alike, and the pairs that each computes.

Axes: N tokens, C cubes, H heads, n queries of a segment.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.method.layout import CubeLayout
from adaspark.method.token_positions import TokenPositions

SEGMENT_QUERIES = 1024  # bounds the (head, query, cube) tables that are alive at one time


@dataclass(frozen=True, eq=False)
class Segment:
    """Queries that share one prefix of cubes and text: part of a slab, or a run of text.

    `positions` int64 [n]: where the queries stand in the sequence. Key visibility is two prefixes:
    video token j is visible to query i when `j < video_before[i]`, text token j when
    `j < text_before[i]` (both int64 [n], the query itself counted). `own_cube` int64 [n], -1 for
    text. Cubes [0, partial_cube) are wholly visible to all queries, [partial_cube, end_cube) to
    some or in part, likewise text with `partial_text` and `end_text`. `is_text`: the queries are
    text, which has no cube of its own.
    """

    layout: CubeLayout
    positions: Tensor
    video_before: Tensor
    text_before: Tensor
    own_cube: Tensor
    partial_cube: int
    end_cube: int
    partial_text: int
    end_text: int
    is_text: bool = False

    @property
    def is_partial(self) -> bool:
        """Whether some cube is visible in part: always for video, for text between its slices."""
        return self.partial_cube < self.end_cube

    @cached_property
    def text_pairs(self) -> int:
        """(query, text key) pairs of these queries, one head: always computed."""
        return int(self.text_before.sum())

    @cached_property
    def causal_pairs(self) -> int:
        """(query, key) pairs that dense attention computes for these queries, one head."""
        return int(self.video_before.sum()) + self.text_pairs

    @cached_property
    def weighed_pairs(self) -> int:
        """(query, candidate cube) pairs that choosing weighs, one head."""
        return int(self.candidate_counts.sum())

    @property
    def candidates(self) -> Tensor:
        """bool [n, end_cube]: cubes with at least one visible key, except the query's own.

        Made anew: all segments' together would be as large as queries times cubes.
        """
        own = self.own_mask
        whole = torch.ones_like(own[:, : self.partial_cube])
        return torch.cat([whole, self.partly_visible_tokens > 0], dim=1) & ~own

    @cached_property
    def candidate_counts(self) -> Tensor:
        """int64 [n]: how many candidates each query has; its own cube is none."""
        return self.layout.cubes_begun[self.video_before] - int(not self.is_text)

    @property
    def own_mask(self) -> Tensor:
        """bool [n, end_cube]: each query's own cube. Made anew, as `candidates`."""
        cube = torch.arange(self.end_cube, device=self.own_cube.device)
        return cube[None, :] == self.own_cube[:, None]

    @cached_property
    def runs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of queries of video, on the host: the first of each run that is of one cube, and the cube
        of each run. They stand cube by cube.
        """
        own = self.own_cube.cpu().numpy()
        first = np.flatnonzero(np.diff(own, prepend=-1))
        return first, own[first]

    @cached_property
    def partly_visible_tokens(self) -> Tensor:
        """int64 [n, end_cube - partial_cube]: tokens of the last cubes that each query may see."""
        if not self.is_partial:
            return self.own_cube.new_zeros(len(self.own_cube), 0)
        seen = self.layout.tokens_seen[self.video_before - 1]
        return seen[:, : self.end_cube - self.partial_cube].long()

    def heads_attending(self, kept: Tensor) -> Tensor:
        """uint8 [n, end_cube]: how many heads of each query attend to each cube, its own included.

        `kept` bool [H, n, end_cube] is what they chose. (No model has 256 heads.)
        """
        attending = kept.view(torch.uint8).sum(0, dtype=torch.uint8)
        if self.is_text:
            return attending
        return attending.scatter_(1, self.own_cube[:, None], len(kept))

    def computed_pairs(self, attending: Tensor, heads: int) -> Tensor:
        """int64 [n]: keys that each query reads, summed over `heads`, from `heads_attending`."""
        partial = self.partial_cube
        whole = attending[:, :partial] * self.layout.cube_sizes[:partial]
        partly = attending[:, partial:] * self.partly_visible_tokens
        return whole.sum(1) + partly.sum(1) + heads * self.text_before


def cut(sequence: TokenPositions, start: int) -> list[Segment]:
    """The queries at positions >= `start`, cut into segments; video slabs in cube order."""
    return [*_slabs(sequence, start), *_texts(sequence, start)]


def _slabs(sequence: TokenPositions, start: int) -> Iterator[Segment]:
    """All at once, then cut: the device is waited for once, not twice a segment."""
    layout = sequence.layout
    tokens = layout.cube_from_token.argsort(stable=True)  # cubes are numbered slab by slab
    sizes = [slab.end_token - slab.first_token for slab in layout.slabs]
    if start:
        kept = sequence.video_positions[tokens] >= start
        sizes = [int(part.sum()) for part in torch.split(kept.cpu(), sizes)]
        tokens = tokens[kept]
    positions = sequence.video_positions[tokens]
    video_before, own_cube = tokens + 1, layout.cube_from_token[tokens]
    text_before = torch.searchsorted(sequence.text_positions, positions, right=True)
    text_seen = text_before.cpu()
    end = 0
    for slab, size in zip(layout.slabs, sizes, strict=True):
        first, end = end, end + size
        for at in range(first, end, SEGMENT_QUERIES):
            part = slice(at, min(at + SEGMENT_QUERIES, end))
            yield Segment(
                layout=layout,
                positions=positions[part],
                video_before=video_before[part],
                text_before=text_before[part],
                own_cube=own_cube[part],
                partial_cube=slab.first_cube,
                end_cube=slab.end_cube,
                partial_text=int(text_seen[part].min()),
                end_text=int(text_seen[part].max()),
            )


def _texts(sequence: TokenPositions, start: int) -> Iterator[Segment]:
    """Runs of text that no video interrupts."""
    text = sequence.text_positions[sequence.text_positions >= start]
    if not len(text):
        return
    before = torch.searchsorted(sequence.video_positions, text)
    _, runs = torch.unique_consecutive(before, return_counts=True)
    for run, seen in zip(
        torch.split(text, runs.tolist()), torch.split(before, runs.tolist()), strict=True
    ):
        partial, end = _cubes_before(sequence.layout, int(seen[0]))
        for part in torch.split(run, SEGMENT_QUERIES):
            text_before = torch.searchsorted(sequence.text_positions, part, right=True)
            yield Segment(
                sequence.layout,
                positions=part,
                video_before=torch.full_like(part, int(seen[0])),
                text_before=text_before,
                own_cube=torch.full_like(part, -1),
                partial_cube=partial,
                end_cube=end,
                partial_text=int(text_before[0]),
                end_text=int(text_before[-1]),
                is_text=True,
            )


def _cubes_before(layout: CubeLayout, video_tokens: int) -> tuple[int, int]:
    """How many cubes are whole among the first video tokens, and how many are begun."""
    if video_tokens == 0:
        return 0, 0
    last = layout.slabs[bisect_left(layout.slabs, video_tokens, key=lambda slab: slab.end_token)]
    is_whole = last.end_token == video_tokens
    return last.end_cube if is_whole else last.first_cube, last.end_cube
