"""Attention of a few new text tokens: programs share the keys of a KV group, then combine.

The rows of a group read together what any of them selected: a key is read once for all heads. How
many keys there are may be a number on the device, so that a CUDA graph serves every step.
Axes: H heads, G KV heads, S new tokens, C cubes, M key slots of a cube, X text keys, D head
dimension; the rows of a group are its query heads times its queries.
"""

from __future__ import annotations

from functools import cache
from math import e as EULER
from math import log2

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu.arguments import Strided
from adaspark.kernels.gpu.decode_keys import StepKeys
from adaspark.kernels.gpu.device import NOTHING, load_block, online_softmax_update
from adaspark.kernels.gpu.sizes import cdiv, next_power_of_2

MIN_ROWS = 16
"""The fewest rows that matrix units multiply."""
PROGRAMS_PER_UNIT = 4
"""Programs that share the keys, for each multiprocessor: as many as its registers hold."""
MAX_SPLITS = 64
"""The most programs that share the keys of one KV head: with 128 a word takes 18 % longer from 128K
tokens when it reads them all, 4 % when it reads a quarter; with 32, 47 and 16 % (H200)."""
LISTED_AT_ONCE = 1024
"""Cubes that a program lists at a time."""


@triton.jit(do_not_specialize=["C", "rows"])
def _list_kernel(selected, slot, cubes, number, C, rows, BLOCK_C: tl.constexpr):
    """One group: the cubes that any of its rows selected, in order.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | selected | uint8 | [slots, H, S, C] |
    | slot | int32 | [1], which of the slots is read; None: there is one |
    | cubes | int32 | [G, C]: the first `number` of each group are written |
    | number | int32 | [G]: written |
    """
    group, groups = tl.program_id(0), tl.num_programs(0)
    line = selected + (group * rows).to(tl.int64) * C
    if slot is not None:
        line += tl.load(slot).to(tl.int64) * groups * rows * C
    found = 0
    for start in range(0, C, BLOCK_C):
        cube = start + tl.arange(0, BLOCK_C)
        taken = tl.zeros([BLOCK_C], tl.int32)
        for row in range(rows):
            taken |= tl.load(line + row * C + cube, mask=cube < C, other=0).to(tl.int32)
        turn = found + tl.cumsum(taken, 0) - 1
        tl.store(cubes + group * C + turn, cube, mask=taken > 0)
        found += tl.sum(taken, 0)
    tl.store(number + group, found)


@triton.jit(do_not_specialize=["text_start", "C", "text_keys", "count"])
def _attend_kernel(
    queries, query_head, query_row, keys, key_head, key_row, values, value_head, value_row,
    parts, log_sums,
    selected, slot, cubes, number, positions, tokens, text_positions,
    text_start, C, text_keys, length, count,
    scale,
    SHARE: tl.constexpr, SLOTS: tl.constexpr, KEYS: tl.constexpr, ROWS: tl.constexpr,
    D: tl.constexpr, ALL: tl.constexpr, GATHER: tl.constexpr, RAGGED: tl.constexpr,
):  # fmt: skip
    """One group, every n-th block of the keys that a row of it attends to.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | queries | bf16, fp16 or fp32 | [H, S, D] (query_head, query_row, 1) |
    | keys, values | as queries | [G, rows, D] (key_head, key_row, 1), (value_head, value_row, 1) |
    | parts | fp32 | [splits, H, S, D]: written |
    | log_sums | fp32 | [splits, H, S], base 2: written |
    | selected | uint8 | [slots, H, S, C]; not read if ALL: every row attends to every cube |
    | slot | int32 | [1], which of the slots is read; None: there is one |
    | cubes, number | int32 | [G, C], [G], as from `_list_kernel`; not read if ALL |
    | positions | int64 | [C * M], of each slot in the sequence; read if GATHER |
    | tokens | int32 | [C * M], the video token of each slot |
    | text_positions | int64 | [X]; read if GATHER |
    | length | int32 | [1], more text keys; or None |
    """
    group, part = tl.program_id(0), tl.program_id(1)
    splits = tl.num_programs(1)
    row = tl.arange(0, ROWS)
    rows = SHARE * count
    inside = row < rows
    width = tl.arange(0, D)
    head = (group * SHARE + row // count).to(tl.int64)
    place = (head * query_head + row % count * query_row)[:, None] + width[None, :]
    query = tl.load(queries + place, mask=inside[:, None], other=0.0)  # [ROWS, D]
    keys += group.to(tl.int64) * key_head
    values += group.to(tl.int64) * value_head
    acc = tl.zeros([ROWS, D], tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    top = tl.full([ROWS], NOTHING, tl.float32)

    BLOCKS: tl.constexpr = SLOTS // KEYS
    line = selected + (group * rows + row).to(tl.int64) * C
    if ALL:
        blocks = C * BLOCKS
    else:
        blocks = tl.load(number + group) * BLOCKS
        if slot is not None:
            line += tl.load(slot).to(tl.int64) * tl.num_programs(0) * rows * C
    for i in range(part, blocks, splits):
        if ALL:
            cube = i // BLOCKS
            attends = inside
        else:
            cube = tl.load(cubes + group * C + i // BLOCKS)
            attends = tl.load(line + cube, mask=inside, other=0) > 0
        first = cube.to(tl.int64) * SLOTS + i % BLOCKS * KEYS
        key, value = load_block(
            keys, values, key_row, value_row, positions, first, width, KEYS, GATHER
        )
        scores = tl.dot(query, key, input_precision="ieee")
        if RAGGED:
            token = tl.load(tokens + first + tl.arange(0, KEYS))
            scores = tl.where((token < 0x7FFFFFFF)[None, :], scores, -float("inf"))
        acc, top, total = online_softmax_update(acc, top, total, scores, scale, value, attends)

    if length is not None:
        text_keys += tl.load(length)
    before = text_keys - count + row % count + 1
    turn = (part + splits - blocks % splits) % splits  # goes on where the blocks of cubes ended
    for start in range(turn * KEYS, text_keys, splits * KEYS):
        key_index = start + tl.arange(0, KEYS)
        at = tl.minimum(key_index, text_keys - 1).to(tl.int64)
        if GATHER:
            at = tl.load(text_positions + at)
        else:
            at += text_start
        key = tl.load(keys + at[None, :] * key_row + width[:, None])  # [D, KEYS]
        value = tl.load(values + at[:, None] * value_row + width[None, :])  # [KEYS, D]
        seen = inside[:, None] & (key_index[None, :] < before[:, None])
        scores = tl.dot(query, key, input_precision="ieee")
        scores = tl.where(seen, scores, -float("inf"))
        acc, top, total = online_softmax_update(acc, top, total, scores, scale, value, inside)

    has_keys = total > 0
    total = tl.where(has_keys, total, 1.0)
    into = (part * tl.num_programs(0) + group).to(tl.int64) * rows + row
    tl.store(parts + into[:, None] * D + width[None, :], acc / total[:, None], mask=inside[:, None])
    tl.store(log_sums + into, tl.where(has_keys, top + tl.log2(total), -float("inf")), mask=inside)


@triton.jit(do_not_specialize=["splits", "count"])
def _combine_kernel(
    parts, log_sums, output, output_head, output_row, splits, count,
    D: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    """One row of one head: its parts, weighed by the sums behind them.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | parts | fp32 | [splits, H, S, D] |
    | log_sums | fp32 | [splits, H, S], base 2 |
    | output | of the queries | [H, S, D] (output_head, output_row, 1): written |
    """
    head, row = tl.program_id(0), tl.program_id(1)
    line = head * count + row
    lines = tl.num_programs(0) * count
    part = tl.arange(0, BLOCK_S)
    width = tl.arange(0, D)
    log_sum = tl.load(log_sums + part * lines + line, mask=part < splits, other=-float("inf"))
    weight = tl.exp2(log_sum - tl.max(log_sum, 0))
    at = (part * lines + line)[:, None] * D + width[None, :]
    mixed = tl.load(parts + at, mask=(part < splits)[:, None], other=0.0)  # [BLOCK_S, D]
    mixed = tl.sum(mixed * weight[:, None], 0) / tl.sum(weight, 0)
    into = output + head.to(tl.int64) * output_head + row * output_row + width
    tl.store(into, mixed.to(output.dtype.element_ty))


def attend(
    queries: Tensor,
    known: StepKeys,
    selected: Tensor | None,
    *,
    scale: float,
    slot: Tensor | None = None,
    splits: int | None = None,
) -> Tensor:
    """Softmax attention [H, S, D] to all text, and to the cubes `selected`, uint8 [H, S, C].

    None attends to every cube. With `slot` int32 [1] on the device, `selected` is [slots, H, S, C].
    `splits` programs share the keys of a group: as many as keep the device busy, if it is None.
    """
    blocks = known.blocks
    heads, count, width = queries.shape
    groups = known.keys.shape[0]
    share, device = heads // groups, queries.device
    if splits is None:
        splits = _splits(groups, cdiv(known.keys.shape[1], blocks.block), device)
    parts = torch.empty(splits, heads, count, width, device=device)
    log_sums = torch.empty(splits, heads, count, device=device)
    output = torch.empty_like(queries)
    cubes = number = selected
    if selected is not None:
        cubes = torch.empty(groups, blocks.cubes, dtype=torch.int32, device=device)
        number = torch.empty(groups, dtype=torch.int32, device=device)
        _list_kernel[(groups,)](
            *(selected, slot, cubes, number, blocks.cubes, share * count),
            BLOCK_C=min(LISTED_AT_ONCE, next_power_of_2(blocks.cubes)),
        )
    _attend_kernel[groups, splits](
        *Strided.of(queries),
        *Strided.of(known.keys),
        *Strided.of(known.values),
        *(parts, log_sums),
        *(parts if selected is None else selected, slot, cubes, number),
        *(blocks.positions, blocks.tokens, known.text),
        *(blocks.text_start, blocks.cubes, known.text_keys, known.length, count),
        scale * log2(EULER),
        SHARE=share,
        SLOTS=blocks.slots,
        KEYS=blocks.block,
        ROWS=max(MIN_ROWS, next_power_of_2(share * count)),
        D=width,
        ALL=selected is None,
        GATHER=known.text is not None,
        RAGGED=blocks.ragged,
        num_stages=1 if queries.dtype == torch.float32 else 2,
    )
    _combine_kernel[heads, count](
        *(parts, log_sums),
        *Strided.of(output),
        *(splits, count),
        D=width,
        BLOCK_S=next_power_of_2(splits),
        num_warps=8,
    )
    return output


def _splits(groups: int, max_splits: int, device: torch.device) -> int:
    """Programs that share the keys of a group, none of them without any."""
    enough = PROGRAMS_PER_UNIT * _units(device) // groups
    return max(1, min(enough, max_splits, MAX_SPLITS))


@cache
def _units(device: torch.device) -> int:
    if device.type != "cuda":
        return 4
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
