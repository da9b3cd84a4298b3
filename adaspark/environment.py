"""What a figure was measured with: hardware, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def setting(device: str = "cpu") -> dict[str, Any]:
    """Processor, accelerator, threads, versions and commit of a run on `device`.

    The commit ends in `-dirty` where the tree differs from it. A tree without history takes it
    from the environment variable ADASPARK_COMMIT.
    """
    accelerator = torch.cuda.get_device_name(device) if device.startswith("cuda") else "none"
    return {
        "processor": _processor(),
        "accelerator": accelerator,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("ADASPARK_COMMIT", "unknown")
    return found.stdout.strip()
