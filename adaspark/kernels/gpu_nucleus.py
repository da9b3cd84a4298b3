"""Inside the GPU kernels: the nucleus of a few rows at once, by a search over bit patterns.

The bits of positive fp32 numbers are ordered as the numbers, so the weight that crosses the
threshold is found exactly, without a sort; ties go to the lower cube.
"""

from __future__ import annotations

import triton
import triton.language as tl

ABOVE_ONE: tl.constexpr = tl.constexpr(0x3F800001)
"""The bits that follow those of 1.0, the heaviest weight of every row."""
MAX_ASIDE: tl.constexpr = tl.constexpr(0.15)
"""How far beside the expected crossing to look, at most, as a share of what is left."""
ASIDE: tl.constexpr = tl.constexpr(0.7)
"""The same by the number of weights that are left, times its root: what that guess misses by."""
FEW: tl.constexpr = tl.constexpr(16)
"""With fewer weights between two bounds, their mass says little of how dense weights are there."""
MAX_LEAPS: tl.constexpr = tl.constexpr(3)
"""How often to look as far away as the density of weights in a row like these suggests."""


@triton.jit
def nucleus(scores, near, pace, p, lowest):
    """(bits, least, near, pace): the nucleus of a row is what has bits of at least `least`.

    Bits are int32 [rows, cubes], `least` int32 [rows]. The score of what is no candidate is -inf;
    scores are exponents of two. `near` fp32 [rows] is where to look first, the share of the mass
    that the crossing weight of a row like these had; `pace` fp32 [rows], how far the bits went
    there for all of the mass, or 0: both are returned, for the next rows. The search halves what is
    left at least every other time, and ends for a row when a single weight is left: either all its
    bits are known, or what is left weighs less than two of it would. (No tensor of booleans leaves
    a branch or waits for its use: it would be packed and unpacked at the cost of the search.)
    """
    top = tl.max(scores, 1)
    top = tl.where(top == -float("inf"), 0.0, top)
    weights = tl.exp2(scores - top[:, None])
    bits = weights.to(tl.int32, bitcast=True)
    whole = tl.sum(weights, 1)
    goal = p * whole
    heavy, light = whole, tl.zeros_like(whole)  # the mass from `low` on, and from `high` on
    low = tl.full(goal.shape, 0, tl.int32) + lowest
    high = tl.full(goal.shape, 0, tl.int32) + ABOVE_ONE
    middle = tl.minimum(near * whole, 1.0).to(tl.int32, bitcast=True)
    middle = tl.maximum(middle, low + 1)
    pace = pace / tl.maximum(whole, 1.0)  # 1 at least, or nothing is there
    alone = heavy < 0
    open_rows = tl.max(tl.where(heavy > 0, 1, 0))
    tries = 0
    while open_rows > 0:
        mass = tl.sum(tl.where(bits >= middle[:, None], weights, 0.0), 1)
        enough = mass >= goal
        before = high - low
        low, heavy = tl.where(enough, middle, low), tl.where(enough, mass, heavy)
        high, light = tl.where(enough, high, middle), tl.where(enough, light, mass)
        least = low.to(tl.float32, bitcast=True)
        alone = heavy - light < 1.5 * least
        open_rows = tl.max(tl.where((high - low > 1) & (alone == 0), 1, 0))
        between = tl.maximum(heavy - light, 1e-30)  # nothing where a row has no candidate
        rate = (high - low).to(tl.float32) / between
        bounded = (low > lowest) & (high < ABOVE_ONE)
        pace = tl.where(bounded & (between > FEW * least), rate, pace)
        leaps = (bounded == 0) & (pace > 0) & (tries < MAX_LEAPS)
        tries += 1
        leap = _far(middle, mass - goal, pace, tries)
        share = tl.where((high - low) * 2 > before, 0.5, _share(between, heavy - goal, least))
        step = (share * (high - low).to(tl.float32)).to(tl.int32)
        middle = tl.where(leaps, middle + leap, low + step)
        middle = tl.minimum(tl.maximum(middle, low + 1), high - 1)
    least = low.to(tl.float32, bitcast=True)
    if tl.max(tl.where((heavy > 0) & (alone == 0), 1, 0)) > 0:  # equal weights cross together
        missing = tl.maximum(tl.ceil((goal - light) / least), 1.0).to(tl.int32)
        bits = _first_ties(bits, low[:, None], high[:, None], missing)
    near = tl.where(whole > 0, least / tl.maximum(whole, 1.0), near)
    return bits, low, near, pace * tl.maximum(whole, 1.0)


@triton.jit
def _share(between, above, least):
    """Where to look between two bounds, as a share of the way: beside where the threshold would be
    crossed if the mass were spread evenly, on the far side, so that most of it falls away."""
    crossing = above / between
    aside = tl.minimum(ASIDE * tl.sqrt(least / between), MAX_ASIDE)
    return tl.where(crossing < 0.5, crossing + aside, crossing - aside)


@triton.jit
def _far(middle, gap, pace, tries):
    """How far away to look from the only bound: a little beyond where weights that lie as densely
    as in a row like these have the mass that is missing or too much; further with every try."""
    weight = middle.to(tl.float32, bitcast=True)
    wide = tl.abs(gap)
    wide += ASIDE * tries * tl.sqrt(wide * weight + weight * weight)
    leap = tl.minimum(wide * pace, 1e9).to(tl.int32)
    return tl.where(gap >= 0, leap, -leap)


@triton.jit
def _first_ties(bits, low, high, missing):
    """`bits`, nothing where they tie in [low, high) with the first `missing` of their row.

    The last cube of those is searched for: a running count would take many more registers.
    """
    cubes = tl.arange(0, bits.shape[1])[None, :]
    first = tl.zeros_like(missing)
    last = first + bits.shape[1] - 1
    while tl.max(last - first) > 0:
        middle = (first + last) // 2
        ties = (bits >= low) & (bits < high) & (cubes <= middle[:, None])
        enough = tl.sum(ties.to(tl.int32), 1) >= missing
        first, last = tl.where(enough, first, middle + 1), tl.where(enough, middle, last)
    late = (bits >= low) & (bits < high) & (cubes > last[:, None])
    return tl.where(late, 0, bits)
