"""AdaS-FFN on a GPU: the same result as `backend.sparse_ffn`, from whole buckets of rows.

Rules that keep a share know beforehand how many tokens pass. Top-p asks the device, which does not
stand still meanwhile: it computes as many rows as passed in the layer before, less an eighth, and
then the rest. Everything is summed in one order, so that a run can be repeated to the bit. Axes:
N tokens, V video tokens, X text tokens, C cubes, M tokens of a full cube, h hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import ceil
from weakref import WeakKeyDictionary

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu import ffn_choice
from adaspark.kernels.gpu.ffn_choice import Passing
from adaspark.kernels.gpu.sizes import cdiv, next_power_of_2
from adaspark.kernels.gpu.tables import KeyBlocks
from adaspark.method.ffn import choose_tokens, importance
from adaspark.method.layout import CubeLayout
from adaspark.method.rules import Rule
from adaspark.method.token_positions import TokenPositions

BUCKET = 128
"""The branch computes a multiple of as many rows, so that products of few shapes are asked for."""
MAX_ROWS = 2**16
"""Rows that the branch computes at a time: what it holds between its products stays small."""
MIN_FIRST = 2048
"""Rows from which on it pays to compute most of them before the rest is known."""
_passed: WeakKeyDictionary[TokenPositions, int] = WeakKeyDictionary()
"""How many rows passed last."""
_begun: WeakKeyDictionary[TokenPositions, Tensor] = WeakKeyDictionary()
"""The rows that are computed, as far as they are known before: those of text."""


@triton.jit(do_not_specialize=["M"])
def _spread_kernel(
    computed, output, positions, tokens, slots, M, WIDTH,
    MEAN: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One cube, some columns: what was computed to its places, its mean to the others.

    | name | dtype | shape |
    | --- | --- | --- |
    | computed | of the branch | [rows, WIDTH] |
    | output | as computed | [N, WIDTH]: written |
    | positions, tokens | int64, int32 | [C * M], as of `KeyBlocks` |
    | slots | int32 | [C * M]: rows of `computed`, -1 if a token is skipped |
    """
    cube = tl.program_id(0)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.float32)
    count = 0
    for start in range(0, M, ROWS):
        row = start + tl.arange(0, ROWS)
        source = tl.load(slots + cube * M + row, mask=row < M, other=-1).to(tl.int64)  # [ROWS]
        target = tl.load(positions + cube * M + row, mask=row < M, other=0)  # [ROWS]
        mask = (source >= 0)[:, None] & (column < WIDTH)[None, :]
        at = source[:, None] * WIDTH + column[None, :]
        found = tl.load(computed + at, mask=mask, other=0.0)  # [ROWS, BLOCK]
        tl.store(output + target[:, None] * WIDTH + column[None, :], found, mask=mask)
        total += tl.sum(found.to(tl.float32), 0)
        count += tl.sum((source >= 0).to(tl.int32), 0)
    if MEAN:
        mean = (total / count).to(output.dtype.element_ty)
    else:
        mean = tl.zeros([BLOCK], output.dtype.element_ty)
    for start in range(0, M, ROWS):
        row = start + tl.arange(0, ROWS)
        source = tl.load(slots + cube * M + row, mask=row < M, other=0)
        target = tl.load(positions + cube * M + row, mask=row < M, other=0)
        token = tl.load(tokens + cube * M + row, mask=row < M, other=0x7FFFFFFF)
        skipped = (source < 0) & (token < 0x7FFFFFFF)
        mask = skipped[:, None] & (column < WIDTH)[None, :]
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
    text, layout = sequence.text_positions, sequence.layout
    passing = ffn_choice.choose(
        *(norms, KeyBlocks.of_video(sequence), _rows_of_text(sequence)),
        rule.amount if rule.is_plain_nucleus else None,
        partial(_kept, sequence, rule),
        text=len(text),
        video=layout.tokens,
    )
    if rule.name == "top_p":
        parts = _asked(passing, sequence)
    else:
        parts = iter([passing.rows[: _padded(len(text) + _count_beforehand(layout, rule))]])
    parts = (part for whole in parts for part in whole.split(rows_at_once))
    computed = _in_parts(branch, hidden, parts)
    make = torch.empty_like if sequence.is_unpadded else torch.zeros_like
    output = make(hidden, dtype=computed.dtype).index_copy_(0, text, computed[: len(text)])
    _spread(computed, output, passing, mean=skipped == "mean")
    return output, passing.kept, passing.importance


def _kept(sequence: TokenPositions, rule: Rule, norms: Tensor) -> tuple[Tensor, Tensor]:
    """What any rule keeps, bool [V], and the importance fp32 [V]."""
    weights = importance(norms[sequence.video_positions], sequence.layout)
    return choose_tokens(weights, sequence.layout, rule=rule), weights


def _rows_of_text(sequence: TokenPositions) -> Tensor:
    """int64: the rows that are known beforehand, and as many places as may be needed."""
    if sequence not in _begun:
        text = sequence.text_positions
        begun = text.new_zeros(_padded(len(text) + sequence.layout.tokens))
        begun[: len(text)] = text
        _begun[sequence] = begun
    return _begun[sequence]


def _asked(passing: Passing, sequence: TokenPositions) -> Iterator[Tensor]:
    """Rows as far as they pass, in one part or two: the first before their number is known."""
    passed = _number(passing.total)
    first = _passed.get(sequence, 0) * 7 // 8 // BUCKET * BUCKET
    if first >= MIN_FIRST:
        yield passing.rows[:first]
    else:
        first = 0
    _passed[sequence] = count = passed()
    if _padded(count) > first:
        yield passing.rows[first : _padded(count)]


def _number(count: Tensor) -> Callable[[], int]:
    """Starts a copy of `count`, and returns what waits for it alone."""
    number = count.to("cpu", non_blocking=True)
    if not count.is_cuda:
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


def _spread(computed: Tensor, output: Tensor, passing: Passing, *, mean: bool) -> None:
    """Rows of `computed` to their places in `output`, and what skipped tokens get."""
    blocks, slots = passing.blocks, passing.slots
    if not blocks.cubes:
        return
    width = output.shape[1]
    block = min(256, next_power_of_2(width))
    with torch.cuda.device_of(computed):  # Triton launches on torch's device
        _spread_kernel[blocks.cubes, cdiv(width, block)](
            *(computed, output, blocks.positions, blocks.tokens, slots, blocks.slots, width),
            MEAN=mean,
            ROWS=32,
            BLOCK=block,
        )
