"""Whether the CPU kernels can run, and if not, why: numba is optional and loaded at first use."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

MIN_QUERIES = 32
"""Fewer queries (decoding) gain less than packing all keys costs."""


class Loaded(NamedTuple):
    """The module `cpu`, or None, and what there is to say about it."""

    cpu: Any
    why: str


def for_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Any:
    """The module `cpu` if its `sparse_attention` is the fastest for these, else None."""
    tensors = (queries, keys, values)
    if queries.device.type != "cpu" or queries.shape[1] < MIN_QUERIES:
        return None
    if queries.dtype == torch.float64:  # the kernels compute in fp32
        return None
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return None
    return load().cpu


@cache
def load() -> Loaded:
    """Import the kernels and try one: seconds the first time on a machine, then read from disk."""
    try:
        import numba

        from adaspark.kernels.cpu import attention as cpu
        from adaspark.kernels.cpu.simd import LANES

        cpu.try_one()
        return Loaded(cpu, f"numba {numba.__version__}, {32 * LANES} bits")
    except Exception as error:  # numba and LLVM fail in many ways; none may cost the answer
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Loaded(None, f"the compiled kernels do not load: {reason}")
