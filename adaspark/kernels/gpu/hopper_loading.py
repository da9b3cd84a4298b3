"""Whether Hopper's own kernel can run, and if not, why: what it is written in is experimental."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch

HOPPER = 9
"""Major compute capability of the devices with a kernel of their own for tiles of rows."""


class Loaded(NamedTuple):
    """The module `gpu_hopper`, or None, and what there is to say about it, as after a version."""

    hopper: Any
    why: str


@cache
def load(device: torch.device) -> Loaded:
    """Import the kernel and try it on a CUDA `device`."""
    if torch.cuda.get_device_capability(device)[0] != HOPPER:
        return Loaded(None, "")
    try:
        from adaspark.kernels.gpu import hopper as gpu_hopper

        with torch.cuda.device(device):
            gpu_hopper.try_one(device)
    except Exception as error:  # compilers and drivers fail in many ways; none may cost the answer
        return Loaded(None, f", without Hopper's own kernel: {first_line(error)}")
    return Loaded(gpu_hopper, ", with Hopper's own kernel")


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
