"""AdaS-FFN on a GPU: the same result as `backend.sparse_ffn`, from whole buckets of rows.

Rules that keep a share know beforehand how many tokens pass. Top-p asks the device, which does not
stand still meanwhile: it computes as many rows as passed in the layer before, less an eighth, and
then the rest. Everything is summed in one order, so that a run can be repeated to the bit. Axes:
N tokens, V video tokens, X text tokens, C cubes, M tokens of a full cube, h hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import ceil
from weakref import WeakKeyDictionary

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.method.layout import CubeLayout
from adaspark.method.rules import Rule
from adaspark.method.selection import keep_tokens
from adaspark.method.token_positions import TokenPositions

BUCKET = 128
"""The branch computes a multiple of as many rows, so that products of few shapes are asked for."""
MAX_ROWS = 2**16
"""Rows that the branch computes at a time: what it holds between its products stays small."""
MIN_FIRST = 2048
"""Rows from which on it pays to compute most of them before the rest is known."""
_passed: WeakKeyDictionary[TokenPositions, int] = WeakKeyDictionary()
"""How many rows passed last."""


@triton.jit(do_not_specialize=["M"])
def _spread_kernel(
    computed,
    output,
    place,
    slot,
    M,
    WIDTH,
    MEAN: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One cube, some columns: what was computed to its places, its mean to the others.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | computed | of the branch | [rows, WIDTH] |
    | output | as computed | [N, WIDTH]: written |
    | place | int64 | [C, M]: rows of `output`, -1 if a cube has no such token |
    | slot | int64 | [C, M]: rows of `computed`, -1 if a token is skipped |
    """
    cube = tl.program_id(0)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.float32)
    count = 0
    for start in range(0, M, ROWS):
        row = start + tl.arange(0, ROWS)
        source = tl.load(slot + cube * M + row, mask=row < M, other=-1)  # [ROWS]
        target = tl.load(place + cube * M + row, mask=row < M, other=0)  # [ROWS]
        mask = (source >= 0)[:, None] & (column < WIDTH)[None, :]
        at = source[:, None] * WIDTH + column[None, :]
        found = tl.load(computed + at, mask=mask, other=0.0)  # [ROWS, BLOCK]
        tl.store(output + target[:, None] * WIDTH + column[None, :], found, mask=mask)
        total += tl.sum(found.to(tl.float32), 0)
        count += tl.sum((source >= 0).to(tl.int32), 0)
    if MEAN:
        mean = (total / count).to(output.dtype.element_ty)
        for start in range(0, M, ROWS):
            row = start + tl.arange(0, ROWS)
            source = tl.load(slot + cube * M + row, mask=row < M, other=0)
            target = tl.load(place + cube * M + row, mask=row < M, other=-1)
            mask = ((source < 0) & (target >= 0))[:, None] & (column < WIDTH)[None, :]
            moved = tl.broadcast_to(mean[None, :], mask.shape)
            tl.store(output + target[:, None] * WIDTH + column[None, :], moved, mask=mask)


def sparse_ffn(
    hidden: Tensor,
    norms: Tensor,
    sequence: TokenPositions,
    branch: Callable[[Tensor], Tensor],
    *,
    rule: Rule,
    skipped: str = "mean",
    rows_at_once: int = MAX_ROWS,
) -> tuple[Tensor, Tensor, Tensor]:
    """The FFN branch [N, h] of every token, the kept mask bool [V], the importance fp32 [V].

    As `backend.sparse_ffn`, without gradients; `branch` computes `rows_at_once` rows at most.
    """
    layout, text = sequence.layout, sequence.text_positions
    table = layout.tokens_from_cube
    valid = table >= 0
    place = sequence.video_positions[table.clamp_min(0)] if layout.tokens else table
    weights = (norms[place] + torch.finfo(norms.dtype).tiny).masked_fill(~valid, 0.0)
    weights = weights / weights.sum(-1, keepdim=True)
    kept = keep_tokens(weights, valid, rule) & valid
    slot = (kept.flatten().cumsum(0) - 1 + len(text)).view_as(table)

    most = _padded(len(text) + layout.tokens)
    index = text.new_zeros(most + 1)
    index[: len(text)] = text
    # What is not kept goes to a last place of its own, which is cut off.
    index.scatter_(0, slot.where(kept, most).flatten(), place.flatten())
    if rule.name == "top_p":
        passing = _asked(index, kept, sequence)
    else:
        passing = iter([index[: _padded(len(text) + _count_beforehand(layout, rule))]])
    parts = (part for whole in passing for part in whole.split(rows_at_once))
    computed = _in_parts(branch, hidden, parts)
    output = computed.new_zeros(hidden.shape).index_copy_(0, text, computed[: len(text)])
    _spread(computed, output, place.where(valid, -1), slot.where(kept, -1), mean=skipped == "mean")
    found = layout.slot_from_token
    return output, kept.flatten()[found], weights.flatten()[found]


def _asked(index: Tensor, kept: Tensor, sequence: TokenPositions) -> Iterator[Tensor]:
    """`index` as far as rows pass, in one part or two: the first before their number is known."""
    passed = _number(kept)
    first = _passed.get(sequence, 0) * 7 // 8 // BUCKET * BUCKET
    if first >= MIN_FIRST:
        yield index[:first]
    else:
        first = 0
    _passed[sequence] = count = len(sequence.text_positions) + passed()
    if _padded(count) > first:
        yield index[first : _padded(count)]


def _number(kept: Tensor) -> Callable[[], int]:
    """Starts a count of `kept`, and returns what waits for it alone."""
    number = kept.sum().to("cpu", non_blocking=True)
    if not kept.is_cuda:
        return lambda: int(number)
    arrived = torch.cuda.Event()
    arrived.record()

    def read() -> int:
        arrived.synchronize()
        return int(number)

    return read


def _padded(count: int) -> int:
    return ceil(count / BUCKET) * BUCKET


def _in_parts(
    branch: Callable[[Tensor], Tensor], hidden: Tensor, indices: Iterable[Tensor]
) -> Tensor:
    """The branch of the rows at each part of `indices`, one after the other."""
    parts = [branch(hidden.index_select(0, index)) for index in indices]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _count_beforehand(layout: CubeLayout, rule: Rule) -> int:
    """How many video tokens a rule keeps that keeps a share."""
    shares = layout.host_sizes.double() * rule.amount - 1e-9
    return int(shares.ceil().clamp_min(1).sum())


def _spread(computed: Tensor, output: Tensor, place: Tensor, slot: Tensor, *, mean: bool) -> None:
    """Rows of `computed` by `slot` [C, M] to rows of `output` by `place`; -1: there is none."""
    cubes, slots = slot.shape
    if not cubes:
        return
    width = output.shape[1]
    block = min(256, triton.next_power_of_2(width))
    with torch.cuda.device_of(computed):  # Triton launches on torch's device
        _spread_kernel[cubes, triton.cdiv(width, block)](
            computed, output, place, slot, slots, width, MEAN=mean, ROWS=32, BLOCK=block
        )
