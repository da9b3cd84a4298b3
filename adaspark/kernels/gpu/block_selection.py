"""Which cubes each row attends to, as bits: scores of some rows, then their nucleus.

The scores of all rows are never in memory together: a bounded piece of them passes through it, no
wider than what its rows may see. Axes: H heads, G KV heads, R rows, W groups of 32 rows, C cubes,
D head dimension.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import e as EULER
from math import log2

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu.arguments import Strided
from adaspark.kernels.gpu.bits import WORD
from adaspark.kernels.gpu.nucleus import nucleus
from adaspark.kernels.gpu.rows import Rows
from adaspark.kernels.gpu.sizes import cdiv, next_power_of_2
from adaspark.kernels.gpu.tally import entropies_of
from adaspark.kernels.gpu.thresholds import MEASURED, Thresholds

MAX_CUBES = 2**15
"""The most cubes whose scores for one row fit the registers of a program."""
VECTOR = 16
"""Scores of a row are as many times this, so that they are read and written four at a time."""
BYTE = 8
"""Rows that a program chooses for, one after the other, if rows are few."""
WARP_SCORES = 2048
"""The most scores that a warp holds: the sums of a row then need no other warp."""
OWN_ROWS = 1024
"""Rows whose own cubes are marked at a time."""
SCORE_REGISTERS = 128
"""Registers of a thread that scores: two programs then share a multiprocessor, which takes 14 %
off the time although some registers wait in the cache (H200)."""
MAX_REGISTERS = 96
"""Registers of a thread that chooses: what the search does not touch may wait in the cache."""


@triton.jit(do_not_specialize=["R", "first_row"])
def _scores_kernel(
    queries, query_head, query_row, means, mean_term, mean_head, scores, line,
    places, seen_cubes, own_cube, first_row, R, C,
    share, scale,
    TERMS: tl.constexpr, D: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """R rows from `first_row` on times C means, in exponents of two; -inf for no candidate.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | queries | bf16, fp16 or fp32 | [H, S, D] (query_head, query_row, 1) |
    | means | as queries | [TERMS, G, C_all, D] (mean_term, mean_head, D, 1) |
    | places, seen_cubes, own_cube | int32 | [all rows] |
    | scores | fp32 | [H, R, line]: written |
    """
    head = tl.program_id(0).to(tl.int64)
    cubes = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    rows = tl.program_id(2) * BLOCK_R + tl.arange(0, BLOCK_R)
    width = tl.arange(0, D)
    place = tl.load(places + first_row + rows, mask=rows < R, other=0).to(tl.int64)
    at = head * query_head + place[:, None] * query_row + width[None, :]
    part = tl.load(queries + at)  # [BLOCK_R, D]
    mean = means + (head // share) * mean_head + cubes[None, :] * D + width[:, None]
    found = tl.zeros([BLOCK_R, BLOCK_C], tl.float32)
    for term in tl.static_range(TERMS):
        known = tl.load(mean + term * mean_term, mask=cubes[None, :] < C, other=0.0)  # [D, BLOCK_C]
        found = tl.dot(part, known, found, input_precision="ieee")
    seen = tl.load(seen_cubes + first_row + rows, mask=rows < R, other=0)
    own = tl.load(own_cube + first_row + rows, mask=rows < R, other=0)
    candidate = (cubes[None, :] < seen[:, None]) & (cubes[None, :] != own[:, None])
    into = scores + (head * R + rows[:, None]) * line + cubes[None, :]
    found = tl.where(candidate, found * scale, -float("inf"))
    tl.store(into, found, mask=(rows[:, None] < R) & (cubes[None, :] < line))


@triton.jit(do_not_specialize=["R", "W", "all_cubes", "all_rows", "first_row", "lowest"])
def _choose_kernel(
    scores, selected, own_cube, seen_cubes, entropies, p, text_p, first_row, R, line, W, all_cubes,
    all_rows, lowest,
    ROWS: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """One head, ROWS rows from `first_row` on: the cubes that they select, but for their own.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | scores | fp32 | [H, R, line], exponents of two, -inf for what is no candidate |
    | selected | int32 | [H, W, all_cubes], a bit a row, if ROWS is 32: written |
    |  | uint8 | [H, W, all_cubes, 4], if ROWS is 8 |
    | own_cube, seen_cubes | int32 | [all rows]; an own cube of -1 tells rows of text |
    | entropies | fp32 | [H, all rows]: written; or None |
    | p, text_p | fp32 | scalars: 0 keeps nothing, 1 every cube that is seen |
    """
    head, group = tl.program_id(0), tl.program_id(1)
    cubes = tl.arange(0, BLOCK_C)
    words = tl.zeros([BLOCK_C], tl.int32)
    near = tl.zeros([BLOCK_R], tl.float32) + 1.0 / line
    pace = tl.zeros([BLOCK_R], tl.float32)
    for start in range(0, tl.minimum(ROWS, R - group * ROWS), BLOCK_R):
        bit = start + tl.arange(0, BLOCK_R)
        row = group * ROWS + bit
        inside = (row < R) & (bit < ROWS)
        at = scores + (head.to(tl.int64) * R + tl.where(inside, row, 0)[:, None]) * line
        known = tl.load(at + cubes[None, :], mask=cubes[None, :] < line, other=-float("inf"))
        own = tl.load(own_cube + first_row + row, mask=inside, other=0)
        if entropies is not None:
            into = entropies + head.to(tl.int64) * all_rows + first_row + row
            tl.store(into, entropies_of(known), mask=inside)
        share = tl.where(own < 0, text_p, p)
        between = tl.where((share > 0) & (share < 1), share, 0.5)
        bits, threshold, near, pace = nucleus(known, near, pace, between, lowest)
        mark = tl.where(inside & (share > 0), 1 << bit, 0)
        words |= tl.xor_sum((threshold[:, None] - 1 - bits) >> 31 & mark[:, None], 0)
        if tl.max(share, 0) >= 1:
            seen = tl.load(seen_cubes + first_row + row, mask=inside & (share >= 1), other=0)
            words |= tl.xor_sum(tl.where(cubes[None, :] < seen[:, None], mark[:, None], 0), 0)
    group += first_row // ROWS
    PARTS: tl.constexpr = 32 // ROWS
    word = (head * W + group // PARTS).to(tl.int64) * all_cubes
    into = selected + (word + cubes) * PARTS + group % PARTS
    tl.store(into, words.to(selected.dtype.element_ty), mask=cubes < all_cubes)


@triton.jit(do_not_specialize=["R", "W", "C"])
def _own_kernel(own_cube, selected, R, W, C, BLOCK_R: tl.constexpr):
    """Every row selects its own cube.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | own_cube | int32 | [R], -1 for text |
    | selected | int32 | [H, W, C], a bit a row: bits are added |
    """
    head = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)
    own = tl.load(own_cube + row, mask=row < R, other=-1)
    tl.atomic_or(selected + (head * W + row // 32) * C + own, 1 << row % 32, mask=own >= 0)


def choose(
    queries: Tensor,
    terms: Tensor,
    rows: Rows,
    *,
    p: float,
    scale: float,
    text_p: float | None = None,
    entropies: Tensor | None = None,
    thresholds: Thresholds = MEASURED,
) -> Tensor:
    """int32 [H, W, C]: bit i of word w says whether row 32 w + i attends to a cube, its own too.

    `queries` [H, S, D] hold the rows at their places; `terms` [1 to 3, G, C_all, D] as from
    `mean_terms`; `p` is for rows of video, `text_p` for those of text (None: as `p`); C is the
    rows' `end_cube`, MAX_CUBES at most. Scores and sums are fp32. Writes `entropies` fp32 [H, R],
    if given, of the rows that may choose.
    """
    heads = queries.shape[0]
    selected = torch.zeros(
        heads, rows.words, rows.end_cube, dtype=torch.int32, device=queries.device
    )
    ps = p, p if text_p is None else text_p
    seen = rows.seen_cubes
    for scores, start, cubes in scored(queries, terms, rows, scale=scale, thresholds=thresholds):
        _choose(scores, start, cubes, selected, rows, seen, ps, entropies, thresholds)
    if rows.end_cube:
        grid = (heads, cdiv(rows.count, OWN_ROWS))
        _own_kernel[grid](rows.own_cube, selected, rows.count, rows.words, rows.end_cube, OWN_ROWS)
    return selected


def scored(
    queries: Tensor,
    terms: Tensor,
    rows: Rows,
    *,
    scale: float,
    thresholds: Thresholds = MEASURED,
) -> Iterator[tuple[Tensor, int, int]]:
    """Scores fp32 [H, n, line] of some rows at a time, as exponents of two, -inf for what is no
    candidate; the first of these rows, and how many cubes they are of.
    """
    seen = rows.seen_cubes
    max_scores = thresholds.score_bytes // (4 * len(queries))
    for part, cubes in rows.parts(max_scores=max_scores, merged_cubes=thresholds.merged_cubes):
        if cubes:
            yield _scores(queries, terms, rows, seen, part, cubes, scale), part.start, cubes


def _scores(
    queries: Tensor,
    terms: Tensor,
    rows: Rows,
    seen: Tensor,
    part: slice,
    cubes: int,
    scale: float,
) -> Tensor:
    heads, count = queries.shape[0], part.stop - part.start
    line = cdiv(cubes, VECTOR) * VECTOR
    scores = torch.empty(heads, count, line, device=queries.device)
    fp32 = queries.dtype == torch.float32  # multiplied without matrix units
    rows_at_once, cubes_at_once = (32, 32) if fp32 or count <= WORD else (128, 128)
    _scores_kernel[heads, cdiv(cubes, cubes_at_once), cdiv(count, rows_at_once)](
        *Strided.of(queries),
        *(terms, terms.stride(0), terms.stride(1), scores, line),
        *(rows.places, seen, rows.own_cube, part.start, count, cubes),
        heads // terms.shape[1],
        scale * log2(EULER),
        TERMS=len(terms),
        D=queries.shape[2],
        BLOCK_R=rows_at_once,
        BLOCK_C=cubes_at_once,
        num_warps=4 if rows_at_once == WORD else 8,
        maxnreg=SCORE_REGISTERS,
    )
    return scores


def _choose(
    scores: Tensor,
    start: int,
    cubes: int,
    selected: Tensor,
    rows: Rows,
    seen: Tensor,
    ps: tuple[float, float],
    entropies: Tensor | None,
    thresholds: Thresholds,
) -> None:
    heads, count, line = scores.shape
    width = next_power_of_2(cubes)
    few = heads * count < thresholds.many_rows
    at_once = BYTE if few else WORD
    _choose_kernel[heads, cdiv(count, at_once)](
        scores,
        selected.view(torch.uint8) if few else selected,
        rows.own_cube,
        seen,
        entropies,
        *map(float, ps),
        start,
        count,
        line,
        *selected.shape[1:],
        rows.count,
        lowest_bits(max(p if 0 < p < 1 else 0.5 for p in ps), width),
        ROWS=at_once,
        BLOCK_R=min(BYTE, max(1, thresholds.short_scores // width)),
        BLOCK_C=width,
        num_warps=min(16, max(1, width // WARP_SCORES)),
        maxnreg=MAX_REGISTERS,
    )


def lowest_bits(p: float, cubes: int) -> int:
    """The bits from which the search starts.

    Weights below (1 - p) / C together weigh less than 1 - p of a sum that is 1 at least: none of
    them is the crossing one.
    """
    return int(np.float32((1 - p) / cubes * 0.5).view(np.int32))  # half: room for rounding
