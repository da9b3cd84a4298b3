"""The precision in which a large model runs fastest here: measured, not guessed.

Processors differ by more than ten times in bf16 products: some have instructions for them, on
others each number is converted on its way.
"""

from __future__ import annotations

import os
import time
from functools import cache

import torch

_ROWS, _WIDTH, _REPEATS = 256, 1024, 20


def fastest(device: torch.device, parameters: int) -> torch.dtype:
    """bf16; fp16 on a GPU that lacks it; fp32 on a CPU that multiplies it faster and has twice the
    memory for the weights.
    """
    if device.type == "cuda" and _lacks_bf16(device):
        return torch.float16
    if device.type != "cpu" or 8 * parameters > memory_bytes():
        return torch.bfloat16
    return _faster_on_cpu()


def _lacks_bf16(device: torch.device) -> bool:
    """Whether a GPU is older than those that have bf16 (compute capability 8.0)."""
    return torch.cuda.is_available() and torch.cuda.get_device_capability(device) < (8, 0)


@cache
def _faster_on_cpu() -> torch.dtype:
    return min((torch.bfloat16, torch.float32), key=_seconds)


def _seconds(dtype: torch.dtype) -> float:
    """The time of one product as a layer of a large model has it, the best of a few."""
    left, right = torch.ones(_ROWS, _WIDTH, dtype=dtype), torch.ones(_WIDTH, _WIDTH, dtype=dtype)
    found = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        left @ right
        found.append(time.perf_counter() - start)
    return min(found)


def memory_bytes() -> int:
    """Physical memory, 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0
