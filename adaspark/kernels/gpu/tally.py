"""Sums over what a chunk of rows attends to, made on the device from its selected-block mask.

Axes: H heads, R rows, W groups of 32 rows, C cubes, Q query cubes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu.device import popcount
from adaspark.kernels.gpu.rows import Rows
from adaspark.kernels.gpu.sizes import cdiv, next_power_of_2
from adaspark.method.tally import Tally, Words

LN_2 = tl.constexpr(0.6931471805599453)
NO_CUBE = tl.constexpr(2**30)
SCORES_AT_ONCE = 2048
"""Scores of a program, if a row does not have more."""


@triton.jit(do_not_specialize=["R", "W", "first_cube"])
def _whole_kernel(
    selected,
    own_cube,
    whole_cubes,
    sizes,
    attended,
    pairs,
    first_cube,
    H,
    R,
    W,
    C,
    BLOCK_C: tl.constexpr,
):
    """A word of rows and some cubes: how many attend to them by query cube, and the keys of those
    cubes that all come before the row.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | selected | int32 | [H, W, C], a bit a row |
    | own_cube, whole_cubes | int32 | [R] |
    | sizes | int64 | [C_all] |
    | attended | int32 | [Q, C]: added to |
    | pairs | int64 | [1]: added to |
    """
    group = tl.program_id(0)
    cubes = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    bit = tl.arange(0, 32)
    row = group * 32 + bit
    own = tl.load(own_cube + row, mask=row < R, other=-1)
    whole = tl.load(whole_cubes + row, mask=row < R, other=0)
    mark = tl.where(row < R, 1 << bit, 0)
    before = tl.xor_sum(tl.where(cubes[None, :] < whole[:, None], mark[:, None], 0), 0)
    size = tl.load(sizes + cubes, mask=cubes < C, other=0)
    keys = tl.zeros([BLOCK_C], tl.int64)
    for head in range(H):
        line = (head * W + group).to(tl.int64) * C
        word = tl.load(selected + line + cubes, mask=cubes < C, other=0)  # [BLOCK_C]
        keys += popcount(word & before)
    tl.atomic_add(pairs, tl.sum(keys * size, 0))
    first = tl.min(tl.where(own >= 0, own, NO_CUBE), 0)
    for cube in range(first, tl.max(own, 0) + 1):  # rows stand cube by cube
        mine = tl.xor_sum(tl.where(own == cube, mark, 0), 0)
        count = tl.zeros([BLOCK_C], tl.int32)
        for head in range(H):
            line = (head * W + group).to(tl.int64) * C
            word = tl.load(selected + line + cubes, mask=cubes < C, other=0)  # [BLOCK_C]
            count += popcount(word & mine)
        into = attended + (cube - first_cube).to(tl.int64) * C
        tl.atomic_add(into + cubes, count, mask=cubes < C)


@triton.jit(do_not_specialize=["R", "W", "SPAN"])
def _partial_kernel(selected, whole_cubes, visible, pairs, R, W, C, SPAN, BLOCK: tl.constexpr):
    """A word of rows, one head: the keys of the cubes that rows see in part.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | selected | int32 | [H, W, C], a bit a row |
    | whole_cubes | int32 | [R] |
    | visible | int32 | [R, SPAN] |
    | pairs | int64 | [1]: added to |
    """
    group, head = tl.program_id(0), tl.program_id(1)
    bit = tl.arange(0, 32)
    row = (group * 32 + bit)[:, None]
    whole = tl.load(whole_cubes + row, mask=row < R, other=0)
    line = (head * W + group).to(tl.int64) * C
    keys = tl.zeros([32, BLOCK], tl.int64)
    for start in range(0, SPAN, BLOCK):
        at = (start + tl.arange(0, BLOCK))[None, :]
        inside = (row < R) & (at < SPAN) & (whole + at < C)
        seen = tl.load(visible + row.to(tl.int64) * SPAN + at, mask=inside, other=0)  # [32, BLOCK]
        word = tl.load(selected + line + whole + at, mask=inside, other=0)
        keys += (word >> bit[:, None] & 1) * seen
    tl.atomic_add(pairs, tl.sum(tl.sum(keys, 1), 0))


@triton.jit
def entropies_of(scores):
    """Of the weights of each row, in nats: fp32 [rows] from exponents of two [rows, cubes]."""
    top = tl.max(scores, 1)
    below = scores - tl.where(top == -float("inf"), 0.0, top)[:, None]
    weights = tl.exp2(below)
    whole = tl.sum(weights, 1)
    some = tl.where(whole > 0, whole, 1.0)
    mean = tl.sum(weights * tl.where(weights > 0, below, 0.0), 1) / some
    return tl.maximum((tl.log2(some) - mean) * LN_2, 0.0)


@triton.jit(do_not_specialize=["R", "all_rows", "first_row"])
def _entropy_kernel(
    scores, entropies, first_row, R, line, all_rows, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr
):
    """One head, some rows from `first_row` on: the entropy of their weights, in nats.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | scores | fp32 | [H, R, line], exponents of two |
    | entropies | fp32 | [H, all_rows]: written |
    """
    head = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)
    cubes = tl.arange(0, BLOCK_C)
    at = scores + (head * R + tl.where(row < R, row, 0)[:, None]) * line
    known = tl.load(at + cubes[None, :], mask=cubes[None, :] < line, other=-float("inf"))
    found = entropies_of(known)
    tl.store(entropies + head * all_rows + first_row + row, found, mask=row < R)


def write_entropies(scores: Tensor, first_row: int, cubes: int, entropies: Tensor) -> None:
    """Into `entropies` fp32 [H, R], from `first_row` on, those of `scores` fp32 [H, n, line].

    Scores are exponents of two, -inf for what is no candidate, of `cubes` or a few more.
    """
    heads, count, line = scores.shape
    width = next_power_of_2(cubes)
    at_once = min(8, max(1, SCORES_AT_ONCE // width))
    _entropy_kernel[heads, cdiv(count, at_once)](
        scores,
        entropies,
        first_row,
        count,
        line,
        entropies.shape[1],
        BLOCK_R=at_once,
        BLOCK_C=width,
        num_warps=min(16, max(1, at_once * width // 1024)),
    )


def tally(
    selected: Tensor,
    rows: Rows,
    entropies: Tensor,
    executed: Callable[[], Tensor],
    words: Words,
) -> Tally:
    """The sums of a chunk whose heads are not grouped.

    `selected` int32 [H, W, C] as `block_selection` has, `entropies` fp32 [H, R], `executed` finds
    int64 [], the keys multiplied with all rows. Selections and keys of one head stand for those of
    all.
    """
    heads, groups, cubes = selected.shape
    video = [segment for segment in rows.segments if not segment.is_text]
    first = video[0].partial_cube if video else 0
    end = max((segment.end_cube for segment in video), default=0)
    attended = torch.zeros(end - first, cubes, dtype=torch.int32, device=selected.device)
    pairs = torch.zeros(1, dtype=torch.int64, device=selected.device)
    if cubes:
        block = min(256, next_power_of_2(max(cubes, 16)))
        _whole_kernel[groups, cdiv(cubes, block)](
            selected,
            rows.own_cube,
            rows.whole_cubes,
            rows.segments[0].layout.cube_sizes,
            attended,
            pairs,
            first,
            heads,
            rows.count,
            groups,
            cubes,
            BLOCK_C=block,
        )
        visible = rows.partly_visible
        span = visible.shape[1]
        _partial_kernel[groups, heads](
            selected, rows.whole_cubes, visible, pairs, rows.count, groups, cubes, span, BLOCK=16
        )
    alike = len(entropies) // heads
    if alike > 1:
        attended = attended * alike

    def counted() -> Tensor:
        return torch.cat([pairs, executed().view(1)]) * alike

    return Tally(rows.segments, first, attended, entropies[:, : rows.video_count], counted, words)
