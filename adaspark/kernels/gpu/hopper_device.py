"""Inside the kernel of `hopper.py`: what one group of warps does with one block of keys.

Blocks are numbered as a tile reads them: those of text first, then those of its cubes. `source` is
(keys, values, first row), `buffers` are those of (queries, keys, values) in shared memory,
`barriers` say that a place is (full, empty), `span` is (first slot of text, blocks of text, blocks
of cubes that all rows see whole, blocks of cubes).
"""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    tma,
    warpgroup_mma,
)

HALF = gl.constexpr(64)
"""Rows of a group of warps, half of those of a tile."""
copy_block = getattr(tma, "async_load", None) or tma.async_copy_global_to_shared  # older Triton


@gluon.jit
def slot_of(cubes, span, i, SLOTS: gl.constexpr, KEYS: gl.constexpr):
    """Where the keys of block `i` begin: the blocks of text come first, then those of cubes."""
    text_start, text_blocks, _, blocks = span
    at = gl.minimum(gl.maximum(i - text_blocks, 0), blocks - 1) * KEYS
    cube = gl.load(cubes + at // SLOTS, mask=blocks > 0, other=0)
    return gl.where(i < text_blocks, text_start + i * KEYS, cube * SLOTS + at % SLOTS)


@gluon.jit
def copy_ahead(source, buffers, barriers, slot, i, needed):
    """Have the keys and values of block `i` copied, as soon as both groups have left its place."""
    keys, values, first_row = source
    _, key_buffers, value_buffers = buffers
    full, empty = barriers
    STAGES: gl.constexpr = key_buffers.shape[0]
    BYTES: gl.constexpr = 2 * key_buffers.shape[1] * key_buffers.shape[2] * 2  # 16-bit numbers
    stage = i % STAGES
    ready = full.index(stage)
    mbarrier.wait(empty.index(stage), (i // STAGES & 1) ^ 1, pred=needed)
    mbarrier.expect(ready, BYTES, pred=needed)
    copy_block(keys, [first_row + slot, 0], ready, key_buffers.index(stage), pred=needed)
    copy_block(values, [first_row + slot, 0], ready, value_buffers.index(stage), pred=needed)


@gluon.jit
def copy_first(source, buffers, barriers, cubes, span, AHEAD: gl.constexpr, SLOTS: gl.constexpr):
    """Have the first AHEAD blocks copied, or as many as there are."""
    _, key_buffers, _ = buffers
    _, text_blocks, _, blocks = span
    KEYS: gl.constexpr = key_buffers.shape[1]
    for i in gl.static_range(AHEAD):
        slot = slot_of(cubes, span, i, SLOTS, KEYS)
        copy_ahead(source, buffers, barriers, slot, i, i < text_blocks + blocks)


@gluon.jit
def lines_at(matrix, place):
    """Where the lines `place` of (pointer, elements a line) begin."""
    pointer, line = matrix
    return pointer + place.to(gl.int64)[:, None] * line


@gluon.jit
def score_keys(query, buffers, barriers, i, layout: gl.constexpr):
    """The products of the rows with the keys of block `i`, under way."""
    _, key_buffers, _ = buffers
    full, _ = barriers
    STAGES: gl.constexpr = key_buffers.shape[0]
    KEYS: gl.constexpr = key_buffers.shape[1]
    stage = i % STAGES
    mbarrier.wait(full.index(stage), i // STAGES & 1)
    nothing = gl.zeros([HALF, KEYS], gl.float32, layout)
    keys = key_buffers.index(stage).permute((1, 0))
    return warpgroup_mma(query, keys, nothing, use_acc=False, is_async=True)


@gluon.jit
def accumulate_values(weights, acc, buffers, i):
    """`acc` and the values of block `i` by their weights, under way."""
    _, _, value_buffers = buffers
    STAGES: gl.constexpr = value_buffers.shape[0]
    return warpgroup_mma(weights, value_buffers.index(i % STAGES), acc, is_async=True)


@gluon.jit
def hide(scores, tokens, slot, before, span, i, RAGGED: gl.constexpr):
    """`scores`, -inf if a row may not see a key of block `i`."""
    KEYS: gl.constexpr = scores.shape[1]
    _, text_blocks, whole, _ = span
    text_before, video_before = before
    is_text = i < text_blocks
    if RAGGED or is_text or i >= text_blocks + whole:
        offset = gl.arange(0, KEYS, gl.SliceLayout(0, scores.type.layout))
        token = gl.load(tokens + gl.where(is_text, 0, slot) + offset)  # [KEYS]
        index = gl.where(is_text, i * KEYS + offset, token)
        end = gl.where(is_text, text_before, video_before)
        scores = gl.where(index[None, :] < end[:, None], scores, -float("inf"))
    return scores


@gluon.jit
def online_softmax_weights(
    scores, top, total, attends, scale, acc_layout: gl.constexpr, dtype: gl.constexpr
):
    """As `gpu_device.online_softmax_update`: weights, scale of the past, peak, sum of weights."""
    high = gl.where(attends, gl.maximum(top, gl.max(scores, 1) * scale), top)
    shift = gl.where(attends, high, float("inf"))
    weights = gl.exp2(scores * scale - shift[:, None])
    fade = gl.exp2(top - high)
    total = total * fade + gl.sum(weights, 1)
    weights = gl.convert_layout(weights.to(dtype), gl.DotOperandLayout(0, acc_layout, 2))
    return weights, gl.convert_layout(fade, gl.SliceLayout(1, acc_layout)), high, total
