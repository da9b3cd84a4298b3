"""The GPU kernels compile for devices that are not here, within the shared memory of those."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from long import some_of
from paths import ROOT, TESTS

pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

SHARED_BYTES = 99 * 1024
"""Most that a program may ask for on them (CUDA's programming guide)."""


@pytest.mark.long
@some_of("capability", [86, 120])
def test_every_kernel_of_a_usual_model_fits_the_smallest_devices(capability: int) -> None:
    """Ampere's and Blackwell's consumer cards have the least shared memory of all."""
    environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{TESTS}"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", str(TESTS / "compiled.py"), str(capability), "--usual"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    kernels = [json.loads(line) for line in ran.stdout.splitlines()]
    names = {kernel["kernel"] for kernel in kernels}
    assert len(names) >= 12 and {"_union_kernel", "_pairs_kernel", "_choose_kernel"} <= names
    assert {"_score_kernel", "_nucleus_kernel", "_attend_kernel", "_combine_kernel"} <= names
    assert {"_norm_kernel", "_rotate_kernel", "_gate_kernel", "_product_kernel"} <= names
    for kernel in kernels:
        assert kernel["shared"] <= SHARED_BYTES, kernel
