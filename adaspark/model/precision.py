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
    """bf16, or fp32 on a CPU that multiplies it faster and has twice the memory for its weights."""
    if device.type != "cpu" or 8 * parameters > _memory_bytes():
        return torch.bfloat16
    return _faster_on_cpu()


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


def _memory_bytes() -> int:
    """Physical memory, 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0
