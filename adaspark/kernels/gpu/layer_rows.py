"""What all tokens of a prompt meet in a layer beside its products: norms, rotation, the gate.

One launch each where PyTorch's operators are six, fourteen and two, rounded as they round: sums of
squares alone are added in another order. Axes: R rows, h hidden size, H heads, D head dimension.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu import decode_layer
from adaspark.kernels.gpu.sizes import cdiv, next_power_of_2

HEADS_AT_ONCE = 8
"""Heads of one token that a program turns."""


@triton.jit
def _norm_kernel(stream, weight, output, norms, width, eps, BLOCK: tl.constexpr):
    """One row's RMS norm times `weight`.

    | name | dtype | shape |
    | --- | --- | --- |
    | stream | of the model | [R, h] |
    | weight | as stream | [h] |
    | output | as stream | [R, h]: written |
    | norms | fp32 | [R], the L2 norms: written |
    """
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    mask = at < width
    value = tl.load(stream + row * width + at, mask=mask, other=0.0)
    exact = value.to(tl.float32)
    squares = tl.sum(exact * exact, 0)
    scaled = exact * tl.rsqrt(squares / width + eps)
    known = tl.load(weight + at, mask=mask, other=0.0).to(tl.float32)
    normed = known * scaled.to(value.dtype).to(tl.float32)
    tl.store(output + row * width + at, normed.to(value.dtype), mask=mask)
    tl.store(norms + row, tl.sqrt(squares))


@triton.jit
def _weighed(value, weight, scale):
    """Numbers of some heads after their norms, rounded twice as PyTorch does."""
    kind: tl.constexpr = weight.dtype
    value = (value * scale[:, None]).to(kind).to(tl.float32)
    return (value * weight.to(tl.float32)[None, :]).to(kind).to(tl.float32)


@triton.jit
def _rotate_kernel(
    source, weight, eps, cos, sin, output, H, D: tl.constexpr, BLOCK_H: tl.constexpr
):  # fmt: skip
    """Some heads of one row: their norms, if any, and rotary embedding.

    | name | dtype | shape |
    | --- | --- | --- |
    | source | of the model | [R, H, D] |
    | weight | as source | [D], of norms with `eps`; or None |
    | cos, sin | as source | [R, D] |
    | output | as source | [R, H, D]: written |
    """
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    inside = (head < H)[:, None]
    kind: tl.constexpr = source.dtype.element_ty
    half: tl.constexpr = D // 2
    width = tl.arange(0, D)
    across = tl.where(width < half, width + half, width - half)
    line = (row * H + head)[:, None] * D
    value = tl.load(source + line + width[None, :], mask=inside, other=0.0).to(tl.float32)
    other = tl.load(source + line + across[None, :], mask=inside, other=0.0).to(tl.float32)
    if weight is not None:
        scale = tl.rsqrt(tl.sum(value * value, 1) / D + eps)
        value = _weighed(value, tl.load(weight + width), scale)
        other = _weighed(other, tl.load(weight + across), scale)
    other = tl.where((width < half)[None, :], -other, other)
    along = tl.load(cos + row * D + width).to(tl.float32)
    up = tl.load(sin + row * D + width).to(tl.float32)
    straight = (value * along[None, :]).to(kind).to(tl.float32)
    turned = (other * up[None, :]).to(kind).to(tl.float32)
    tl.store(output + line + width[None, :], (straight + turned).to(kind), mask=inside)


def normed(hidden: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """RMS norm [..., h] of `hidden` [..., h] times `weight` [h], and L2 norms fp32 [...]."""
    hidden = hidden.contiguous()
    output = torch.empty_like(hidden)
    norms = torch.empty(hidden.shape[:-1], dtype=torch.float32, device=hidden.device)
    width = hidden.shape[-1]
    with torch.cuda.device_of(hidden):  # Triton launches on torch's device
        _norm_kernel[(norms.numel(),)](
            *(hidden, weight, output, norms, width, eps),
            BLOCK=next_power_of_2(width),
            num_warps=8 if width > 2048 else 4,
        )
    return output, norms


def rotated(
    projected: Tensor, rotation: tuple[Tensor, Tensor], norm: tuple[Tensor, float] | None
) -> Tensor:
    """Heads [B, H, S, D] of `projected` [B, S, H * D] after norm and rotary embedding.

    `rotation` are cos and sin [B, S, D], `norm` the weight [D] of each head's norm and its epsilon.
    """
    projected = projected.contiguous()
    batch, count, _ = projected.shape
    cos, sin = (t.expand(batch, -1, -1).contiguous() for t in rotation)
    width = cos.shape[-1]
    heads = projected.shape[-1] // width
    output = torch.empty_like(projected)
    with torch.cuda.device_of(projected):
        _rotate_kernel[batch * count, cdiv(heads, HEADS_AT_ONCE)](
            *(projected, *(norm or (None, 0.0)), cos, sin, output, heads),
            D=width,
            BLOCK_H=HEADS_AT_ONCE,
        )
    return output.view(batch, count, heads, width).transpose(1, 2)


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """SiLU(gate) * up, of as many numbers."""
    gate, up = gate.contiguous(), up.contiguous()
    with torch.cuda.device_of(gate):
        return decode_layer.gated(gate, up)
