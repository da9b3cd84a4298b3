"""Inside the GPU kernels: what several of them share."""

from __future__ import annotations

import triton
import triton.language as tl

NOTHING: tl.constexpr = tl.constexpr(-1e38)
"""The log2-sum of a row that has seen no key: finite, so that differences are numbers."""


@triton.jit
def popcount(word):
    """Bits that are set in each int32."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    word = (word + (word >> 4)) & 0x0F0F0F0F
    return (word + (word >> 8) + (word >> 16) + (word >> 24)) & 0x3F


@triton.jit
def online_softmax_update(acc, top, total, scores, scale, values, attends):
    """Add one block of keys to the running softmax: weighted sum, top score, sum of weights.

    `scores` [rows, keys] become powers of two times `scale`, -inf if a key is hidden; `attends`
    bool [rows]: the weights of a row that does not attend to the block become exactly 0, because
    its scores are shifted by infinity.
    """
    high = tl.where(attends, tl.maximum(top, tl.max(scores, 1) * scale), top)
    shift = tl.where(attends, high, float("inf"))
    weights = tl.exp2(scores * scale - shift[:, None])
    fade = tl.exp2(top - high)
    total = total * fade + tl.sum(weights, 1)
    acc = tl.dot(weights.to(values.dtype), values, acc * fade[:, None], input_precision="ieee")
    return acc, high, total


@triton.jit
def online_softmax_update_two(
    acc, top, total, scores, values, attends, scores2, values2, attends2, scale
):
    """Add two blocks at once: half as many rescalings of the sums, half as many steps in a row."""
    nothing = -float("inf")
    high = tl.where(attends, tl.max(scores, 1), nothing)
    high = tl.maximum(
        top, tl.maximum(high, tl.where(attends2, tl.max(scores2, 1), nothing)) * scale
    )
    fade = tl.exp2(top - high)
    weights = tl.exp2(scores * scale - tl.where(attends, high, float("inf"))[:, None])
    weights2 = tl.exp2(scores2 * scale - tl.where(attends2, high, float("inf"))[:, None])
    total = total * fade + tl.sum(weights, 1) + tl.sum(weights2, 1)
    acc = tl.dot(weights.to(values.dtype), values, acc * fade[:, None], input_precision="ieee")
    acc = tl.dot(weights2.to(values.dtype), values2, acc, input_precision="ieee")
    return acc, high, total


@triton.jit
def load_block(
    keys,
    values,
    key_row,
    value_row,
    positions,
    slot,
    width,
    KEYS: tl.constexpr,
    GATHER: tl.constexpr,
):
    """Keys [D, KEYS] and values [KEYS, D] of the slots from `slot` on."""
    offset = tl.arange(0, KEYS)
    if GATHER:
        at = tl.load(positions + slot + offset)  # [KEYS]
        key = tl.load(keys + at[None, :] * key_row + width[:, None])  # [D, KEYS]
        value = tl.load(values + at[:, None] * value_row + width[None, :])  # [KEYS, D]
    else:
        key = tl.load(keys + slot * key_row + offset[None, :] * key_row + width[:, None])
        value = tl.load(values + slot * value_row + offset[:, None] * value_row + width[None, :])
    return key, value


@triton.jit
def score_block(
    query,
    keys,
    values,
    key_row,
    value_row,
    positions,
    tokens,
    cubes,
    word,
    bit,
    before,
    i,
    end,
    SLOTS: tl.constexpr,
    KEYS: tl.constexpr,
    D: tl.constexpr,
    GATHER: tl.constexpr,
    RAGGED: tl.constexpr,
    CAUSAL: tl.constexpr,
):
    """Block `i` of a list of cubes: scores, -inf if hidden, values, and which rows attend to it.

    `word` points at the rows' words of the selected-block mask for cube 0, `bit` is their bit in
    it; no row attends to a block from `end` on. `before` int32 [rows]: the video tokens that a row
    may see.
    """
    BLOCKS: tl.constexpr = SLOTS // KEYS
    at = tl.minimum(i, end - 1)
    cube = tl.load(cubes + at // BLOCKS).to(tl.int64)
    slot = cube * SLOTS + at % BLOCKS * KEYS
    key, value = load_block(
        keys, values, key_row, value_row, positions, slot, tl.arange(0, D), KEYS, GATHER
    )
    attends = (((tl.load(word + cube) >> bit) & 1) > 0) & (i < end)
    scores = tl.dot(query, key, input_precision="ieee")
    if CAUSAL:
        token = tl.load(tokens + slot + tl.arange(0, KEYS))  # [KEYS]
        scores = tl.where(token[None, :] < before[:, None], scores, -float("inf"))
    elif RAGGED:
        token = tl.load(tokens + slot + tl.arange(0, KEYS))  # [KEYS]
        scores = tl.where((token < 0x7FFFFFFF)[None, :], scores, -float("inf"))
    return scores, value, attends


@triton.jit
def merge_partials(acc, top, total, partial, log_sums, first, count, D: tl.constexpr):
    """Add to the softmax what was gathered for each row: pairs [first, first + count)."""
    width = tl.arange(0, D)
    for i in range(tl.max(count)):
        has = i < count
        at = (first + i)[:, None] * D + width[None, :]
        mixed = tl.load(partial + at, mask=has[:, None], other=0.0).to(tl.float32)
        log_sum = tl.load(log_sums + first + i, mask=has, other=-float("inf"))
        high = tl.maximum(top, log_sum)
        fade, weight = tl.exp2(top - high), tl.exp2(log_sum - high)
        acc = acc * fade[:, None] + mixed * weight[:, None]
        total = total * fade + weight
        top = high
    return acc, top, total
