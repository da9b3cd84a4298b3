"""Whether the GPU kernels can run, and if not, why: Triton is optional and loaded at first use."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from adaspark.kernels.gpu import hopper_loading
from adaspark.kernels.gpu.hopper_loading import first_line

WIDTHS = (16, 32, 64, 128)
"""Head dimensions that the kernels are made for."""
DTYPES = (torch.bfloat16, torch.float16, torch.float32)
MIN_CAPABILITY = (8, 0)
"""CUDA compute capability from which on there are the instructions that the kernels need."""


class Loaded(NamedTuple):
    """The module `gpu`, or None, and what there is to say about it; `gpu_hopper` if it runs."""

    gpu: Any
    why: str
    hopper: Any = None


def for_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Any:
    """The module `gpu` if its `sparse_attention` can compute these, else None."""
    tensors = (queries, keys, values)
    if queries.shape[-1] not in WIDTHS or any(t.dtype != queries.dtype for t in tensors):
        return None
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return None
    return _for(queries)


def for_ffn(hidden: Tensor) -> Any:
    """The module `gpu` if its `sparse_ffn` can compute this, else None."""
    return None if torch.is_grad_enabled() else _for(hidden)


def _for(tensor: Tensor) -> Any:
    if tensor.device.type != "cuda" or tensor.dtype not in DTYPES:
        return None
    return load(tensor.device).gpu


@cache
def load(device: torch.device) -> Loaded:
    """Import the kernels and try one on a CUDA `device`: seconds, the first time on a machine."""
    capability = torch.cuda.get_device_capability(device)
    number = ".".join(map(str, capability))
    if capability < MIN_CAPABILITY:
        needed = ".".join(map(str, MIN_CAPABILITY))
        return Loaded(None, f"compute capability {number}, and the kernels need {needed}")
    try:
        import triton

        from adaspark.kernels.gpu import attention as gpu

        with torch.cuda.device(device):
            gpu.try_one(device)
    except Exception as error:  # compilers and drivers fail in many ways; none may cost the answer
        return Loaded(None, f"the Triton kernels do not load: {first_line(error)}")
    name = torch.cuda.get_device_name(device)
    why = f"Triton {triton.__version__}, {name} (compute capability {number})"
    hopper, how = hopper_loading.load(device)
    return Loaded(gpu, why + how, hopper)
