"""AdaS-Attn of a few new text tokens: five launches, and the host never waits for the device.

New text sees every cube whole, so there is nothing to plan: here rows are scored against the fp32
means, and the nucleus of each is found; `decode_attention.py` then reads the keys. Axes: H heads,
G KV heads, S new tokens, C cubes, D head dimension.
"""

from __future__ import annotations

from math import e as EULER
from math import log2

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu.block_selection import MAX_CUBES, lowest_bits
from adaspark.kernels.gpu.nucleus import nucleus
from adaspark.kernels.gpu.sizes import cdiv, next_power_of_2

MAX_ROWS = 64
"""Rows of a KV group that still fit a tile."""
MEANS_AT_ONCE = 32
"""Cubes that a program scores."""
WARP_SCORES = 512
"""Scores of a row that a warp holds: there are few rows, so that each has many warps."""


@triton.jit(do_not_specialize=["C", "count"])
def _score_kernel(
    queries,
    means,
    scores,
    slot,
    query_head,
    query_row,
    scale,
    C,
    count,
    SHARE: tl.constexpr,
    D: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """Some cubes of one group against all its rows, by fp32 products.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | queries | bf16, fp16 or fp32 | [H, S, D] (query_head, query_row, 1) |
    | means | fp32 | [G, C, D] |
    | scores | fp32 | [slots, H, S, C]: written |
    | slot | int32 | [1], which of the slots is written; None: there is one |
    """
    group = tl.program_id(0)
    if slot is not None:
        scores += tl.load(slot).to(tl.int64) * tl.num_programs(0) * SHARE * count * C
    cubes = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    width = tl.arange(0, D)
    at = (group * C + cubes).to(tl.int64)[:, None] * D + width[None, :]
    mean = tl.load(means + at, mask=cubes[:, None] < C, other=0.0)  # [BLOCK_C, D]
    for row in range(SHARE * count):
        head = (group * SHARE + row // count).to(tl.int64)
        query = tl.load(queries + head * query_head + row % count * query_row + width)  # [D]
        found = tl.sum(mean * query.to(tl.float32)[None, :], 1) * scale
        line = (group * SHARE * count + row).to(tl.int64) * C
        tl.store(scores + line + cubes, found, mask=cubes < C)


@triton.jit(do_not_specialize=["C", "lowest"])
def _nucleus_kernel(scores, selected, slot, p, C, lowest, BLOCK_C: tl.constexpr):
    """The nucleus of one row: every cube is a candidate.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | scores | fp32 | [slots, H * S, C], exponents of two |
    | selected | uint8 | [slots, H * S, C]: written |
    | slot | int32 | [1], which of the slots is read and written; None: there is one |
    """
    cubes = tl.arange(0, BLOCK_C)[None, :]
    row = tl.program_id(0).to(tl.int64)
    if slot is not None:
        row += tl.load(slot).to(tl.int64) * tl.num_programs(0)
    at = row * C + cubes
    known = tl.load(scores + at, mask=cubes < C, other=-float("inf"))  # [1, BLOCK_C]
    none = tl.zeros([1], tl.float32)
    bits, threshold, _, _ = nucleus(known, none + 1.0 / C, none, p, lowest)
    tl.store(selected + at, (bits >= threshold[:, None]).to(tl.uint8), mask=cubes < C)


def fits(queries: Tensor, groups: int, *, added: int, cubes: int) -> bool:
    """Whether these queries are all new text, of which `added` tokens came, and few enough."""
    heads, count, _ = queries.shape
    return count <= added and holds(heads // groups * count, cubes)


def holds(rows: int, cubes: int) -> bool:
    """Whether so many rows of a KV group fit a tile, and so many cubes a program."""
    return rows <= MAX_ROWS and 0 < cubes <= MAX_CUBES


def choose(queries: Tensor, means: Tensor, *, p: float, scale: float) -> Tensor:
    """uint8 [H, S, C]: the cubes that each row attends to, for queries [H, S, D] and 0 < p < 1.

    `means` fp32 [G, C, D] are multiplied as they are, without matrix units.
    """
    return kept(score(queries, means, scale=scale), p=p)


def score(
    queries: Tensor,
    means: Tensor,
    *,
    scale: float,
    into: Tensor | None = None,
    slot: Tensor | None = None,
) -> Tensor:
    """fp32 [H, S, C]: the scores of each row as exponents of two.

    They may be written `into` [slots, H, S, C] at the `slot` int32 [1] that the device names.
    """
    heads, count, width = queries.shape
    groups, cubes, _ = means.shape
    scores = queries.new_empty(heads, count, cubes, dtype=torch.float32) if into is None else into
    _score_kernel[groups, cdiv(cubes, MEANS_AT_ONCE)](
        queries,
        means.contiguous(),
        *(scores, slot),
        *queries.stride()[:2],
        scale * log2(EULER),
        cubes,
        count,
        SHARE=heads // groups,
        D=width,
        BLOCK_C=MEANS_AT_ONCE,
    )
    return scores


def kept(
    scores: Tensor, *, p: float, into: Tensor | None = None, slot: Tensor | None = None
) -> Tensor:
    """uint8 [H, S, C]: the nucleus of each row of scores; with a `slot`, as `score` has it."""
    heads, count, cubes = scores.shape[-3:]
    selected = torch.empty_like(scores, dtype=torch.uint8) if into is None else into
    block = next_power_of_2(cubes)
    _nucleus_kernel[(heads * count,)](
        *(scores, selected, slot),
        p,
        cubes,
        lowest_bits(p, block),
        BLOCK_C=block,
        num_warps=min(16, max(1, block // WARP_SCORES)),
    )
    return selected
