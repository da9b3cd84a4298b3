"""AdaS-Attn of a few new text tokens: four launches, and the host never waits for the device.

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
from adaspark.method.rules import Rule
from adaspark.method.sequence import SequenceMap

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
    | scores | fp32 | [H, S, C]: written |
    """
    group = tl.program_id(0)
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
def _nucleus_kernel(scores, selected, p, C, lowest, BLOCK_C: tl.constexpr):
    """The nucleus of one row: every cube is a candidate.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | scores | fp32 | [H * S, C], exponents of two |
    | selected | uint8 | [H * S, C]: written |
    """
    cubes = tl.arange(0, BLOCK_C)[None, :]
    at = tl.program_id(0).to(tl.int64) * C + cubes
    known = tl.load(scores + at, mask=cubes < C, other=-float("inf"))  # [1, BLOCK_C]
    none = tl.zeros([1], tl.float32)
    bits, threshold, _, _ = nucleus(known, none + 1.0 / C, none, p, lowest)
    tl.store(selected + at, (bits >= threshold[:, None]).to(tl.uint8), mask=cubes < C)


def serves(queries: Tensor, keys: Tensor, sequence: SequenceMap, rule: Rule) -> bool:
    """Whether these queries are all new text, few enough, and choose by mass alone."""
    return rule.is_plain_nucleus and fits(queries, len(keys), sequence)


def fits(queries: Tensor, groups: int, sequence: SequenceMap) -> bool:
    """Whether these queries are all new text, and few enough."""
    heads, count, _ = queries.shape
    return (
        count <= sequence.added
        and heads // groups * count <= MAX_ROWS
        and 0 < sequence.layout.cubes <= MAX_CUBES
    )


def choose(queries: Tensor, means: Tensor, *, p: float, scale: float) -> Tensor:
    """uint8 [H, S, C]: the cubes that each row attends to, for queries [H, S, D] and 0 < p < 1.

    `means` fp32 [G, C, D] are multiplied as they are, without matrix units.
    """
    return kept(score(queries, means, scale=scale), p=p)


def score(queries: Tensor, means: Tensor, *, scale: float) -> Tensor:
    """fp32 [H, S, C]: the scores of each row as exponents of two."""
    heads, count, width = queries.shape
    groups, cubes, _ = means.shape
    scores = torch.empty(heads, count, cubes, device=queries.device)
    _score_kernel[groups, triton.cdiv(cubes, MEANS_AT_ONCE)](
        queries,
        means.contiguous(),
        scores,
        *queries.stride()[:2],
        scale * log2(EULER),
        cubes,
        count,
        SHARE=heads // groups,
        D=width,
        BLOCK_C=MEANS_AT_ONCE,
    )
    return scores


def kept(scores: Tensor, *, p: float) -> Tensor:
    """uint8 [H, S, C]: the nucleus of each row of scores."""
    heads, count, cubes = scores.shape
    selected = torch.empty(heads, count, cubes, dtype=torch.uint8, device=scores.device)
    block = triton.next_power_of_2(cubes)
    _nucleus_kernel[(heads * count,)](
        scores,
        selected,
        p,
        cubes,
        lowest_bits(p, block),
        BLOCK_C=block,
        num_warps=min(16, max(1, block // WARP_SCORES)),
    )
    return selected
