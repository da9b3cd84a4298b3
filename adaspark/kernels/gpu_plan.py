"""From wishes to work: which cubes a tile of rows computes together, and which rows go alone.

A tile computes an entry (a cube that some of its rows want) for all its rows, wanted or not. Where
few rows want it, they are cheaper gathered with the rows of other tiles (`gpu_merge.py`). Axes: H
heads, W groups of 32 rows, T tiles, C cubes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu_device import popcount
from adaspark.kernels.gpu_tables import WORD, KeyBlocks, Rows

PAIR_KEYS = 440
"""A gathered (row, cube) pair's own cost (its query, its partial result), in keys of a tile row:
441 and 440 on an H200 with cubes of 256 and 128 (128K tokens, density 0.2: what gathering took at
inflation 4 over what tiles took at 1, at commit 439a03cbfc8e)."""
LEAST_GAIN = 0.1
"""A head's entries are gathered where that saves more than this share of its time."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The work of each tile of `size` rows.

    `wanted` int32 [H, W, C] as from `gpu_gate.choose`; `agree` uint8 [H, T, C] counts the rows of a
    tile that want a cube; `least` int32 [H]: with fewer rows an entry is gathered. `cubes` int32
    [H, T, C] begins with the cubes that a tile computes, ascending; `counts` int32 [H, T, 2] says
    how many of them all its rows see whole, and how many there are.
    """

    wanted: Tensor
    agree: Tensor
    least: Tensor
    cubes: Tensor
    counts: Tensor
    size: int

    @property
    def tiles(self) -> int:
        """T."""
        return self.counts.shape[1]


@triton.jit(do_not_specialize=["W", "T"])
def _agree_kernel(wanted, agree, W, T, C, WORDS: tl.constexpr, BLOCK_C: tl.constexpr):
    head, tile = tl.program_id(0), tl.program_id(1)
    cubes = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
    rows = tl.zeros([BLOCK_C], tl.int32)
    for i in tl.static_range(WORDS):
        group = tile * WORDS + i
        line = (head * W + group).to(tl.int64) * C
        known = tl.where(group < W, C, 0)  # the last tile may have fewer groups
        word = tl.load(wanted + line + cubes, mask=cubes < known, other=0)
        rows += popcount(word)
    line = (head * T + tile).to(tl.int64) * C
    tl.store(agree + line + cubes, rows.to(tl.uint8), mask=cubes < C)


@triton.jit(do_not_specialize=["T"])
def _list_kernel(agree, least, whole_cubes, cubes, counts, T, C, BLOCK_C: tl.constexpr):
    head, tile = tl.program_id(0), tl.program_id(1)
    fewest = tl.load(least + head)
    end_whole = tl.load(whole_cubes + tile)
    line = (head * T + tile).to(tl.int64) * C
    found = 0
    whole = 0
    for start in range(0, C, BLOCK_C):
        cube = start + tl.arange(0, BLOCK_C)
        rows = tl.load(agree + line + cube, mask=cube < C, other=0).to(tl.int32)
        taken = (rows >= fewest).to(tl.int32)
        place = found + tl.cumsum(taken, 0) - 1
        tl.store(cubes + line + place, cube, mask=taken > 0)
        found += tl.sum(taken, 0)
        whole += tl.sum(taken * (cube < end_whole).to(tl.int32), 0)
    tl.store(counts + (head * T + tile) * 2, whole)
    tl.store(counts + (head * T + tile) * 2 + 1, found)


def plan(wanted: Tensor, blocks: KeyBlocks, rows: Rows, *, size: int, gather: bool) -> Plan:
    """The work of tiles of `size` rows; `gather` allows entries to be gathered."""
    heads, _, cubes = wanted.shape
    whole, _ = rows.tiles(size)
    tiles = len(whole)
    agree = agreement(wanted, size=size)
    least = _least(agree, size, blocks.slots) if gather else _at_least_one(agree)
    listed = torch.empty(heads, tiles, cubes, dtype=torch.int32, device=wanted.device)
    counts = torch.empty(heads, tiles, 2, dtype=torch.int32, device=wanted.device)
    _list_kernel[heads, tiles](agree, least, whole, listed, counts, tiles, cubes, _width(cubes))
    return Plan(wanted, agree, least, listed, counts, size)


def agreement(wanted: Tensor, *, size: int) -> Tensor:
    """uint8 [H, T, C]: how many rows of each tile of `size` rows want a cube."""
    heads, words, cubes = wanted.shape
    tiles = triton.cdiv(words * WORD, size)
    agree = torch.empty(heads, tiles, cubes, dtype=torch.uint8, device=wanted.device)
    if cubes:
        grid = (heads, tiles, triton.cdiv(cubes, _width(cubes)))
        _agree_kernel[grid](wanted, agree, words, tiles, cubes, size // WORD, _width(cubes))
    return agree


def _width(cubes: int) -> int:
    return int(min(1024, triton.next_power_of_2(max(cubes, 16))))


def _at_least_one(agree: Tensor) -> Tensor:
    return torch.ones(agree.shape[0], dtype=torch.int32, device=agree.device)


def _least(agree: Tensor, size: int, slots: int) -> Tensor:
    """int32 [H]: rows that make an entry worth a tile, 1 for a head that gains little otherwise.

    A tile pays `slots` products for each of its rows, a gathered row those and PAIR_KEYS.
    """
    fewest = max(1, size * slots // (slots + PAIR_KEYS))
    by_tile = (agree > 0).sum((1, 2)) * size * slots
    few = (agree > 0) & (agree < fewest)
    saved = few.sum((1, 2)) * size * slots - (agree * few).sum((1, 2)) * (slots + PAIR_KEYS)
    return torch.where(saved > LEAST_GAIN * by_tile, fewest, 1).int()
