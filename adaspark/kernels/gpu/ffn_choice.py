"""Which tokens pass the FFN, by Top-p within each cube: two launches, where sorting takes forty.

Axes: N tokens, V video tokens, X text tokens, C cubes, M slots of a cube.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu.sizes import next_power_of_2
from adaspark.kernels.gpu.tables import NO_TOKEN, KeyBlocks

AT_ONCE = 64
"""Slots that are compared with as many others at a time."""
COUNTS_AT_ONCE = 1024
"""Cubes whose numbers of tokens are added at a time."""


class Passing(NamedTuple):
    """What passes: text first, then cube by cube.

    `kept` bool [V] and `importance` fp32 [V], the share of its cube's norm, are of each video
    token; `rows` int64 [X + V] begins with the positions of what passes, and `total` int32 [1]
    says how many those are; `slots` int32 [C * M] are the numbers of video tokens in `rows`, -1 if
    one is skipped or there is none, in the order of `blocks`.
    """

    kept: Tensor
    importance: Tensor
    rows: Tensor
    total: Tensor
    slots: Tensor
    blocks: KeyBlocks


@triton.jit
def _weights(norms, positions, tokens, at, mask, smallest):
    """Norms [BLOCK] of the slots `at`, and their tokens; 0 if a slot is padded."""
    token = tl.load(tokens + at, mask=mask, other=0x7FFFFFFF)
    position = tl.load(positions + at, mask=mask, other=0)
    norm = tl.load(norms + position, mask=token < 0x7FFFFFFF, other=0.0) + smallest
    return tl.where(token < 0x7FFFFFFF, norm, 0.0), token


@triton.jit(do_not_specialize=["M"])
def _keep_kernel(
    norms, positions, tokens, kept, importance, counts, p, smallest, M, BLOCK: tl.constexpr
):
    """One cube: a token passes if those before it, by weight descending and then by place, do not
    reach p.

    | name | dtype | shape |
    | --- | --- | --- |
    | norms | fp32 | [N] |
    | positions, tokens | int64, int32 | [C * M], as of `KeyBlocks` |
    | kept, importance | uint8, fp32 | [V]: written |
    | counts | int32 | [C]: written |
    """
    cube = tl.program_id(0)
    slot = tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, M, BLOCK):
        inside = start + slot < M
        weight, _ = _weights(norms, positions, tokens, cube * M + start + slot, inside, smallest)
        total += weight
    whole = tl.sum(total, 0)
    count = 0
    for start in range(0, M, BLOCK):
        mine = start + slot
        weight, token = _weights(norms, positions, tokens, cube * M + mine, mine < M, smallest)
        share = tl.math.div_rn(weight, tl.full([BLOCK], 0.0, tl.float32) + whole)
        before = tl.zeros([BLOCK], tl.float32)
        for first in range(0, M, BLOCK):
            theirs = first + slot
            other, _ = _weights(norms, positions, tokens, cube * M + theirs, theirs < M, smallest)
            part = tl.math.div_rn(other, tl.full([BLOCK], 0.0, tl.float32) + whole)
            heavier = part[None, :] > share[:, None]
            first_tie = (part[None, :] == share[:, None]) & (theirs[None, :] < mine[:, None])
            before += tl.sum(tl.where(heavier | first_tie, part[None, :], 0.0), 1)
        is_real = token < 0x7FFFFFFF
        passes = ((before < p) & is_real).to(tl.int32)
        tl.store(kept + token, passes.to(tl.uint8), mask=is_real)
        tl.store(importance + token, share, mask=is_real)
        count += tl.sum(passes, 0)
    tl.store(counts + cube, count)


@triton.jit(do_not_specialize=["C", "M", "X"])
def _number_kernel(
    kept, positions, tokens, counts, rows, slots, total, C, M, X,
    BLOCK: tl.constexpr, COUNTS: tl.constexpr,
):  # fmt: skip
    """One cube: its tokens that pass are numbered after those of the cubes before it.

    | name | dtype | shape |
    | --- | --- | --- |
    | kept | uint8 | [V] |
    | positions, tokens | int64, int32 | [C * M] |
    | counts | int32 | [C] |
    | rows | int64 | [X + V]: written from X on |
    | slots | int32 | [C * M]: written |
    | total | int32 | [1]: written |
    """
    cube = tl.program_id(0)
    before = tl.zeros([COUNTS], tl.int32)
    every = tl.zeros([COUNTS], tl.int32)
    for start in range(0, C, COUNTS):
        at = start + tl.arange(0, COUNTS)
        count = tl.load(counts + at, mask=at < C, other=0)
        before += tl.where(at < cube, count, 0)
        every += count
    number = X + tl.sum(before, 0)
    if cube == 0:
        tl.store(total, X + tl.sum(every, 0))
    for start in range(0, M, BLOCK):
        slot = start + tl.arange(0, BLOCK)
        at = cube * M + slot
        token = tl.load(tokens + at, mask=slot < M, other=0x7FFFFFFF)
        passes = tl.load(kept + token, mask=token < 0x7FFFFFFF, other=0).to(tl.int32)
        row = number + tl.cumsum(passes, 0) - 1
        position = tl.load(positions + at, mask=slot < M, other=0)
        tl.store(rows + row, position, mask=passes > 0)
        tl.store(slots + at, tl.where(passes > 0, row, -1), mask=slot < M)
        number += tl.sum(passes, 0)


def choose(
    norms: Tensor,
    blocks: KeyBlocks,
    begun: Tensor,
    p: float | None,
    keep: Callable[[Tensor], tuple[Tensor, Tensor]],
    *,
    text: int,
    video: int,
) -> Passing:
    """What passes of X `text` and V `video` tokens by norms fp32 [N].

    By Top-p, or if `p` is None what others `keep` by these norms: bool and importance, [V] each.
    `begun` are the rows as far as they are known before: those of text, and room for the others.
    """
    device, cubes, rows = norms.device, blocks.cubes, begun.clone()
    counts = torch.empty(cubes, dtype=torch.int32, device=device)
    slots = torch.empty(cubes * blocks.slots, dtype=torch.int32, device=device)
    total = torch.full((1,), text, dtype=torch.int32, device=device)
    tables = blocks.positions, blocks.tokens
    block = min(AT_ONCE, next_power_of_2(blocks.slots))
    if p is None:
        kept, importance = keep(norms)
    else:
        kept = torch.empty(video, dtype=torch.bool, device=device)
        importance = torch.empty(video, device=device)
    if not cubes:
        return Passing(kept, importance, rows, total, slots, blocks)
    if p is None:
        is_real = blocks.tokens != NO_TOKEN
        passing = kept[blocks.tokens.where(is_real, 0).long()] & is_real
        counts.copy_(passing.view(cubes, -1).sum(1))
    with torch.cuda.device_of(norms):  # Triton launches on torch's device
        passes, grid = kept.view(torch.uint8), (cubes,)
        if p is not None:
            tiny = torch.finfo(torch.float32).tiny
            _keep_kernel[grid](
                *(norms, *tables, passes, importance, counts),
                *(max(p, tiny), tiny, blocks.slots),  # one token at least passes
                BLOCK=block,
            )
        _number_kernel[grid](
            *(passes, *tables, counts, rows, slots, total),
            *(cubes, blocks.slots, text),
            BLOCK=block,
            COUNTS=min(COUNTS_AT_ONCE, next_power_of_2(cubes)),
        )
    return Passing(kept, importance, rows, total, slots, blocks)
