"""Inside the GPU kernels: the nucleus of a few rows at once, by a search over bit patterns.

What is computed. A row has scores s_i in log2, and weights w_i = 2^(s_i - max s): in [0, 1], the
heaviest exactly 1, 0 for what is no candidate. W is their sum and p W, 0 < p < 1, the goal. The
nucleus is the smallest set of weights whose sum reaches the goal: the heaviest ones down to the
one that crosses it, and of weights equal to that one the first by index, as many as are needed.

Why bits. Positive fp32 numbers are ordered as their bit patterns, read as int32. So the mass from b
on, F(b) = the sum of all w_i with bits(w_i) >= b, never rises with b, and the nucleus without ties
is {i : bits(w_i) >= b} for the largest b with F(b) >= p W. An integer can be found exactly, in at
most 30 halvings, without a sort.

The invariant. F(low) >= p W > F(high). It holds at first: F above the bits of 1.0 is 0, and all
weights below `lowest` (`lowest_bits` of `block_selection`) weigh less than (1 - p) / 2 together,
while W >= 1.
A look at any `middle` between both keeps it: `middle` becomes `low` if F(middle) reaches the goal,
else `high`. Hence the crossing weight always lies in [low, high).

Why the result is exact. A row ends in one of two ways.
- high - low <= 1: every weight in [low, high) has the bits `low`. Those are ties. Of them
  ceil((p W - F(high)) / w) are needed, one at least: `_first_ties` keeps the first ones by index
  and sets the bits of the others to 0.
- F(low) - F(high) < 1.5 w(low), where w(low) is the number with the bits `low`: two weights there
  would sum to 2 w(low) at least, so that there is one: the crossing one. (1.5, not 2: sums are
  rounded.) Until `low` first moves, W stands for F(low). It is larger, which only delays the end.

Exact means: given fp32 sums, which can take a row either way if its mass comes within a rounding of
the goal.

Why it ends. Where to look is a guess from how the mass is spread, and changes nothing but the time.
`middle` is kept inside (low, high), so that every look shrinks the interval; a look that did not
halve it is followed by one in the middle; and of looks at a distance (`_leap`) there are MAX_LEAPS
at most. That makes 2 x 30 + MAX_LEAPS looks in the worst case; rows like their neighbours need
far fewer. A row that has ended keeps its set while others of its program go on.

`tests/nucleus_twin.py` is the same search in NumPy, looking wherever it is told to.
"""

from __future__ import annotations

import triton
import triton.language as tl

ABOVE_ONE: tl.constexpr = tl.constexpr(0x3F800001)
"""The bits that follow those of 1.0, the heaviest weight of every row."""
MAX_ASIDE: tl.constexpr = tl.constexpr(0.15)
"""How far beside the expected crossing to look at most, as a share of the interval."""
ASIDE: tl.constexpr = tl.constexpr(0.7)
"""How far beside, times the root of the weights left: the spread of their number."""
FEW: tl.constexpr = tl.constexpr(16)
"""With fewer weights between two bounds, their mass says little of how dense weights are there."""
MAX_LEAPS: tl.constexpr = tl.constexpr(3)
"""How many looks use the density of weights in a row like these."""


@triton.jit
def nucleus(scores, near, pace, p, lowest):
    """(bits, threshold, near, pace): the nucleus of a row is what has bits of at least `threshold`.

    | name | dtype | shape | what |
    | --- | --- | --- | --- |
    | scores | fp32 | [rows, cubes] | exponents of two, -inf for what is no candidate |
    | near | fp32 | [rows] | share of the mass that the crossing weight of a row like these had |
    | pace | fp32 | [rows] | bits from there to the end of the mass, or 0: not known |
    | p, lowest | fp32, int32 | scalars | the threshold, and the bits at which the search starts |
    | bits, threshold | int32 | [rows, cubes], [rows] | returned |

    `near` and `pace` say where to look first, and are returned for the next rows. (No tensor of
    booleans leaves a branch or waits for its use: it would be packed and unpacked at the cost of
    the search.)
    """
    top = tl.max(scores, 1)
    top = tl.where(top == -float("inf"), 0.0, top)
    weights = tl.exp2(scores - top[:, None])  # [rows, cubes]
    bits = weights.to(tl.int32, bitcast=True)  # [rows, cubes]
    whole = tl.sum(weights, 1)  # [rows], as all that follows
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
        smallest = low.to(tl.float32, bitcast=True)
        alone = heavy - light < 1.5 * smallest
        open_rows = tl.max(tl.where((high - low > 1) & (alone == 0), 1, 0))
        between = tl.maximum(heavy - light, 1e-30)  # 0 if a row has no candidate
        rate = (high - low).to(tl.float32) / between
        bounded = (low > lowest) & (high < ABOVE_ONE)
        pace = tl.where(bounded & (between > FEW * smallest), rate, pace)
        leaps = (bounded == 0) & (pace > 0) & (tries < MAX_LEAPS)
        tries += 1
        leap = _leap(middle, mass - goal, pace, tries)
        share = tl.where((high - low) * 2 > before, 0.5, _share(between, heavy - goal, smallest))
        step = (share * (high - low).to(tl.float32)).to(tl.int32)
        middle = tl.where(leaps, middle + leap, low + step)
        middle = tl.minimum(tl.maximum(middle, low + 1), high - 1)
    smallest = low.to(tl.float32, bitcast=True)
    if tl.max(tl.where((heavy > 0) & (alone == 0), 1, 0)) > 0:  # equal weights cross together
        missing = tl.maximum(tl.ceil((goal - light) / smallest), 1.0).to(tl.int32)
        bits = _first_ties(bits, low[:, None], high[:, None], missing)
    near = tl.where(whole > 0, smallest / tl.maximum(whole, 1.0), near)
    return bits, low, near, pace * tl.maximum(whole, 1.0)


@triton.jit
def _share(between, above, smallest):
    """Where to look between two bounds, as a share of the way: beside the place where the goal
    would be crossed if the mass were spread evenly, so that most of the interval falls away."""
    crossing = above / between
    aside = tl.minimum(ASIDE * tl.sqrt(smallest / between), MAX_ASIDE)
    return tl.where(crossing < 0.5, crossing + aside, crossing - aside)


@triton.jit
def _leap(middle, gap, pace, tries):
    """How far from the only bound to look: a little beyond where the mass that is missing, or too
    much, would lie if weights were as dense as in a row like these; further with every try."""
    weight = middle.to(tl.float32, bitcast=True)
    wide = tl.abs(gap)
    wide += ASIDE * tries * tl.sqrt(wide * weight + weight * weight)
    leap = tl.minimum(wide * pace, 1e9).to(tl.int32)
    return tl.where(gap >= 0, leap, -leap)


@triton.jit
def _first_ties(bits, low, high, missing):
    """`bits`, set to 0 for all ties in [low, high) but the first `missing` of their row.

    The last cube that is kept is searched for: a running count would take many more registers.
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
