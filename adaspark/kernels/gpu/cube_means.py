"""Mean key of each cube, and what matrix units multiply of it: a launch each, the same bits in
every run.

Axes: G KV heads, N keys, C cubes, M slots of a cube, D head dimension.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaspark.kernels.gpu.arguments import Strided
from adaspark.kernels.gpu.sizes import cdiv

AT_ONCE = 16
"""Keys that are added at a time."""
MEANS_AT_ONCE = 1024
"""Numbers of means that a program splits."""
TERMS = {torch.float16: 2, torch.bfloat16: 3}


@triton.jit(do_not_specialize=["M", "C"])
def _mean_kernel(
    keys, key_head, key_row, positions, tokens, means, M, C, D: tl.constexpr, BLOCK: tl.constexpr
):
    """One KV head, one cube.

    | name | dtype | shape (strides in elements) |
    | --- | --- | --- |
    | keys | of the model | [G, N, D] (key_head, key_row, 1) |
    | positions, tokens | int64, int32 | [C * M], as of `KeyBlocks` |
    | means | fp32 | [G, C, D]: written |
    """
    cube, group = tl.program_id(0), tl.program_id(1)
    width = tl.arange(0, D)
    total = tl.zeros([BLOCK, D], tl.float32)
    count = tl.zeros([BLOCK], tl.int32)
    for start in range(0, M, BLOCK):
        slot = start + tl.arange(0, BLOCK)
        token = tl.load(tokens + cube * M + slot, mask=slot < M, other=0x7FFFFFFF)
        position = tl.load(positions + cube * M + slot, mask=slot < M, other=0)
        is_real = token < 0x7FFFFFFF
        at = keys + group.to(tl.int64) * key_head + position[:, None] * key_row + width[None, :]
        total += tl.load(at, mask=is_real[:, None], other=0.0).to(tl.float32)
        count += is_real.to(tl.int32)
    real = tl.zeros([D], tl.float32) + tl.sum(count, 0).to(tl.float32)
    mean = tl.math.div_rn(tl.sum(total, 0), real)
    tl.store(means + (group * C + cube).to(tl.int64) * D + width, mean)


@triton.jit(do_not_specialize=["count"])
def _terms_kernel(means, terms, count, TERMS: tl.constexpr, BLOCK: tl.constexpr):
    """Some means fp32 [count] as sums of `terms` [TERMS, count] of fewer bits."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    left = tl.load(means + at, mask=at < count, other=0.0)
    for term in tl.static_range(TERMS):
        part = left.to(terms.dtype.element_ty)
        tl.store(terms + term * count + at, part, mask=at < count)
        left -= part.to(tl.float32)


def means_by_slot(keys: Tensor, positions: Tensor, tokens: Tensor, *, slots: int) -> Tensor:
    """Mean key of each cube, fp32 [G, C, D], of keys [G, N, D]: where the tokens of its `slots`
    stand is said as `KeyBlocks` says it.
    """
    keys = keys if keys.stride(-1) == 1 else keys.contiguous()
    (groups, _, width), cubes = keys.shape, len(tokens) // slots
    means = torch.empty(groups, cubes, width, device=keys.device)
    if cubes:
        with torch.cuda.device_of(keys):  # Triton launches on torch's device
            _mean_kernel[cubes, groups](
                *Strided.of(keys),
                *(positions, tokens, means, slots, cubes),
                D=width,
                BLOCK=AT_ONCE,
            )
    return means


def mean_terms(means: Tensor, dtype: torch.dtype) -> Tensor:
    """Means fp32 [G, C, D] as the sum of tensors of `dtype`: [1 to 3, G, C, D].

    Three terms of bf16, or two of fp16, hold the 24 or 22 bits that matrix units of 16-bit numbers
    need to choose as fp32 does.
    """
    if dtype == torch.float32:
        return means[None]
    count = means.numel()
    terms = means.new_empty(TERMS.get(dtype, 3), *means.shape, dtype=dtype)
    with torch.cuda.device_of(means):
        _terms_kernel[(cdiv(count, MEANS_AT_ONCE),)](
            means.contiguous(), terms, count, TERMS=len(terms), BLOCK=MEANS_AT_ONCE
        )
    return terms
