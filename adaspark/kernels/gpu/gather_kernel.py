"""Attention by cubes for those that few rows of a tile selected: such rows are gathered
from all tiles.

Each (row, cube) pair leaves a partial result and its log-sum, and the pairs of a row lie together,
so that its tile begins from them. Axes: H heads, R rows, W groups of 32 rows, C cubes, P pairs, D
head dimension.
"""

from __future__ import annotations

from math import e as EULER
from math import log2

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu.arguments import Strided
from adaspark.kernels.gpu.bits import WORD
from adaspark.kernels.gpu.device import NOTHING, load_block, online_softmax_update, popcount
from adaspark.kernels.gpu.plan import TilePlan
from adaspark.kernels.gpu.rows import Rows
from adaspark.kernels.gpu.tables import KeyBlocks, Pairs, Source

GATHERED_ROWS = 64
"""The most rows multiplied with a cube at a time."""
BLOCK_C = 32
"""Cubes whose mask words are unpacked at a time."""


@triton.jit
def _few(selected, attending_rows, min_rows, head, group, cubes, W, T, C, WORDS: tl.constexpr):
    """The mask of 32 rows for `cubes`, only the entries that their tile leaves to be gathered."""
    line = (head * W + group).to(tl.int64) * C
    word = tl.load(selected + line + cubes, mask=cubes < C, other=0)  # [BLOCK]
    line = (head * T + group // WORDS).to(tl.int64) * C
    rows = tl.load(attending_rows + line + cubes, mask=cubes < C, other=0).to(tl.int32)
    return tl.where(rows < tl.load(min_rows + head), word, 0)


@triton.jit(do_not_specialize=["W", "T", "first"])
def _count_kernel(
    selected, attending_rows, min_rows, by_row, by_cube,
    W, T, C, first, WORDS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Pairs of each row, and of each cube and group of 32 rows; w groups from `first` on.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | selected | int32 | [H, W, C], a bit a row |
    | attending_rows | uint8 | [H, T, C] |
    | min_rows | int32 | [H] |
    | by_row, by_cube | int32 | [H, w * 32], [H, C, w]: written |
    """
    head, group = tl.program_id(0), tl.program_id(1)
    groups = tl.num_programs(1)
    bit = tl.arange(0, 32)
    found = tl.zeros([32], tl.int32)
    for start in range(0, C, BLOCK):
        cubes = start + tl.arange(0, BLOCK)
        word = _few(selected, attending_rows, min_rows, head, first + group, cubes, W, T, C, WORDS)
        found += tl.sum((word[None, :] >> bit[:, None]) & 1, 1)
        at = (head.to(tl.int64) * C + cubes) * groups + group
        tl.store(by_cube + at, popcount(word), mask=cubes < C)
    tl.store(by_row + (head.to(tl.int64) * groups + group) * 32 + bit, found)


@triton.jit(do_not_specialize=["W", "T", "first"])
def _fill_kernel(
    selected, attending_rows, min_rows, row_first, cube_first, pair_row, pair_slot,
    W, T, C, first, WORDS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The row of every pair, cube by cube, and where its result goes, row by row.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | selected | int32 | [H, W, C], a bit a row |
    | attending_rows | uint8 | [H, T, C] |
    | min_rows | int32 | [H] |
    | row_first, cube_first | int32 | [H, w * 32], [H, C, w]: pairs before those of each |
    | pair_row, pair_slot | int32 | [P]: written |
    """
    head, group = tl.program_id(0), tl.program_id(1)
    groups = tl.num_programs(1)
    bit = tl.arange(0, 32)
    slot = tl.load(row_first + (head.to(tl.int64) * groups + group) * 32 + bit)  # [32]
    for start in range(0, C, BLOCK):
        cubes = start + tl.arange(0, BLOCK)
        word = _few(selected, attending_rows, min_rows, head, first + group, cubes, W, T, C, WORDS)
        attends = (word[None, :] >> bit[:, None]) & 1
        at = (head.to(tl.int64) * C + cubes) * groups + group
        pair = tl.load(cube_first + at, mask=cubes < C, other=0)  # [BLOCK]
        pair = pair[None, :] + tl.cumsum(attends, 0) - 1
        rows = tl.broadcast_to(((first + group) * 32 + bit)[:, None], attends.shape)
        tl.store(pair_row + pair, rows, mask=attends > 0)
        tl.store(pair_slot + pair, slot[:, None] + tl.cumsum(attends, 1) - 1, mask=attends > 0)
        slot += tl.sum(attends, 1)


@triton.jit(do_not_specialize=["cells"])
def _pairs_kernel(
    queries, query_head, query_row, keys, key_head, key_row, values, value_head, value_row,
    results, log_sums,
    places, video_before, positions, tokens,
    item_cell, item_first, cell_first, pair_row, pair_slot, cells, C,
    share, scale,
    SLOTS: tl.constexpr, KEYS: tl.constexpr, ROWS: tl.constexpr, D: tl.constexpr,
    GATHER: tl.constexpr,
):  # fmt: skip
    """One cube, some of the rows of one head that selected it.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | queries | bf16, fp16 or fp32 | [H, S, D] (query_head, query_row, 1) |
    | keys, values | as queries | [G, rows, D] (key_head, key_row, 1), (value_head, value_row, 1) |
    | results | as queries | [P, D], row by row: written |
    | log_sums | fp32 | [P], base 2: written |
    | places, video_before | int32 | [R] |
    | positions | int64 | [C * M + X], of each slot in the sequence |
    | tokens | int32 | [C * M], the video token of each slot |
    | item_cell | int32 | [items]: a (head, cube) cell; from `cells` on there is none |
    | item_first, cell_first | int32 | [cells], [cells + 1]: items and pairs before a cell |
    | pair_row, pair_slot | int32 | [P], cell by cell |
    """
    item = tl.program_id(0)
    cell = tl.load(item_cell + item)
    if cell < cells:
        head, cube = cell // C, cell % C
        begin = tl.load(cell_first + cell) + (item - tl.load(item_first + cell)) * ROWS
        pair = begin + tl.arange(0, ROWS)
        inside = pair < tl.load(cell_first + cell + 1)
        rows = tl.load(pair_row + pair, mask=inside, other=0)  # [ROWS]
        slot = tl.load(pair_slot + pair, mask=inside, other=0).to(tl.int64)  # [ROWS]
        place = tl.load(places + rows).to(tl.int64)  # [ROWS]
        before = tl.load(video_before + rows)  # [ROWS]
        width = tl.arange(0, D)
        query = queries + head.to(tl.int64) * query_head + place[:, None] * query_row
        query = tl.load(query + width[None, :])  # [ROWS, D]
        keys += (head // share).to(tl.int64) * key_head
        values += (head // share).to(tl.int64) * value_head
        acc = tl.zeros([ROWS, D], tl.float32)
        total = tl.zeros([ROWS], tl.float32)
        top = tl.full([ROWS], NOTHING, tl.float32)
        for start in range(0, SLOTS, KEYS):
            at = cube.to(tl.int64) * SLOTS + start
            key, value = load_block(
                keys, values, key_row, value_row, positions, at, width, KEYS, GATHER
            )
            scores = tl.dot(query, key, input_precision="ieee")
            seen = tl.load(tokens + at + tl.arange(0, KEYS))[None, :] < before[:, None]
            scores = tl.where(seen, scores, -float("inf"))
            acc, top, total = online_softmax_update(acc, top, total, scores, scale, value, inside)
        total = tl.where(inside, total, 1.0)
        into = results + slot[:, None] * D + width[None, :]
        tl.store(into, (acc / total[:, None]).to(results.dtype.element_ty), mask=inside[:, None])
        tl.store(log_sums + slot, top + tl.log2(total), mask=inside)


def pairs_of_tiles(plan: TilePlan) -> Tensor:
    """int64 [T]: pairs that the plan leaves to be gathered, over all heads."""
    few = plan.attending_rows < plan.min_rows[:, None, None]
    return (plan.attending_rows * few).sum((0, 2))


def gather(
    queries: Tensor,
    source: Source,
    blocks: KeyBlocks,
    rows: Rows,
    plan: TilePlan,
    tiles: slice,
    count: int,
    *,
    scale: float,
) -> Pairs:
    """The `count` pairs of the plan's `tiles`, over all heads, computed cube by cube."""
    heads, words, cubes = plan.selected.shape
    per_tile = plan.size // WORD
    first = tiles.start * per_tile
    groups = min(tiles.stop * per_tile, words) - first
    selection = (plan.selected, plan.attending_rows, plan.min_rows)
    sizes = (words, plan.attending_rows.shape[1], cubes, first, per_tile, BLOCK_C)

    def integers(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.int32, device=queries.device)

    by_row, by_cube = integers(heads, groups * WORD), integers(heads * cubes, groups)
    _count_kernel[heads, groups](*selection, by_row, by_cube, *sizes)
    row_first, cube_first = _before(by_row), _before(by_cube)
    pair_row, pair_slot = integers(count), integers(count)
    _fill_kernel[heads, groups](*selection, row_first, cube_first, pair_row, pair_slot, *sizes)

    at_once = min(GATHERED_ROWS, plan.size)
    cell_first = torch.cat([cube_first[:, 0], cube_first.new_full((1,), count)])
    items = (cell_first.diff() + at_once - 1) // at_once
    item_end = items.cumsum(0, dtype=torch.int32)
    max_items = count // at_once + min(count, len(items))  # the exact number is on the device
    item_cell = torch.searchsorted(
        item_end, torch.arange(max_items, device=item_end.device, dtype=torch.int32), right=True
    ).int()
    results = queries.new_empty(count, queries.shape[2])
    log_sums = results.new_empty(count, dtype=torch.float32)
    _pairs_kernel[(max_items,)](
        *Strided.of(queries),
        *Strided.of(source.keys),
        *Strided.of(source.values),
        *(results, log_sums),
        *(rows.places, rows.video_before, blocks.positions, blocks.tokens),
        *(item_cell, item_end - items, cell_first, pair_row, pair_slot, len(items), cubes),
        heads // source.keys.shape[0],
        scale * log2(EULER),
        SLOTS=blocks.slots,
        KEYS=blocks.block,
        ROWS=at_once,
        D=queries.shape[2],
        GATHER=source.gathered,
        num_warps=8 if queries.dtype == torch.float32 else 4,
        num_stages=2 if queries.shape[2] <= 128 else 1,
    )
    return Pairs(results, log_sums, row_first.view(heads, -1), by_row)


def _before(counts: Tensor) -> Tensor:
    """int32, as `counts`: the sum of all that come before, in memory order."""
    return (counts.flatten().cumsum(0, dtype=torch.int32) - counts.flatten()).view_as(counts)
