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
WIDE = 256
"""A head dimension that takes up to 180 KB of shared memory, which Hopper has."""
WIDE_CAPABILITY = (9, 0)
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
    if not _fits(queries) or any(t.dtype != queries.dtype for t in tensors):
        return None
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return None
    return _for(queries)


def _fits(queries: Tensor) -> bool:
    """Whether kernels for this head dimension fit the device."""
    width, device = queries.shape[-1], queries.device
    if width == WIDE and device.type == "cuda":
        return torch.cuda.get_device_capability(device) == WIDE_CAPABILITY
    return width in WIDTHS


def for_ffn(hidden: Tensor) -> Any:
    """The module `gpu` if its `sparse_ffn` can compute this, else None."""
    return None if torch.is_grad_enabled() else _for(hidden)


def for_decoding(
    weight: Tensor, *, heads: int, groups: int, width: int, cubes: int, is_forced: bool
) -> bool:
    """Whether `decode_step` computes for weights like this; if `is_forced`, on a CPU too."""
    if width not in WIDTHS or weight.dtype not in DTYPES or torch.is_grad_enabled():
        return False
    if not is_forced and _for(weight) is None:
        return False
    from adaspark.kernels.gpu import decode_selection

    return decode_selection.holds(heads // groups, cubes)


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
