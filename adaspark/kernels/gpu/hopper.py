"""Attention by tiles of rows on Hopper: what `tile_kernel.py` does elsewhere, by its own means.

Two groups of four warps have half of a tile's rows each and go their own ways: while one
exponentiates, the other multiplies, and within a group the values of one block are multiplied while
the weights of the next are made. The copy engine brings keys ahead of both. Written in Gluon, which
Triton's interpreter does not run: tests compile it everywhere, and compare it on a device. Axes as
in `tile_kernel.py`.
"""

from __future__ import annotations

from math import e as EULER
from math import log2

import torch
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    warpgroup_mma_wait,
)
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from adaspark.kernels.gpu.arguments import RowGeometry, Selection, Strided
from adaspark.kernels.gpu.bits import pack
from adaspark.kernels.gpu.device import NOTHING
from adaspark.kernels.gpu.hopper_device import (
    HALF,
    accumulate_values,
    copy_ahead,
    copy_first,
    hide,
    lines_at,
    online_softmax_weights,
    score_keys,
    slot_of,
)
from adaspark.kernels.gpu.plan import TilePlan, plan
from adaspark.kernels.gpu.rows import Rows
from adaspark.kernels.gpu.tables import KeyBlocks, Source
from adaspark.method.sequence import SequenceMap

ROWS, KEYS = 128, 64
"""Rows of a tile; keys of a block."""
WIDTHS = (64, 128)
"""Head dimensions that fit."""
STAGES, AHEAD = 5, 4
"""Blocks that shared memory holds, and how many of them are copied ahead: with one in hand, no
group waits for the other."""
REGISTERS = 232
"""Of each thread: fewer (216) took 7 % longer on an H200 at 32K tokens, more (240, 248) no less."""


@gluon.jit
def _half(
    part: gl.constexpr, source, queries, output, tables, buffers, barriers, span,
    first, scale, R, W, C, SLOTS: gl.constexpr, RAGGED: gl.constexpr, AHEAD: gl.constexpr,
):  # fmt: skip
    """Half of the rows of a tile, from `first` on; the first half also has the keys copied."""
    query_buffers, key_buffers, _ = buffers
    STAGES: gl.constexpr = key_buffers.shape[0]
    KEYS: gl.constexpr = key_buffers.shape[1]
    D: gl.constexpr = key_buffers.shape[2]
    scores_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, KEYS, 16])
    acc_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, D, 16])
    wide: gl.constexpr = gl.BlockedLayout([1, 8], [256 // D, D // 8], [4, 1], [1, 0])
    row_layout: gl.constexpr = gl.SliceLayout(1, scores_layout)
    places, tokens, video_before, text_before, selected, cubes = tables
    _, text_blocks, _, blocks = span
    _, empty = barriers
    count = text_blocks + blocks
    if part == 0:
        copy_first(source, buffers, barriers, cubes, span, AHEAD, SLOTS)
    coming = slot_of(cubes, span, AHEAD, SLOTS, KEYS)

    first += part * HALF
    lines = first + gl.arange(0, HALF, gl.SliceLayout(1, wide))
    width = gl.arange(0, D, gl.SliceLayout(0, wide))
    place = gl.load(places + lines, mask=lines < R, other=0)
    mine = query_buffers.index(part)
    mine.store(gl.load(lines_at(queries, place) + width[None, :]))  # [HALF, D]
    query = mine.load(gl.DotOperandLayout(0, scores_layout, 2))

    rows = first + gl.arange(0, HALF, row_layout)
    inside = rows < R
    text = gl.load(text_before + rows, mask=inside, other=0)  # [HALF]
    before = (text, gl.load(video_before + rows, mask=inside, other=0))
    # Rows outside select nothing, in the last word or beyond: they may read the word of others.
    word = selected + gl.minimum(rows // 32, W - 1).to(gl.int64) * C
    bit = rows % 32
    top = gl.full([HALF], NOTHING, gl.float32, row_layout)
    total = gl.zeros([HALF], gl.float32, row_layout)
    acc = gl.zeros([HALF, D], gl.float32, acc_layout)

    slot = slot_of(cubes, span, 0, SLOTS, KEYS)
    mask_word = gl.load(word + slot // SLOTS, mask=inside & (text_blocks == 0), other=-1)
    scores = score_keys(query, buffers, barriers, 0, scores_layout)
    scores = warpgroup_mma_wait(0, deps=(scores,))
    scores = hide(scores, tokens, slot, before, span, 0, RAGGED)
    attends = (mask_word >> bit & 1) > 0
    weights, _, top, total = online_softmax_weights(
        scores, top, total, attends, scale, acc_layout, mine.dtype
    )
    slot = slot_of(cubes, span, 1, SLOTS, KEYS)
    mask_word = gl.load(word + slot // SLOTS, mask=inside & (text_blocks <= 1), other=-1)
    for i in range(1, count):
        scores = score_keys(query, buffers, barriers, i, scores_layout)
        acc = accumulate_values(weights, acc, buffers, i - 1)
        scores, weights = warpgroup_mma_wait(1, deps=(scores, weights))
        scores = hide(scores, tokens, slot, before, span, i, RAGGED)
        attends = (mask_word >> bit & 1) > 0
        slot = slot_of(cubes, span, i + 1, SLOTS, KEYS)
        mask_word = gl.load(word + slot // SLOTS, mask=inside & (text_blocks <= i + 1), other=-1)
        weights, fade, top, total = online_softmax_weights(
            scores, top, total, attends, scale, acc_layout, mine.dtype
        )
        acc = warpgroup_mma_wait(0, deps=(acc,))
        mbarrier.arrive(empty.index((i - 1) % STAGES), count=1)
        if part == 0:
            ahead = i - 1 + AHEAD
            copy_ahead(source, buffers, barriers, coming, ahead, ahead < count)
            coming = slot_of(cubes, span, ahead + 1, SLOTS, KEYS)
        acc = acc * fade[:, None]

    acc = warpgroup_mma_wait(0, deps=(accumulate_values(weights, acc, buffers, count - 1),))
    total = gl.convert_layout(gl.where(total > 0, total, 1.0), gl.SliceLayout(1, acc_layout))
    mine.store((acc / total[:, None]).to(mine.dtype))
    into = lines_at(output, place) + width[None, :]
    gl.store(into, mine.load(wide), mask=(lines < R)[:, None])


@gluon.jit(do_not_specialize=["R", "W", "T"])
def _tile_kernel(
    queries, query_head, query_row, keys, values, source_rows, output, output_head, output_row,
    places, video_before, text_before, text_seen, R, tokens, text_start,
    selected, cubes, counts, W, T, C,
    share, scale,
    SLOTS: gl.constexpr, RAGGED: gl.constexpr, STAGES: gl.constexpr, AHEAD: gl.constexpr,
    REGISTERS: gl.constexpr,
):  # fmt: skip
    """One head, one tile of rows; the last tiles, which see most, first.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | queries | bf16 or fp16 | [H, S, D] (query_head, query_row, 1) |
    | keys, values | as queries | [G * source_rows, D], by slot: described in blocks [KEYS, D] |
    | output | as queries | [H, S, D] (output_head, output_row, 1): written |
    | places, video_before, text_before | int32 | [R] |
    | tokens | int32 | [C * M], the video token of each slot |
    | text_seen | int32 | [T] |
    | selected | int32 | [H, W, C], a bit a row |
    | cubes, counts | int32 | [H, T, C], [H, T, 2]: what a tile computes |
    """
    KEYS: gl.constexpr = keys.block_type.shape[0]
    D: gl.constexpr = keys.block_type.shape[1]
    head = gl.program_id(0)
    tile = gl.num_programs(1) - 1 - gl.program_id(1)
    line = (head * T + tile).to(gl.int64)
    whole = gl.load(counts + line * 2) * (SLOTS // KEYS)
    blocks = gl.load(counts + line * 2 + 1) * (SLOTS // KEYS)
    span = (text_start, gl.cdiv(gl.load(text_seen + tile), KEYS), whole, blocks)
    selected += head.to(gl.int64) * W * C
    tables = (places, tokens, video_before, text_before, selected, cubes + line * C)
    buffers = (
        gl.allocate_shared_memory(keys.dtype, [2, HALF, D], keys.layout),
        gl.allocate_shared_memory(keys.dtype, [STAGES, KEYS, D], keys.layout),
        gl.allocate_shared_memory(keys.dtype, [STAGES, KEYS, D], keys.layout),
    )
    full = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    empty = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    for stage in gl.static_range(STAGES):
        mbarrier.init(full.index(stage), count=1)
        mbarrier.init(empty.index(stage), count=2)
    source = (keys, values, head // share * source_rows)
    read = (queries + head.to(gl.int64) * query_head, query_row)
    written = (output + head.to(gl.int64) * output_head, output_row)
    gl.warp_specialize(
        [
            (_half, (0, source, read, written, tables, buffers, (full, empty), span,
                     tile * 2 * HALF, scale, R, W, C, SLOTS, RAGGED, AHEAD)),
            (_half, (1, source, read, written, tables, buffers, (full, empty), span,
                     tile * 2 * HALF, scale, R, W, C, SLOTS, RAGGED, AHEAD)),
        ],
        [4],
        [REGISTERS],
    )  # fmt: skip


def serves(queries: Tensor, source: Source, blocks: KeyBlocks, rows: Rows) -> bool:
    """Whether these rows can be computed here."""
    return (
        queries.element_size() == 2
        and queries.shape[2] in WIDTHS
        and not source.gathered
        and blocks.block == KEYS
        and rows.end_cube > 0
    )


def attend(
    queries: Tensor,
    source: Source,
    output: Tensor,
    blocks: KeyBlocks,
    rows: Rows,
    work: TilePlan,
    *,
    scale: float,
) -> None:
    """`tile_kernel.attend` of all tiles of a plan that leaves nothing to be gathered."""
    heads, tiles = work.counts.shape[:2]
    _tile_kernel[heads, tiles](
        *Strided.of(queries),
        *(_described(source.keys), _described(source.values), source.keys.shape[1]),
        *Strided.of(output),
        *RowGeometry.of(rows, work),
        *(blocks.tokens, blocks.text_start),
        *Selection.of(work),
        heads // source.keys.shape[0],
        scale * log2(EULER),
        SLOTS=blocks.slots,
        RAGGED=blocks.ragged,
        STAGES=STAGES,
        AHEAD=AHEAD,
        REGISTERS=REGISTERS,
        num_warps=4,
        maxnreg=REGISTERS,
    )


def _described(part: Tensor) -> TensorDescriptor:
    """Keys or values [G, rows, D] as lines that are copied a block at a time."""
    shape, dtype = [KEYS, part.shape[2]], getattr(gl, str(part.dtype).removeprefix("torch."))
    layout = gl.NVMMASharedLayout.get_default_for(shape, dtype)
    return TensorDescriptor.from_tensor(part.view(-1, part.shape[2]), shape, layout)


def try_one(device: torch.device) -> None:
    """Compile and run the kernel of a usual model; raises whatever keeps it from running."""
    sequence = SequenceMap.build(
        torch.ones(KEYS, dtype=torch.bool, device=device), [(1, 8, 8)], (1, 8, 8)
    )
    blocks = KeyBlocks.of(sequence)
    rows = Rows.of(sequence.segments(), 0)
    ones = torch.ones(1, KEYS, WIDTHS[-1], dtype=torch.bfloat16, device=device)
    selected = pack(torch.ones(1, KEYS, 1, dtype=torch.bool, device=device))
    work = plan(selected, blocks, rows, size=ROWS)
    found = torch.zeros_like(ones)
    source = Source.of(ones, ones, blocks, copied=True)
    attend(ones, source, found, blocks, rows, work, scale=1.0)
    if not torch.equal(found, ones):
        raise RuntimeError("means of ones are not ones")
