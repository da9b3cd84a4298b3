"""The search of `kernels/gpu_nucleus.py` in NumPy, a row at a time, looking wherever it is told to.

The derivation is there. Where to look changes the number of looks, never the set.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Look = Callable[[int, int], int]
ABOVE_ONE = 0x3F800001


def middle(low: int, high: int) -> int:
    """Bisection: the worst case of the kernel's guesses."""
    return (low + high) // 2


def nucleus(
    scores: Scores, p: float, lowest: int, look: Look = middle
) -> tuple[NDArray[np.bool_], int]:
    """The nucleus of one row, bool [C], and the looks that finding it took.

    `scores` fp32 [C] are exponents of two, -inf for what is no candidate; 0 < p < 1; `lowest` as
    `block_selection.lowest_bits` has it; `look` is given bounds at least two apart, for a place
    between.
    """
    top = scores.max()
    weights = np.exp2(scores - (0 if np.isneginf(top) else top)).astype(np.float32)
    return of_weights(weights, p, lowest, look)


def of_weights(
    weights: NDArray[np.float32], p: float, lowest: int, look: Look = middle
) -> tuple[NDArray[np.bool_], int]:
    """As `nucleus`, from weights fp32 [C] in [0, 1], which a device may round otherwise."""
    bits = weights.view(np.int32)
    whole = weights.sum()
    if not whole:
        return np.zeros(len(weights), bool), 0
    goal = np.float32(p) * whole
    low, high, heavy, light = lowest, ABOVE_ONE, whole, np.float32(0)
    looks = 0
    while high - low > 1 and heavy - light >= 1.5 * _weight(low):
        at = look(low, high)
        assert low < at < high
        mass = np.where(bits >= at, weights, np.float32(0)).sum()
        if mass >= goal:
            low, heavy = at, mass
        else:
            high, light = at, mass
        looks += 1
    kept = bits >= low
    if heavy - light >= 1.5 * _weight(low):  # equal weights cross together
        ties = (bits >= low) & (bits < high)
        missing = max(1, int(np.ceil((goal - light) / _weight(low))))
        kept &= ~ties | (ties.cumsum() <= missing)
    return kept, looks


def _weight(bits: int) -> np.float32:
    return np.int32(bits).view(np.float32)
