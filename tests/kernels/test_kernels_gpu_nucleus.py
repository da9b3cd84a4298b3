"""The nucleus by a search over bit patterns: the kernel, its NumPy twin, and a sort agree."""

from __future__ import annotations

from math import log

import interpreted
import nucleus_twin
import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from long import some_of
from numpy.typing import NDArray
from test_kernels_gpu_parts import _kept_kernel

from adaspark.kernels.gpu import block_selection
from adaspark.method.selection import nucleus

ROWS, CUBES = 16, 64
P = [1e-6, 0.3, 0.5, 0.9, 0.9999]
MAX_LOOKS = 30  # bits between the lowest pattern and that of 1.0, halved each time
GUESSES = [(1e-9, 0.0), (0.05, 1e7), (1.0, 1e30)]


def rows(kind: str) -> NDArray[np.float32]:
    """fp32 [ROWS, CUBES] exponents of two."""
    random = np.random.default_rng(7)
    drawn = random.integers(0, 7, (ROWS, CUBES))
    scores = {
        "random": random.standard_normal((ROWS, CUBES)) * np.linspace(0.01, 9, ROWS)[:, None],
        "tied": -drawn.astype(float),
        "flat": np.zeros((ROWS, CUBES)),
        "two levels": np.where(drawn > 3, 0.0, -40.0),
        "one candidate": np.where(np.arange(CUBES) == drawn[:, :1], 5.0, -np.inf),
        "some candidates": np.where(drawn > 4, -drawn.astype(float), -np.inf),
        "no candidate": np.full((ROWS, CUBES), -np.inf),
        "neighbours": np.where(drawn > 3, 0.0, np.log2(np.nextafter(np.float32(1), 0))),
    }[kind]
    if kind == "neighbours":
        scores[:, 0] = -np.inf  # an odd number of weights: no sum of theirs is a half
    return scores.astype(np.float32)


def by_kernel(scores: NDArray[np.float32], p: float, near: float, pace: float) -> NDArray[np.bool_]:
    kept = torch.zeros(ROWS, CUBES, dtype=torch.int32, device=interpreted.DEVICE)
    given = torch.from_numpy(scores).to(interpreted.DEVICE)
    lowest = block_selection.lowest_bits(p, CUBES)
    _kept_kernel[(1,)](given, kept, near, pace, p, lowest, R=ROWS, C=CUBES)
    found: NDArray[np.bool_] = kept.bool().cpu().numpy()
    return found


def weights_of(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """fp32 [ROWS, CUBES] as the kernel weighs: the power of two of a device is rounded its way."""
    given = torch.from_numpy(scores).to(interpreted.DEVICE)
    weights = torch.empty_like(given)
    _weights_kernel[(1,)](given, weights, R=ROWS, C=CUBES)
    found: NDArray[np.float32] = weights.cpu().numpy()
    return found


@triton.jit
def _weights_kernel(scores, weights, R: tl.constexpr, C: tl.constexpr):
    at = tl.arange(0, R)[:, None] * C + tl.arange(0, C)[None, :]
    exponents = tl.load(scores + at)
    top = tl.max(exponents, 1)
    top = tl.where(top == -float("inf"), 0.0, top)
    tl.store(weights + at, tl.exp2(exponents - top[:, None]))


def undecided(scores: NDArray[np.float32], p: float) -> NDArray[np.bool_]:
    """Rows whose mass comes within the rounding of fp32 sums of the goal, bool [ROWS]."""
    weights = np.sort(np.exp2(scores.astype(float) - scores.max(-1, keepdims=True)))[:, ::-1]
    sums = weights.cumsum(-1) / weights.sum(-1, keepdims=True)
    return (abs(sums - p) <= CUBES * 2.0**-24).any(-1)


KINDS = ["random", "tied", "flat", "two levels", "one candidate", "some candidates", "neighbours"]


@pytest.mark.few(4)
@some_of("p", P, always=2)
@pytest.mark.parametrize("kind", [*KINDS, "no candidate"])
def test_the_kernel_finds_what_its_twin_finds(kind: str, p: float) -> None:
    scores = rows(kind)
    lowest = block_selection.lowest_bits(p, CUBES)
    twin = np.stack([nucleus_twin.of_weights(row, p, lowest)[0] for row in weights_of(scores)])
    exact = kind not in ("random", "neighbours")  # powers of two: their sums are not rounded
    decided = np.full(ROWS, True) if exact else ~undecided(scores, p)
    assert decided.any()
    for near, pace in GUESSES:
        assert np.array_equal(by_kernel(scores, p, near, pace)[decided], twin[decided])


@pytest.mark.parametrize("p", P)
@pytest.mark.parametrize("kind", KINDS)
def test_the_twin_finds_what_a_stable_sort_finds(kind: str, p: float) -> None:
    scores = rows(kind)
    lowest = block_selection.lowest_bits(p, CUBES)
    mass = (torch.from_numpy(scores).double() * log(2)).softmax(-1)
    expected = nucleus(mass, p).numpy() & ~np.isneginf(scores)
    decided = ~undecided(scores, p)
    for row, wide, sure in zip(scores, expected, decided, strict=True):
        found, looks = nucleus_twin.nucleus(row, p, lowest)
        assert looks <= MAX_LOOKS
        assert not sure or np.array_equal(found, wide)


@pytest.mark.parametrize("p", P)
@pytest.mark.parametrize("kind", KINDS)
def test_where_the_search_looks_changes_no_set(kind: str, p: float) -> None:
    random = np.random.default_rng(3)
    lowest = block_selection.lowest_bits(p, CUBES)
    places = (
        lambda low, high: int(random.integers(low + 1, high)),
        lambda low, high: low + 1 + (high - low - 2) // 7,
    )
    for row in rows(kind):
        expected, _ = nucleus_twin.nucleus(row, p, lowest)
        for look in places:
            assert np.array_equal(nucleus_twin.nucleus(row, p, lowest, look)[0], expected)
