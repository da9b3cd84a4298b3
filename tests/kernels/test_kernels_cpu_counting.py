"""Whole numbers in the compiled kernels: counters and rows that threads share, and bits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from adaspark.kernels.cpu import counting

THREADS, TURNS = 4, 200_000


@njit(nogil=True)
def next_of(counter: Any) -> Any:
    return counting.take(counter)


@njit(nogil=True)
def ones_of(mask: Any) -> Any:
    return counting.ones(mask)


@njit(nogil=True)
def added(locks: Any, row: Any, sums: Any, turns: Any) -> None:
    for _ in range(turns):
        counting.lock(locks, row)
        for i in range(len(sums)):
            sums[i] += 1
        counting.unlock(locks, row)


def test_the_counter_gives_each_number_once() -> None:
    counter = np.zeros(1, np.int64)
    assert [next_of(counter) for _ in range(4)] == [0, 1, 2, 3]


@given(st.integers(0, 2**64 - 1))
def test_bits_are_counted(mask: int) -> None:
    assert ones_of(np.uint64(mask)) == mask.bit_count()


def test_a_row_is_one_threads_at_a_time() -> None:
    locks, sums = np.zeros(3, np.int32), np.zeros(5, np.int64)
    added(locks, 1, sums, 0)  # compiled before the threads begin
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: added(locks, 1, sums, TURNS), range(THREADS)))
    assert sums.tolist() == [THREADS * TURNS] * 5 and not locks.any()
