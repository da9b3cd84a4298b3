"""Attention of a few new text tokens: programs share the keys of a KV group, then combine.

The rows of a group read together what any of them selected: a key is read once for all heads.
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
from adaspark.kernels.gpu.device import NOTHING, load_block, online_softmax_update
from adaspark.kernels.gpu.tables import KeyBlocks
from adaspark.method.sequence import SequenceMap

MIN_ROWS = 16
"""The fewest rows that matrix units multiply."""
PROGRAMS_PER_UNIT = 4
"""Programs that share the keys, for each multiprocessor: as many as its registers hold."""
MAX_SPLITS = 128
"""The most programs that share the keys of one KV head."""


@triton.jit(do_not_specialize=["C", "text_keys", "count"])
def _attend_kernel(
    queries, query_head, query_row, keys, key_head, key_row, values, value_head, value_row,
    parts, log_sums,
    selected, positions, tokens, text_positions, C, text_keys, count,
    scale,
    SHARE: tl.constexpr, SLOTS: tl.constexpr, KEYS: tl.constexpr, ROWS: tl.constexpr,
    D: tl.constexpr, BLOCK_C: tl.constexpr, RAGGED: tl.constexpr,
):  # fmt: skip
    """One group, every n-th cube that a row of it selected, every n-th block of text.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | queries | bf16, fp16 or fp32 | [H, S, D] (query_head, query_row, 1) |
    | keys, values | as queries | [G, rows, D] (key_head, key_row, 1), (value_head, value_row, 1) |
    | selected | uint8 | [H, S, C] |
    | parts | fp32 | [splits, H, S, D]: written |
    | log_sums | fp32 | [splits, H, S], base 2: written |
    | positions | int64 | [C * M], of each slot in the sequence |
    | tokens | int32 | [C * M], the video token of each slot |
    | text_positions | int64 | [X] |
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

    line = selected + (group * rows + row).to(tl.int64) * C
    cubes = part + tl.arange(0, BLOCK_C) * splits
    within = inside[:, None] & (cubes[None, :] < C)
    taken = tl.max(tl.load(line[:, None] + cubes[None, :], mask=within, other=0).to(tl.int32), 0)
    turn = tl.where(taken > 0, tl.cumsum(taken, 0) - 1, -1)
    BLOCKS: tl.constexpr = SLOTS // KEYS
    for i in range(tl.sum(taken, 0) * BLOCKS):
        cube = tl.sum(tl.where(turn == i // BLOCKS, cubes, 0), 0)
        slot = cube.to(tl.int64) * SLOTS + i % BLOCKS * KEYS
        key, value = load_block(
            keys, values, key_row, value_row, positions, slot, width, KEYS, True
        )
        attends = tl.load(line + cube, mask=inside, other=0) > 0
        scores = tl.dot(query, key, input_precision="ieee")
        if RAGGED:
            token = tl.load(tokens + slot + tl.arange(0, KEYS))
            scores = tl.where((token < 0x7FFFFFFF)[None, :], scores, -float("inf"))
        acc, top, total = online_softmax_update(acc, top, total, scores, scale, value, attends)

    before = text_keys - count + row % count + 1
    for start in range(part * KEYS, text_keys, splits * KEYS):
        key_index = start + tl.arange(0, KEYS)
        real = key_index < text_keys
        at = tl.load(text_positions + key_index, mask=real, other=0)
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
    keys: Tensor,
    values: Tensor,
    sequence: SequenceMap,
    selected: Tensor,
    *,
    scale: float,
    splits: int | None = None,
) -> Tensor:
    """Softmax attention [H, S, D] to all text, and to the cubes `selected`, uint8 [H, S, C].

    `splits` programs share the keys of a group: as many as keep the device busy, if it is None.
    """
    blocks = KeyBlocks.of_video(sequence)
    heads, count, width = queries.shape
    groups, text = keys.shape[0], len(sequence.text_positions)
    share = heads // groups
    if splits is None:
        keys_apart = max(blocks.cubes, triton.cdiv(text, blocks.block))
        splits = _splits(groups, keys_apart, queries.device)
    parts = torch.empty(splits, heads, count, width, device=queries.device)
    log_sums = torch.empty(splits, heads, count, device=queries.device)
    output = torch.empty_like(queries)
    _attend_kernel[groups, splits](
        *Strided.of(queries),
        *Strided.of(keys),
        *Strided.of(values),
        *(parts, log_sums),
        *(selected, blocks.positions, blocks.tokens, sequence.text_positions),
        *(blocks.cubes, text, count),
        scale * log2(EULER),
        SHARE=share,
        SLOTS=blocks.slots,
        KEYS=blocks.block,
        ROWS=max(MIN_ROWS, triton.next_power_of_2(share * count)),
        D=width,
        BLOCK_C=triton.next_power_of_2(triton.cdiv(blocks.cubes, splits)),
        RAGGED=blocks.ragged,
        num_stages=1 if queries.dtype == torch.float32 else 2,
    )
    _combine_kernel[heads, count](
        *(parts, log_sums),
        *Strided.of(output),
        *(splits, count),
        D=width,
        BLOCK_S=triton.next_power_of_2(splits),
        num_warps=8,
    )
    return output


def pairs(selected: Tensor, groups: int, sequence: SequenceMap) -> Tensor:
    """int64 [2]: (row, key) pairs of all heads, in cubes that are attended to, and multiplied: a
    group's rows multiply what any of them selected, and all text.
    """
    blocks = KeyBlocks.of_video(sequence)
    heads, count, cubes = selected.shape
    chosen = (selected.sum((0, 1)) * sequence.layout.cube_sizes).sum()
    multiplied = selected.view(groups, -1, cubes).amax(1).sum() * blocks.slots * (heads // groups)
    text = triton.cdiv(len(sequence.text_positions), blocks.block) * blocks.block
    return torch.stack([chosen, (multiplied + text * heads) * count])


def _splits(groups: int, max_splits: int, device: torch.device) -> int:
    """Programs that share the keys of a group, none of them without any."""
    enough = PROGRAMS_PER_UNIT * _units(device) // groups
    return max(1, min(enough, max_splits, MAX_SPLITS))


@cache
def _units(device: torch.device) -> int:
    if device.type != "cuda":
        return 4
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
