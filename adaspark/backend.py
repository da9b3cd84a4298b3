"""Which backend computes sparse attention on a device, and why: what `doctor` and a trace say."""

from __future__ import annotations

from typing import NamedTuple

import torch

from adaspark.kernels import cpu_loading, gpu_loading

TILES = "query tiles (PyTorch)"
DENSE = "p = 1 uses the stock scaled_dot_product_attention"


class Backend(NamedTuple):
    """Its name, and the reason or the versions."""

    name: str
    why: str


def backend(device: torch.device | str) -> Backend:
    """The backend of prompts on `device`; loads it, which may take seconds the first time."""
    device = torch.device(device)
    if device.type == "cpu":
        cpu = cpu_loading.load()
        return Backend("CPU kernels (numba)" if cpu.cpu else TILES, f"{cpu.why}; {DENSE}")
    if device.type == "cuda":
        gpu = gpu_loading.load(device)
        return Backend("GPU kernels (Triton)" if gpu.gpu else TILES, f"{gpu.why}; {DENSE}")
    return Backend(TILES, f"no kernels are made for {device.type}; {DENSE}")
