"""Which cubes each row attends to, as bits: scores, softmax and nucleus in one kernel.

Up to RESIDENT cubes the scores never leave the registers; beyond that a bounded piece of them
passes through memory. Axes: H heads, G KV heads, R rows, W groups of 32 rows, C cubes, D head
dimension.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu_nucleus import attended
from adaspark.kernels.gpu_tables import WORD, KeyBlocks, Rows

RESIDENT = 1024
"""Most cubes whose scores for 32 rows fit the registers of a program."""
LEAST_CUBES = 64
"""As many at least are scored, cubes or not: fewer variants to compile."""
MOST_CUBES = 2**15
"""Most cubes whose scores for one row do."""
SCORE_BYTES = 2**28
"""Bounds the scores in memory beyond RESIDENT."""
ONE = 0x3F800000
"""The bits of 1.0, the heaviest weight of every row."""


@triton.jit(do_not_specialize=["R", "W", "lowest", "steps"])
def _resident_kernel(
    queries,
    means,
    places,
    video_before,
    own_cube,
    first_tokens,
    wanted,
    query_head,
    query_row,
    mean_term,
    mean_head,
    share,
    scale,
    p,
    R,
    C,
    W,
    lowest,
    steps,
    TERMS: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """One head, 32 rows, all cubes: their word of wishes for every cube."""
    head, group = tl.program_id(0), tl.program_id(1)
    rows = group * 32 + tl.arange(0, 32)
    cubes = tl.arange(0, BLOCK_C)
    place = tl.load(places + rows, mask=rows < R, other=0).to(tl.int64)
    query = queries + head.to(tl.int64) * query_head + place[:, None] * query_row
    mean = means + (head // share).to(tl.int64) * mean_head + cubes[None, :] * D
    scores = tl.zeros([32, BLOCK_C], tl.float32)
    for start in range(0, D, BLOCK_D):
        width = start + tl.arange(0, BLOCK_D)
        part = tl.load(query + width[None, :])
        for term in tl.static_range(TERMS):
            at = mean + term * mean_term + width[:, None]
            known = tl.load(at, mask=cubes[None, :] < C, other=0.0)
            scores = tl.dot(part, known, scores, input_precision="ieee")
    wishes = attended(
        scores * scale, rows, cubes, video_before, own_cube, first_tokens, p, lowest, steps, R, C
    )
    word = tl.xor_sum(wishes << tl.arange(0, 32)[:, None], 0)
    line = (head * W + group).to(tl.int64) * C
    tl.store(wanted + line + cubes, word, mask=cubes < C)


@triton.jit(do_not_specialize=["R"])
def _scores_kernel(
    queries,
    means,
    places,
    scores,
    query_head,
    query_row,
    mean_term,
    mean_head,
    share,
    scale,
    R,
    C,
    TERMS: tl.constexpr,
    D: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """fp32 [H, R, C]: every row against every mean."""
    head = tl.program_id(0).to(tl.int64)
    cubes = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    rows = tl.program_id(2) * BLOCK_R + tl.arange(0, BLOCK_R)
    width = tl.arange(0, D)
    place = tl.load(places + rows, mask=rows < R, other=0).to(tl.int64)
    part = tl.load(queries + head * query_head + place[:, None] * query_row + width[None, :])
    mean = means + (head // share) * mean_head + cubes[None, :] * D + width[:, None]
    found = tl.zeros([BLOCK_R, BLOCK_C], tl.float32)
    for term in tl.static_range(TERMS):
        known = tl.load(mean + term * mean_term, mask=cubes[None, :] < C, other=0.0)
        found = tl.dot(part, known, found, input_precision="ieee")
    into = scores + (head * R + rows[:, None]) * C + cubes[None, :]
    tl.store(into, found * scale, mask=(rows[:, None] < R) & (cubes[None, :] < C))


@triton.jit(do_not_specialize=["R", "W", "first_word", "lowest", "steps"])
def _stored_kernel(
    scores,
    video_before,
    own_cube,
    first_tokens,
    wanted,
    p,
    R,
    C,
    W,
    first_word,
    lowest,
    steps,
    BLOCK_R: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """One head, 32 rows, all cubes, from scores in memory: as many rows at a time as fit."""
    head, group = tl.program_id(0), tl.program_id(1)
    cubes = tl.arange(0, BLOCK_C)
    word = tl.zeros([BLOCK_C], tl.int32)
    for first in range(0, 32, BLOCK_R):
        bit = first + tl.arange(0, BLOCK_R)
        rows = group * 32 + bit
        at = scores + (head.to(tl.int64) * R + rows[:, None]) * C + cubes[None, :]
        known = tl.load(at, mask=(rows[:, None] < R) & (cubes[None, :] < C), other=0.0)
        wishes = attended(
            known, rows, cubes, video_before, own_cube, first_tokens, p, lowest, steps, R, C
        )
        word |= tl.xor_sum(wishes << bit[:, None], 0)
    line = (head * W + first_word + group).to(tl.int64) * C
    tl.store(wanted + line + cubes, word, mask=cubes < C)


def choose(
    queries: Tensor, terms: Tensor, blocks: KeyBlocks, rows: Rows, *, p: float, scale: float
) -> Tensor:
    """int32 [H, W, C]: bit i of word w says whether row 32 w + i attends to a cube, its own too.

    `queries` [H, S, D] hold the rows at their places; `terms` [1 or 2, G, C_all, D] as from
    `mean_terms`; 0 < p < 1; C is the rows' `end_cube`, MOST_CUBES at most. Scores and sums are
    fp32.
    """
    heads, cubes = queries.shape[0], rows.end_cube
    wanted = torch.empty(heads, rows.words, cubes, dtype=torch.int32, device=queries.device)
    if cubes <= RESIDENT:
        _choose_resident(queries, terms, blocks, rows, wanted, p, scale)
        return wanted
    at_once = max(WORD, SCORE_BYTES // (4 * heads * cubes) // WORD * WORD)
    for start in range(0, rows.count, at_once):
        part = slice(start, min(start + at_once, rows.count))
        _choose_stored(queries, terms, blocks, rows, part, wanted, p, scale)
    return wanted


def mean_terms(means: Tensor, dtype: torch.dtype) -> Tensor:
    """Means fp32 [G, C, D] as the sum of tensors of `dtype`: [1 or 2, G, C, D].

    Two 16-bit terms hold 16 to 22 bits of every mean, so the products keep their precision on
    matrix units that take 16-bit numbers.
    """
    high = means.to(dtype)
    if dtype == torch.float32:
        return high[None].contiguous()
    return torch.stack([high, (means - high.float()).to(dtype)])


def _choose_resident(
    queries: Tensor,
    terms: Tensor,
    blocks: KeyBlocks,
    rows: Rows,
    wanted: Tensor,
    p: float,
    scale: float,
) -> None:
    heads, words, cubes = wanted.shape
    width = triton.next_power_of_2(max(cubes, LEAST_CUBES))
    _resident_kernel[heads, words](
        queries,
        terms,
        rows.places,
        rows.video_before,
        rows.own_cube,
        blocks.first_tokens,
        wanted,
        queries.stride(0),
        queries.stride(1),
        terms.stride(0),
        terms.stride(1),
        heads // terms.shape[1],
        scale,
        p,
        rows.count,
        cubes,
        words,
        **_search(p, width),
        TERMS=len(terms),
        D=queries.shape[2],
        BLOCK_D=min(queries.shape[2], 16 if width > 512 else 32),  # means that fit shared memory
        BLOCK_C=width,
        num_warps=8 if width > 256 else 4,
        num_stages=2,
    )


def _choose_stored(
    queries: Tensor,
    terms: Tensor,
    blocks: KeyBlocks,
    rows: Rows,
    part: slice,
    wanted: Tensor,
    p: float,
    scale: float,
) -> None:
    heads, words, cubes = wanted.shape
    count = part.stop - part.start
    scores = torch.empty(heads, count, cubes, device=queries.device)
    rows_at_once, cubes_at_once = (32, 32) if queries.dtype == torch.float32 else (64, 128)
    _scores_kernel[heads, triton.cdiv(cubes, cubes_at_once), triton.cdiv(count, rows_at_once)](
        queries,
        terms,
        rows.places[part],
        scores,
        queries.stride(0),
        queries.stride(1),
        terms.stride(0),
        terms.stride(1),
        heads // terms.shape[1],
        scale,
        count,
        cubes,
        TERMS=len(terms),
        D=queries.shape[2],
        BLOCK_R=rows_at_once,
        BLOCK_C=cubes_at_once,
        num_warps=4,
    )
    width = triton.next_power_of_2(cubes)
    _stored_kernel[heads, ceil(count / WORD)](
        scores,
        rows.video_before[part],
        rows.own_cube[part],
        blocks.first_tokens,
        wanted,
        p,
        count,
        cubes,
        words,
        part.start // WORD,
        **_search(p, width),
        BLOCK_R=min(WORD, MOST_CUBES // width),
        BLOCK_C=width,
        num_warps=8,
    )


def _search(p: float, cubes: int) -> dict[str, int]:
    """Where the bisection starts, and how many steps tell any two fp32 numbers apart from there.

    Weights below (1 - p) / C together weigh less than 1 - p of a sum that is 1 at least: none of
    them is the crossing one.
    """
    least = np.float32((1 - p) / cubes * 0.5)  # half: room for rounding
    lowest = int(least.view(np.int32))
    return {"lowest": lowest, "steps": (ONE + 1 - lowest).bit_length()}
