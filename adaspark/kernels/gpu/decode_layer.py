"""What one new token meets in a layer: products with its weights, norms, rotation, the gate.

All but products are one launch where PyTorch's operators are eight, twelve and two, and rounded as
they round. A product reads the weights at 2.7 to 4.4 TB/s, where cuBLAS reads them at 0.4 to 4.2
(H200, shapes of the 7B model; the small ones gain most).
Axes: h hidden size, H query heads, G KV heads, D head dimension.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu.arguments import Strided
from adaspark.kernels.gpu.sizes import cdiv, next_power_of_2

GATED_AT_ONCE = 1024
"""Products of the gate that a program makes."""
HeadNorms = tuple[Tensor, Tensor, float]
"""Weights [D] of the norms of a head's query and of its key, and their epsilon."""


@triton.jit
def _norm_kernel(stream, delta, weight, output, width, eps, ADD: tl.constexpr, BLOCK: tl.constexpr):
    """One row: `stream` += `delta` if ADD, then its RMS norm times `weight`.

    | name | dtype | shape |
    | --- | --- | --- |
    | stream | of the model | [h]: written if ADD |
    | delta, weight | as stream | [h] |
    | output | as stream | [h]: written |
    """
    at = tl.arange(0, BLOCK)
    mask = at < width
    value = tl.load(stream + at, mask=mask, other=0.0)
    if ADD:
        more = tl.load(delta + at, mask=mask, other=0.0).to(tl.float32)
        value = (value.to(tl.float32) + more).to(value.dtype)
        tl.store(stream + at, value, mask=mask)
    exact = value.to(tl.float32)
    scaled = exact * tl.rsqrt(tl.sum(exact * exact, 0) / width + eps)
    known = tl.load(weight + at, mask=mask, other=0.0).to(tl.float32)
    normed = known * scaled.to(value.dtype).to(tl.float32)
    tl.store(output + at, normed.to(value.dtype), mask=mask)


@triton.jit
def _scale(source, eps, D: tl.constexpr):
    """The factor of one head's [D] RMS norm."""
    value = tl.load(source + tl.arange(0, D)).to(tl.float32)
    return tl.rsqrt(tl.sum(value * value, 0) / D + eps)


@triton.jit
def _numbers(source, weight, scale, at):
    """Numbers `at` of one head in fp32, after its norm where it has a `weight`, rounded alike."""
    kind: tl.constexpr = source.dtype.element_ty
    value = tl.load(source + at).to(tl.float32)
    if weight is not None:
        value = (value * scale).to(kind).to(tl.float32)
        value = (tl.load(weight + at).to(tl.float32) * value).to(kind).to(tl.float32)
    return value


@triton.jit
def _rotate(source, weight, eps, cos, sin, D: tl.constexpr):
    """One head [D] after norm and rotary embedding, rounded after each product as PyTorch does."""
    width = tl.arange(0, D)
    kind: tl.constexpr = source.dtype.element_ty
    half: tl.constexpr = D // 2
    scale = 1.0 if weight is None else _scale(source, eps, D)
    value = _numbers(source, weight, scale, width)
    other = _numbers(source, weight, scale, tl.where(width < half, width + half, width - half))
    other = tl.where(width < half, -other, other)
    straight = (value * tl.load(cos + width).to(tl.float32)).to(kind).to(tl.float32)
    turned = (other * tl.load(sin + width).to(tl.float32)).to(kind).to(tl.float32)
    return (straight + turned).to(kind)


@triton.jit(do_not_specialize=["text_start", "before"])
def _rotate_kernel(
    queries, keys, values, query_norm, key_norm, eps, cos, sin, length, rotated,
    key_cache, key_head, key_row, value_cache, value_head, value_row, text_start, before,
    H: tl.constexpr, G: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """One head: norm, rotary embedding; a key and a value go to their places in the cache.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | queries, keys, values | of the model | [H, D], [G, D], [G, D] |
    | query_norm, key_norm | as queries | [D], weights of norms with `eps`; or None |
    | cos, sin | as queries | [steps, D], of each place from text key `before` on |
    | length | int32 | [1], text keys that are there |
    | rotated | as queries | [H, D]: written |
    | key_cache, value_cache | as queries | [G, rows, D], text from row `text_start` on: written |
    """
    head = tl.program_id(0)
    width = tl.arange(0, D)
    place = tl.load(length)
    cos += (place - before).to(tl.int64) * D
    sin += (place - before).to(tl.int64) * D
    row = (text_start + place).to(tl.int64)
    if head < H:
        turned = _rotate(queries + head * D, query_norm, eps, cos, sin, D)
        tl.store(rotated + head * D + width, turned)
    elif head < H + G:
        into = key_cache + (head - H).to(tl.int64) * key_head + row * key_row
        tl.store(into + width, _rotate(keys + (head - H) * D, key_norm, eps, cos, sin, D))
    else:
        into = value_cache + (head - H - G).to(tl.int64) * value_head + row * value_row
        tl.store(into + width, tl.load(values + (head - H - G) * D + width))


@triton.jit
def _gate_kernel(gate, up, output, width, BLOCK: tl.constexpr):
    """`output` = SiLU(`gate`) * `up`, all [width] of the model's dtype."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < width
    known = tl.load(gate + at, mask=mask, other=0.0)
    exact = known.to(tl.float32)
    opened = (exact / (1.0 + tl.exp(-exact))).to(known.dtype).to(tl.float32)
    factor = tl.load(up + at, mask=mask, other=0.0).to(tl.float32)
    tl.store(output + at, (opened * factor).to(known.dtype), mask=mask)


@triton.jit
def _product_kernel(
    source, weight, bias, output, N, K, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr
):
    """Some outputs of one row: summed in fp32, rounded once.

    | name | dtype | shape |
    | --- | --- | --- |
    | source | of the model | [K] |
    | weight | as source | [N, K] |
    | bias | as source | [N]; or None |
    | output | as source | [N]: written |
    """
    row = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    column = tl.arange(0, BLOCK_K)
    at = weight + row.to(tl.int64)[:, None] * K + column[None, :]
    acc = tl.zeros([BLOCK_N, BLOCK_K], tl.float32)
    for start in range(0, K, BLOCK_K):
        inside = start + column < K
        known = tl.load(at + start, mask=(row < N)[:, None] & inside[None, :], other=0.0)
        factor = tl.load(source + start + column, mask=inside, other=0.0)
        acc += known.to(tl.float32) * factor.to(tl.float32)[None, :]
    found = tl.sum(acc, 1)
    if bias is not None:
        found += tl.load(bias + row, mask=row < N, other=0.0).to(tl.float32)
    tl.store(output + row, found.to(output.dtype.element_ty), mask=row < N)


def tile_of(rows: int) -> tuple[int, int]:
    """How many of `rows` outputs a program makes, of how many inputs at a time.

    As many programs as keep the memory busy, as few as share the row.
    """
    return (1, 2048) if rows < 1024 else (4 if rows < 8192 else 8, 512)


def product(source: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """One row `source` [1, 1, K] times `weight` [N, K], plus `bias` [N]: [1, 1, N]."""
    rows, width = weight.shape
    output = source.new_empty(1, 1, rows)
    at_once, block = tile_of(rows)
    _product_kernel[(cdiv(rows, at_once),)](
        *(source, weight, bias, output, rows, width),
        BLOCK_N=at_once,
        BLOCK_K=min(block, next_power_of_2(width)),
    )
    return output


def normed(stream: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> Tensor:
    """RMS norm of one row `stream` of h numbers, to which `delta` is added in place before."""
    output = torch.empty_like(stream)
    width = stream.numel()
    _norm_kernel[(1,)](
        *(stream, stream if delta is None else delta, weight, output, width, eps),
        ADD=delta is not None,
        BLOCK=next_power_of_2(width),
        num_warps=8,
    )
    return output


def rotated(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    rotation: tuple[Tensor, Tensor],
    norms: HeadNorms | None,
    length: Tensor,
    caches: tuple[Tensor, Tensor],
    *,
    text_start: int,
    before: int,
) -> Tensor:
    """Queries [H, 1, D] after norms and rotary embedding; keys and values [G, D] go to the
    `caches`.

    `length` int32 [1] counts the text keys that the caches hold after row `text_start`; `rotation`
    are cos and sin [steps, D] of every place from the text key `before` on.
    """
    groups, width = caches[0].shape[0], caches[0].shape[2]
    heads = queries.numel() // width
    output = queries.new_empty(heads, 1, width)
    _rotate_kernel[(heads + 2 * groups,)](
        *(queries, keys, values, *(norms or (None, None, 0.0)), *rotation, length, output),
        *Strided.of(caches[0]),
        *Strided.of(caches[1]),
        *(text_start, before),
        H=heads,
        G=groups,
        D=width,
        num_warps=1,
    )
    return output


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """SiLU(gate) * up, of as many numbers."""
    output = torch.empty_like(gate)
    width = gate.numel()
    _gate_kernel[(cdiv(width, GATED_AT_ONCE),)](gate, up, output, width, BLOCK=GATED_AT_ONCE)
    return output
