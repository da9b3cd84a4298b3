"""Attention by tiles of rows: one pass over text and the cubes that any row of the tile selected.

The weights of a row in a cube that it did not select are exactly 0: its scores are shifted by
infinity, which costs nothing a key.
Axes: H heads, G KV heads, R rows, T tiles, C cubes, M key slots of a cube, X text keys, P gathered
pairs, D head dimension.
"""

from __future__ import annotations

from math import e as EULER
from math import log2

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu.arguments import KeyGeometry, Partials, RowGeometry, Selection, Strided
from adaspark.kernels.gpu.device import (
    NOTHING,
    merge_partials,
    online_softmax_update,
    online_softmax_update_two,
    score_block,
)
from adaspark.kernels.gpu.plan import TilePlan
from adaspark.kernels.gpu.rows import Rows
from adaspark.kernels.gpu.sizes import cdiv, next_power_of_2
from adaspark.kernels.gpu.tables import KeyBlocks, Pairs, Source
from adaspark.kernels.gpu.thresholds import TileShape

MAX_SPLITS = 64
"""The most programs that share the keys of one tile, if tiles are few."""


@triton.jit(do_not_specialize=["R", "W", "T", "text_keys", "first_tile", "pair_rows", "part_rows"])
def _union_kernel(
    queries, query_head, query_row, keys, key_head, key_row, values, value_head, value_row,
    output, output_head, output_row, log_sums,
    places, video_before, text_before, text_seen, R,
    positions, tokens, text_start, text_keys,
    selected, cubes, counts, W, T, C,
    pair_results, pair_sums, pair_first, pair_count, pair_rows,
    share, scale, first_tile, part_rows,
    SLOTS: tl.constexpr, KEYS: tl.constexpr, ROWS: tl.constexpr, D: tl.constexpr,
    GATHER: tl.constexpr, RAGGED: tl.constexpr, PAIRS: tl.constexpr, SPLITS: tl.constexpr,
    STEP: tl.constexpr,
):  # fmt: skip
    """One head, one tile of rows, one part of its cubes; the last tiles, which see most, first.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | queries | bf16, fp16 or fp32 | [H, S, D] (query_head, query_row, 1) |
    | keys, values | as queries | [G, rows, D] (key_head, key_row, 1), by slot or by position |
    | output | as queries, if SPLITS is 1 | [H, S, D] (output_head, output_row, 1) |
    | | fp32, if not | [SPLITS, H, part_rows, D] |
    | log_sums | fp32 | [SPLITS, H, part_rows], base 2; only if SPLITS > 1 |
    | places, video_before, text_before | int32 | [R] |
    | text_seen | int32 | [T] |
    | positions | int64 | [C * M + X], of each slot in the sequence |
    | tokens | int32 | [C * M], the video token of each slot |
    | selected | int32 | [H, W, C], a bit a row |
    | cubes, counts | int32 | [H, T, C], [H, T, 2]: what a tile computes |
    | pair_results | as queries | [P, D]; only if PAIRS, as the next three |
    | pair_sums | fp32 | [P], base 2 |
    | pair_first, pair_count | int32 | [H, pair_rows] |
    """
    head, part = tl.program_id(0), tl.program_id(2)
    tile = first_tile + tl.num_programs(1) - 1 - tl.program_id(1)
    rows = tile * ROWS + tl.arange(0, ROWS)
    inside = rows < R
    width = tl.arange(0, D)
    place = tl.load(places + rows, mask=inside, other=0).to(tl.int64)  # [ROWS]
    queries += head.to(tl.int64) * query_head
    query = tl.load(queries + place[:, None] * query_row + width[None, :])  # [ROWS, D]
    keys += (head // share).to(tl.int64) * key_head
    values += (head // share).to(tl.int64) * value_head
    acc = tl.zeros([ROWS, D], tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    top = tl.full([ROWS], NOTHING, tl.float32)
    offset = tl.arange(0, KEYS)

    if part == 0:
        if PAIRS:
            mine = head.to(tl.int64) * pair_rows + rows - first_tile * ROWS
            first = tl.load(pair_first + mine, mask=inside, other=0)  # [ROWS]
            count = tl.load(pair_count + mine, mask=inside, other=0)  # [ROWS]
            acc, top, total = merge_partials(
                acc, top, total, pair_results, pair_sums, first, count, D
            )
        before = tl.load(text_before + rows, mask=inside, other=0)  # [ROWS]
        for start in range(0, tl.load(text_seen + tile), KEYS):
            real = start + offset < text_keys
            slot = (text_start + start + offset).to(tl.int64)
            at = tl.load(positions + slot, mask=real, other=0) if GATHER else slot  # [KEYS]
            key = tl.load(  # [D, KEYS]
                keys + at[None, :] * key_row + width[:, None], mask=real[None, :], other=0.0
            )
            value = tl.load(  # [KEYS, D]
                values + at[:, None] * value_row + width[None, :], mask=real[:, None], other=0.0
            )
            scores = tl.dot(query, key, input_precision="ieee")
            seen = start + offset[None, :] < before[:, None]
            scores = tl.where(seen, scores, -float("inf"))
            acc, top, total = online_softmax_update(acc, top, total, scores, scale, value, inside)

    line = (head * T + tile).to(tl.int64)
    whole, count = tl.load(counts + line * 2), tl.load(counts + line * 2 + 1)
    begin = part * tl.cdiv(count, SPLITS)
    end = tl.minimum(begin + tl.cdiv(count, SPLITS), count)
    cubes += line * C
    # Rows outside select nothing, in the last word or beyond: they may read the word of others.
    word = selected + (head.to(tl.int64) * W + tl.minimum(rows // 32, W - 1)) * C
    bit = rows % 32
    before = tl.load(video_before + rows, mask=inside, other=0)  # [ROWS]
    BLOCKS: tl.constexpr = SLOTS // KEYS
    last = tl.minimum(whole, end) * BLOCKS
    for i in range(begin * BLOCKS, last, STEP):
        scores, value, attends = score_block(
            query, keys, values, key_row, value_row, positions, tokens, cubes, word, bit, before,
            i, last, SLOTS, KEYS, D, GATHER, RAGGED, False,
        )  # fmt: skip
        if STEP == 1:
            acc, top, total = online_softmax_update(acc, top, total, scores, scale, value, attends)
        else:
            scores2, value2, attends2 = score_block(
                query, keys, values, key_row, value_row, positions, tokens, cubes, word, bit,
                before, i + 1, last, SLOTS, KEYS, D, GATHER, RAGGED, False,
            )  # fmt: skip
            acc, top, total = online_softmax_update_two(
                acc, top, total, scores, value, attends, scores2, value2, attends2, scale
            )
    for i in range(tl.maximum(whole, begin) * BLOCKS, end * BLOCKS):
        scores, value, attends = score_block(
            query, keys, values, key_row, value_row, positions, tokens, cubes, word, bit, before,
            i, end * BLOCKS, SLOTS, KEYS, D, GATHER, RAGGED, True,
        )  # fmt: skip
        acc, top, total = online_softmax_update(acc, top, total, scores, scale, value, attends)

    has_keys = total > 0
    acc = acc / tl.where(has_keys, total, 1.0)[:, None]
    if SPLITS > 1:
        at = (part * tl.num_programs(0) + head).to(tl.int64) * part_rows + rows - first_tile * ROWS
        log_sum = tl.where(has_keys, top + tl.log2(tl.where(has_keys, total, 1.0)), -float("inf"))
        tl.store(log_sums + at, log_sum, mask=inside)
        into = output + at[:, None] * D
    else:
        into = output + head.to(tl.int64) * output_head + place[:, None] * output_row
    tl.store(into + width[None, :], acc.to(output.dtype.element_ty), mask=inside[:, None])


def attend(
    queries: Tensor,
    source: Source,
    output: Tensor,
    blocks: KeyBlocks,
    rows: Rows,
    plan: TilePlan,
    tiles: slice,
    *,
    scale: float,
    shape: TileShape,
    splits: int | None = None,
    pairs: Pairs | None = None,
) -> None:
    """Exact softmax attention of the rows of `tiles`, written to their places in `output`.

    `queries` and `output` [H, S, D]; what the plan leaves to be gathered is taken from `pairs`,
    whose rows begin with those of the first tile. `splits` programs share the keys of a tile: as
    many as keep the device busy, if it is None.
    """
    heads, _, width = queries.shape
    count = tiles.stop - tiles.start
    mine = slice(tiles.start * plan.size, min(tiles.stop * plan.size, rows.count))
    if splits is None:
        splits = _splits(heads * count, queries.device)
    target, log_sums = output, output
    if splits > 1:
        shared = (splits, heads, mine.stop - mine.start)
        target = queries.new_empty(*shared, width, dtype=torch.float32)
        log_sums = target.new_empty(shared)
    _union_kernel[heads, count, splits](
        *Strided.of(queries),
        *Strided.of(source.keys),
        *Strided.of(source.values),
        *Strided.of(output)._replace(tensor=target),
        log_sums,
        *RowGeometry.of(rows, plan),
        *KeyGeometry.of(blocks),
        *Selection.of(plan),
        *Partials.of(pairs or Pairs(queries, queries, rows.places, rows.places)),
        heads // source.keys.shape[0],
        scale * log2(EULER),
        tiles.start,
        mine.stop - mine.start,
        SLOTS=blocks.slots,
        KEYS=blocks.block,
        ROWS=plan.size,
        D=width,
        GATHER=source.gathered,
        RAGGED=blocks.ragged,
        PAIRS=pairs is not None,
        SPLITS=splits,
        STEP=shape.step,
        num_warps=shape.warps,
        num_stages=shape.stages,
    )
    if splits > 1:
        output[:, rows.places[mine].long()] = _combined(target, log_sums).to(output.dtype)


def _splits(programs: int, device: torch.device) -> int:
    """Parts of a tile's cubes, so that every multiprocessor has work."""
    if device.type != "cuda":
        return 1
    units = torch.cuda.get_device_properties(device).multi_processor_count
    return int(min(MAX_SPLITS, next_power_of_2(cdiv(units, programs))))


def _combined(parts: Tensor, log_sums: Tensor) -> Tensor:
    """[H, R, D] from the parts [S, H, R, D] of each row's keys and their base-2 log-sums."""
    weights = torch.softmax(log_sums * log2(EULER) ** -1, 0)
    return (parts * weights[..., None]).sum(0)
