"""Whether a model's weights fit where they are to go, and where that is: before they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from adaspark.errors import UserError
from adaspark.model.checkpoint_files import read_json, weight_files
from adaspark.model.checkpoint_source import Source
from adaspark.model.precision import memory_bytes

_INDEX = "model.safetensors.index.json"
_GB = 1e9


def stored_bytes(source: Source) -> int:
    """How large the weights are in their files, by the index where these are not here yet; 0 where
    nothing says so.
    """
    total = (read_json(source, _INDEX).get("metadata") or {}).get("total_size")
    if isinstance(total, int | float):
        return int(total)
    paths = [source.files / name for name in weight_files(source)]
    return sum(path.stat().st_size for path in paths if path.is_file())


def device_map(source: Source, needed: int, device: torch.device) -> Any:
    """Where `needed` bytes of weights go: None for a CPU, one GPU if it has the room, else "auto",
    which spreads them over all GPUs.

    Raises UserError where there is not enough free memory.
    """
    if device.type != "cuda":
        _check(source, needed, free_on_host(), "this machine")
        return None
    free = free_on_gpus()
    first = device.index or 0
    if needed < free[first] or len(free) == 1:
        _check(source, needed, free[first], "the GPU")
        return {"": torch.device("cuda", first)}
    _check(source, needed, sum(free), f"the {len(free)} GPUs")
    return "auto"


def free_on_gpus() -> Sequence[int]:
    """Free bytes of each GPU."""
    return [torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count())]


def free_on_host() -> int:
    """Bytes that can be had without swapping; all there are, where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    return memory_bytes()


def _check(source: Source, needed: int, free: int, where: str) -> None:
    if 0 < free <= needed:
        raise UserError(
            f"{source.name} needs {needed / _GB:.1f} GB for its weights and {where} has "
            f"{free / _GB:.1f} GB free: give a smaller or a quantised checkpoint, or free memory."
        )
