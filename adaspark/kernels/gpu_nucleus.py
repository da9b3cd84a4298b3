"""Inside the GPU kernels: the nucleus of a few rows at once, by bisection over bit patterns.

The bits of positive fp32 numbers are ordered as the numbers, so the weight that crosses the
threshold is found exactly, without a sort; ties go to the lower cube.
"""

from __future__ import annotations

import triton
import triton.language as tl

ABOVE_ONE: tl.constexpr = tl.constexpr(0x3F800001)
"""The bits that follow those of 1.0, the heaviest weight of every row."""


@triton.jit
def nucleus(scores, p, lowest):
    """bool [rows, cubes]: the nucleus of each row's candidates; the score of others is -inf.

    Bisection ends for a row when a single weight is left: either all its bits are known, or what
    is left weighs less than two of it would.
    """
    top = tl.max(scores, 1)
    top = tl.where(top == -float("inf"), 0.0, top)
    weights = tl.exp(scores - top[:, None])
    bits = weights.to(tl.int32, bitcast=True)
    heavy = tl.sum(weights, 1)  # the mass from `low` on, and from `high` on
    light = tl.zeros_like(heavy)
    goal = p * heavy
    low = tl.full(goal.shape, 0, tl.int32) + lowest
    high = tl.full(goal.shape, 0, tl.int32) + ABOVE_ONE
    alone = heavy < 0
    open_rows = tl.max(tl.where(heavy > 0, 1, 0))
    while open_rows > 0:
        for _ in tl.static_range(2):
            middle = low + (high - low) // 2
            mass = tl.sum(tl.where(bits >= middle[:, None], weights, 0.0), 1)
            enough = mass >= goal
            low, heavy = tl.where(enough, middle, low), tl.where(enough, mass, heavy)
            high, light = tl.where(enough, high, middle), tl.where(enough, light, mass)
        alone = heavy - light < 1.5 * low.to(tl.float32, bitcast=True)
        open_rows = tl.max(tl.where((high - low > 1) & (alone == 0), 1, 0))
    kept = bits >= low[:, None]
    if tl.max(tl.where((heavy > 0) & (alone == 0), 1, 0)) > 0:  # equal weights cross together
        sure = bits >= high[:, None]
        ties = kept & (sure == 0)
        missing = tl.ceil((goal - light) / low.to(tl.float32, bitcast=True))
        missing = tl.maximum(missing, 1.0).to(tl.int32)
        kept = sure | (ties & (tl.cumsum(ties.to(tl.int32), 1) <= missing[:, None]))
    return kept


@triton.jit
def attended(scores, cubes, before, own, first, p, lowest):
    """int32 [rows, cubes]: whether a row attends to a cube, by choice or because it is its own.

    `before` and `own` int32 [rows]: video tokens that a row may see, its own cube; `first` int32
    [cubes]: the first token of each.
    """
    is_own = cubes[None, :] == own[:, None]
    candidate = (first[None, :] < before[:, None]) & (is_own == 0)
    kept = nucleus(tl.where(candidate, scores, -float("inf")), p, lowest)
    return (kept | is_own).to(tl.int32)
