"""Hopper's own kernel: compiled everywhere as it is meant to be, compared where there is one.

Triton's interpreter does not run it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import interpreted
import pytest
import torch
from geometry import ODD, Scene
from paths import ROOT, TESTS
from test_kernels_gpu import BIG, poison, run  # noqa: F401

from adaspark.kernels.gpu import hopper_loading
from adaspark.kernels.gpu import loading as gpu_loading
from adaspark.kernels.gpu.thresholds import Thresholds

SHARED_BYTES = 227 * 1024
"""Most that a program may ask for on Hopper (CUDA's programming guide)."""
ON_HOPPER = interpreted.DEVICE == "cuda" and torch.cuda.get_device_capability()[0] == 9
ITS_TILES = Thresholds(hopper_waves=0, copy_queries=1, block_costs=((64, 1.0),))
"""It computes whatever it can, in any number of rows and any cubes."""
needs_hopper = pytest.mark.skipif(not ON_HOPPER, reason="needs a GPU of compute capability 9")


@pytest.mark.long
def test_it_compiles_within_the_device_and_multiplies_without_waiting() -> None:
    """Its registers suffice, and no product of matrices waits for the one before it."""
    environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{TESTS}"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", str(TESTS / "compiled.py"), "90", "--hopper"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    kernels = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(kernels) == 4 and {kernel["kernel"] for kernel in kernels} == {"_tile_kernel"}
    for kernel in kernels:
        assert kernel["shared"] <= SHARED_BYTES and kernel["stack"] <= 16, kernel
        assert 0 < kernel["waits"] < kernel["products"] / 2, kernel


@pytest.mark.parametrize("fails", [False, True])
def test_where_it_does_not_load_the_others_take_its_place(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    from adaspark.kernels.gpu import attention as gpu_attention
    from adaspark.kernels.gpu import hopper as gpu_hopper

    def try_one(device: torch.device) -> None:
        if fails:
            raise RuntimeError("no such instruction\nat line 3")

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Hopper")
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(gpu_attention, "try_one", lambda device: None)
    monkeypatch.setattr(gpu_hopper, "try_one", try_one)
    uncached = hopper_loading.load.__wrapped__
    monkeypatch.setattr(hopper_loading, "load", uncached)
    loaded = gpu_loading.load.__wrapped__(torch.device("cuda", 0))
    assert loaded.gpu is gpu_attention and loaded.hopper is (None if fails else gpu_hopper)
    expected = "without Hopper's own kernel: no such instruction" if fails else "with Hopper's own"
    assert expected in loaded.why and "\n" not in loaded.why


@pytest.fixture
def its_tiles(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The launches of its kernel."""
    module = gpu_loading.load(torch.device("cuda", torch.cuda.current_device())).hopper
    launches: list[Any] = []
    usual = module.attend

    def attend(*given: Any, **named: Any) -> None:
        launches.append(given)
        usual(*given, **named)

    monkeypatch.setattr(module, "attend", attend)
    return launches


@pytest.mark.gpu
@needs_hopper
@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width, groups", [(64, 1), (128, 2)])
@pytest.mark.parametrize("scene", [*ODD.values(), BIG], ids=[*ODD, "big cubes"])
def test_the_error_is_at_most_twice_that_of_plain_attention(
    its_tiles: list[Any], scene: Scene, width: int, groups: int, dtype: torch.dtype
) -> None:
    drawn = {"heads": 7 * groups, "groups": groups, "width": width, "dtype": dtype}
    ran = run(scene, **drawn, thresholds=ITS_TILES)
    exact = ran.exact()
    mine = (ran.output.double() - exact).square().mean().sqrt()
    theirs = (ran.exact(dtype=dtype).double() - exact).square().mean().sqrt()
    assert its_tiles or not scene.grids
    assert mine <= 2 * theirs, f"{mine:.2e} against {theirs:.2e}"
    assert ran.wrong_choices() == 0


@pytest.mark.gpu
@needs_hopper
@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("cube", [(4, 4, 4), (2, 8, 8), (4, 8, 8), (3, 5, 6)])
@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
def test_a_real_size(its_tiles: list[Any], cube: tuple[int, int, int], p: float) -> None:
    """Many tiles, which share what is copied; the same bits in every run."""
    scene = Scene(((24, 16, 18),), (33, 45), cube)
    drawn = {"heads": 28, "groups": 4, "width": 128, "dtype": torch.bfloat16, "rule": p}
    ran, again = (run(scene, **drawn, thresholds=ITS_TILES) for _ in range(2))
    exact = ran.exact(dtype=torch.float32)
    mine = (ran.output.float() - exact).square().mean().sqrt()
    assert its_tiles and mine < 4e-3 * exact.square().mean().sqrt(), f"{mine:.2e}"
    assert torch.equal(ran.output, again.output)
