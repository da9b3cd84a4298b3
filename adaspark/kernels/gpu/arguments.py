"""The arguments of the GPU kernels in named groups, each in the order of the kernels' parameters.

A kernel takes its groups one after the other: `kernel[grid](*queries, *keys, ...)`. Axes as in
`tile_kernel.py`; strides are in elements, the last one of every tensor is 1.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from adaspark.kernels.gpu.plan import TilePlan
from adaspark.kernels.gpu.rows import Rows
from adaspark.kernels.gpu.tables import KeyBlocks, Pairs


class Strided(NamedTuple):
    """A tensor [heads, rows, D] by its strides: queries, keys, values or output."""

    tensor: Tensor
    head_stride: int
    row_stride: int

    @classmethod
    def of(cls, tensor: Tensor) -> Strided:
        """With the strides of `tensor`."""
        return cls(tensor, *tensor.stride()[:2])


class RowGeometry(NamedTuple):
    """Where the rows stand and what they may see: int32 [R], `text_seen` int32 [T]."""

    places: Tensor
    video_before: Tensor
    text_before: Tensor
    text_seen: Tensor
    R: int

    @classmethod
    def of(cls, rows: Rows, plan: TilePlan) -> RowGeometry:
        """Of `rows` in the tiles of `plan`."""
        _, text_seen = rows.tiles(plan.size)
        return cls(rows.places, rows.video_before, rows.text_before, text_seen, rows.count)


class KeyGeometry(NamedTuple):
    """Where the keys stand: `positions` int64 [C * M + X], `tokens` int32 [C * M]."""

    positions: Tensor
    tokens: Tensor
    text_start: int
    text_keys: int

    @classmethod
    def of(cls, blocks: KeyBlocks) -> KeyGeometry:
        """Of all keys of a sequence."""
        text_keys = len(blocks.positions) - blocks.text_start
        return cls(blocks.positions, blocks.tokens, blocks.text_start, text_keys)


class Selection(NamedTuple):
    """The cubes of each row and of each tile: int32 [H, W, C], [H, T, C] and [H, T, 2]."""

    selected: Tensor
    cubes: Tensor
    counts: Tensor
    W: int
    T: int
    C: int

    @classmethod
    def of(cls, plan: TilePlan) -> Selection:
        """Of all tiles of a plan."""
        words, cubes = plan.selected.shape[1:]
        return cls(plan.selected, plan.cubes, plan.counts, words, plan.tiles, cubes)


class Partials(NamedTuple):
    """Gathered results of (row, cube) pairs [P, D], and where those of a row are: [H, rows]."""

    results: Tensor
    log_sums: Tensor
    first: Tensor
    number: Tensor
    rows: int

    @classmethod
    def of(cls, pairs: Pairs) -> Partials:
        """Of all pairs that were gathered for some tiles."""
        return cls(pairs.results, pairs.log_sums, pairs.first, pairs.count, pairs.count.shape[-1])
