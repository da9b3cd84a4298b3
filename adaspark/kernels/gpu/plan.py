"""From the selected-block mask to work: what a tile of rows computes together, what is gathered.

A tile computes an entry (a cube that some of its rows selected) for all its rows. If only few rows
selected it, gathering them with rows of other tiles is cheaper (`gather_kernel.py`). Axes: H heads,
W groups of 32 rows, T tiles, C cubes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu.bits import WORD
from adaspark.kernels.gpu.device import popcount
from adaspark.kernels.gpu.rows import Rows
from adaspark.kernels.gpu.sizes import cdiv, next_power_of_2
from adaspark.kernels.gpu.tables import KeyBlocks
from adaspark.kernels.gpu.thresholds import Thresholds


@dataclass(frozen=True, eq=False)
class TilePlan:
    """The work of each tile of `size` rows.

    `selected` int32 [H, W, C] as `block_selection` has; `attending_rows` uint8 [H, T, C] counts the
    rows of a tile that selected a cube; `min_rows` int32 [H]: an entry of fewer rows is
    gathered. `cubes` int32 [H, T, C] begins with the cubes that a tile computes, ascending;
    `counts` int32 [H, T, 2] says how many of them all its rows see whole, and how many there are.
    """

    selected: Tensor
    attending_rows: Tensor
    min_rows: Tensor
    cubes: Tensor
    counts: Tensor
    size: int

    @property
    def tiles(self) -> int:
        """T."""
        return self.counts.shape[1]


@triton.jit(do_not_specialize=["W", "T"])
def _count_attending_kernel(
    selected, attending_rows, W, T, C, WORDS: tl.constexpr, BLOCK_C: tl.constexpr
):
    """One head, one tile of WORDS words of rows, some cubes: how many rows selected each.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | selected | int32 | [H, W, C], a bit a row |
    | attending_rows | uint8 | [H, T, C]: written |
    """
    head, tile = tl.program_id(0), tl.program_id(1)
    cubes = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
    rows = tl.zeros([BLOCK_C], tl.int32)
    for i in tl.static_range(WORDS):
        group = tile * WORDS + i
        line = (head * W + group).to(tl.int64) * C
        known = tl.where(group < W, C, 0)  # the last tile may have fewer groups
        word = tl.load(selected + line + cubes, mask=cubes < known, other=0)  # [BLOCK_C]
        rows += popcount(word)
    line = (head * T + tile).to(tl.int64) * C
    tl.store(attending_rows + line + cubes, rows.to(tl.uint8), mask=cubes < C)


@triton.jit(do_not_specialize=["T"])
def _list_kernel(attending_rows, min_rows, whole_cubes, cubes, counts, T, C, BLOCK_C: tl.constexpr):
    """One head, one tile: the cubes that it computes, those that all its rows see whole first.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | attending_rows | uint8 | [H, T, C] |
    | min_rows | int32 | [H] |
    | whole_cubes | int32 | [T]: cubes that all rows of a tile see whole |
    | cubes, counts | int32 | [H, T, C], [H, T, 2]: written |
    """
    head, tile = tl.program_id(0), tl.program_id(1)
    enough = tl.load(min_rows + head)
    end_whole = tl.load(whole_cubes + tile)
    line = (head * T + tile).to(tl.int64) * C
    found = 0
    whole = 0
    for start in range(0, C, BLOCK_C):
        cube = start + tl.arange(0, BLOCK_C)
        rows = tl.load(attending_rows + line + cube, mask=cube < C, other=0).to(
            tl.int32
        )  # [BLOCK_C]
        taken = (rows >= enough).to(tl.int32)
        place = found + tl.cumsum(taken, 0) - 1
        tl.store(cubes + line + place, cube, mask=taken > 0)
        found += tl.sum(taken, 0)
        whole += tl.sum(taken * (cube < end_whole).to(tl.int32), 0)
    tl.store(counts + (head * T + tile) * 2, whole)
    tl.store(counts + (head * T + tile) * 2 + 1, found)


def plan(
    selected: Tensor, blocks: KeyBlocks, rows: Rows, *, size: int, gather: Thresholds | None = None
) -> TilePlan:
    """The work of tiles of `size` rows; `gather`, if given, says which entries are gathered."""
    heads, _, cubes = selected.shape
    whole, _ = rows.tiles(size)
    tiles = len(whole)
    attending_rows = count_attending(selected, size=size)
    min_rows = (
        _at_least_one(attending_rows)
        if gather is None
        else _min_rows(attending_rows, size, blocks.slots, gather)
    )
    listed = torch.empty(heads, tiles, cubes, dtype=torch.int32, device=selected.device)
    counts = torch.empty(heads, tiles, 2, dtype=torch.int32, device=selected.device)
    _list_kernel[heads, tiles](
        attending_rows, min_rows, whole, listed, counts, tiles, cubes, _width(cubes)
    )
    return TilePlan(selected, attending_rows, min_rows, listed, counts, size)


def count_attending(selected: Tensor, *, size: int) -> Tensor:
    """uint8 [H, T, C]: how many rows of each tile of `size` rows selected a cube."""
    heads, words, cubes = selected.shape
    tiles = cdiv(words * WORD, size)
    attending_rows = torch.empty(heads, tiles, cubes, dtype=torch.uint8, device=selected.device)
    if cubes:
        grid = (heads, tiles, cdiv(cubes, _width(cubes)))
        _count_attending_kernel[grid](
            selected, attending_rows, words, tiles, cubes, size // WORD, _width(cubes)
        )
    return attending_rows


def _width(cubes: int) -> int:
    return int(min(1024, next_power_of_2(max(cubes, 16))))


def _at_least_one(attending_rows: Tensor) -> Tensor:
    return torch.ones(attending_rows.shape[0], dtype=torch.int32, device=attending_rows.device)


def _min_rows(attending_rows: Tensor, size: int, slots: int, thresholds: Thresholds) -> Tensor:
    """int32 [H]: rows that make an entry worth a tile, 1 for a head that gains little otherwise.

    A tile pays `slots` products for each of its rows, a gathered row those and `pair_keys`.
    """
    pair_slots = slots + thresholds.pair_keys
    enough = max(1, size * slots // pair_slots)
    by_tile = (attending_rows > 0).sum((1, 2)) * size * slots
    few = (attending_rows > 0) & (attending_rows < enough)
    gathered = (attending_rows * few).sum((1, 2)) * pair_slots
    saved = few.sum((1, 2)) * size * slots - gathered
    return torch.where(saved > thresholds.min_gain * by_tile, enough, 1).int()
