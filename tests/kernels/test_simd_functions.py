"""Functions of vectors, as the CPU's kernels compute them, against numpy's in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from adaspark.kernels.cpu import simd, simd_functions


def test_the_exponential_is_exact_to_the_last_bits() -> None:
    @njit
    def of(values: Any, found: Any) -> None:
        for at in range(0, len(values), simd.LANES):
            simd.store(found, at, simd_functions.exp(simd.load(values, at)))

    values = np.linspace(-90, 0, 2**14, dtype=np.float32)
    values[:3] = -np.inf, np.nan, -1e38
    found = np.empty_like(values)
    of(values, found)
    assert found[0] == 0 and np.isnan(found[1]) and found[2] == 0 and found[-1] == 1
    expected = np.exp(values.astype(np.float64))
    near = values >= -87
    assert (abs(found[near] / expected[near] - 1) < 4e-7).all()
    assert (found[~near][3:] == 0).all()


def test_the_logarithm_is_exact_to_the_last_bits() -> None:
    @njit
    def of(values: Any, found: Any) -> None:
        for at in range(0, len(values), simd.LANES):
            simd.store(found, at, simd_functions.log(simd.load(values, at)))

    values = np.concatenate([np.linspace(1, 3, 2**13), np.geomspace(3, 1e9, 2**13)])
    values = values.astype(np.float32)
    found = np.empty_like(values)
    of(values, found)
    assert found[0] == 0
    expected = np.log(values[1:].astype(np.float64))
    assert (abs(found[1:] / expected - 1) < 2e-7).all()
