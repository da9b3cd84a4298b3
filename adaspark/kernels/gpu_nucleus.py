"""Inside the GPU kernels: the nucleus of a few rows at once, by a search over bit patterns.

The bits of positive fp32 numbers are ordered as the numbers, so the weight that crosses the
threshold is found exactly, without a sort; ties go to the lower cube.
"""

from __future__ import annotations

import triton
import triton.language as tl

ABOVE_ONE: tl.constexpr = tl.constexpr(0x3F800001)
"""The bits that follow those of 1.0, the heaviest weight of every row."""
MOST_ASIDE: tl.constexpr = tl.constexpr(0.15)
"""How far beside the expected crossing to look, at most, as a share of what is left."""
ASIDE: tl.constexpr = tl.constexpr(0.7)
"""The same by the number of weights that are left, times its root: what that guess misses by."""


@triton.jit
def _next(low, high, heavy, light, goal, halve):
    """Where to look next in [low, high): beside where the threshold would be crossed if the mass
    were spread evenly, on the far side, so that most of what is left falls away."""
    between = tl.maximum(heavy - light, 1e-30)  # nothing where a row has no candidate
    crossing = (heavy - goal) / between
    left = between / low.to(tl.float32, bitcast=True)
    aside = tl.minimum(ASIDE * tl.rsqrt(left), MOST_ASIDE)
    share = tl.where(crossing < 0.5, crossing + aside, crossing - aside)
    share = tl.where(halve, 0.5, share)
    middle = low + (share * (high - low).to(tl.float32)).to(tl.int32)
    return tl.minimum(tl.maximum(middle, low + 1), high - 1)


@triton.jit
def nucleus(scores, near, p, lowest):
    """bool [rows, cubes]: the nucleus of each row's candidates; the score of others is -inf.

    `near` fp32 [rows] is where to look first, the share of the mass that the crossing weight of a
    row like these had; returned too, for the next. The search halves what is left at least every
    other time, and ends for a row when a single weight is left: either all its bits are known, or
    what is left weighs less than two of it would.
    """
    top = tl.max(scores, 1)
    top = tl.where(top == -float("inf"), 0.0, top)
    weights = tl.exp(scores - top[:, None])
    bits = weights.to(tl.int32, bitcast=True)
    whole = tl.sum(weights, 1)
    goal = p * whole
    heavy, light = whole, tl.zeros_like(whole)  # the mass from `low` on, and from `high` on
    low = tl.full(goal.shape, 0, tl.int32) + lowest
    high = tl.full(goal.shape, 0, tl.int32) + ABOVE_ONE
    middle = tl.minimum(near * whole, 1.0).to(tl.int32, bitcast=True)
    middle = tl.maximum(middle, low + 1)
    alone = heavy < 0
    halve = heavy < 0
    open_rows = tl.max(tl.where(heavy > 0, 1, 0))
    while open_rows > 0:
        mass = tl.sum(tl.where(bits >= middle[:, None], weights, 0.0), 1)
        enough = mass >= goal
        before = high - low
        low, heavy = tl.where(enough, middle, low), tl.where(enough, mass, heavy)
        high, light = tl.where(enough, high, middle), tl.where(enough, light, mass)
        halve = (high - low) * 2 > before
        alone = heavy - light < 1.5 * low.to(tl.float32, bitcast=True)
        open_rows = tl.max(tl.where((high - low > 1) & (alone == 0), 1, 0))
        middle = _next(low, high, heavy, light, goal, halve)
    least = low.to(tl.float32, bitcast=True)
    kept = bits >= low[:, None]
    if tl.max(tl.where((heavy > 0) & (alone == 0), 1, 0)) > 0:  # equal weights cross together
        missing = tl.maximum(tl.ceil((goal - light) / least), 1.0).to(tl.int32)
        kept = _first_ties(kept, bits >= high[:, None], missing)
    return kept, tl.where(whole > 0, least / tl.maximum(whole, 1.0), near)


@triton.jit
def _first_ties(kept, sure, missing):
    """What is `sure`, and the first `missing` of what else is kept in each row.

    Their last cube is searched for: a running count would take many more registers.
    """
    cubes = tl.arange(0, kept.shape[1])[None, :]
    first = tl.zeros_like(missing)
    last = first + kept.shape[1] - 1
    while tl.max(last - first) > 0:
        middle = (first + last) // 2
        ties = kept & (sure == 0) & (cubes <= middle[:, None])
        enough = tl.sum(ties.to(tl.int32), 1) >= missing
        first, last = tl.where(enough, first, middle + 1), tl.where(enough, middle, last)
    return kept & (sure | (cubes <= last[:, None]))
