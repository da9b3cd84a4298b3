"""Inside the GPU kernels: the nucleus of many rows at once, by bisection over bit patterns.

The bits of positive fp32 numbers are ordered as the numbers, so the weight that crosses the
threshold is found exactly, without a sort; ties go to the lower cube.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _nucleus(scores, p, lowest, steps):
    """bool [rows, cubes]: the nucleus of each row's candidates; the score of others is -inf."""
    top = tl.max(scores, 1)
    top = tl.where(top == -float("inf"), 0.0, top)
    weights = tl.exp(scores - top[:, None])
    bits = weights.to(tl.int32, bitcast=True)
    goal = p * tl.sum(weights, 1)
    low = tl.full(goal.shape, 0, tl.int32) + lowest
    high = tl.full(goal.shape, 0x3F800001, tl.int32)
    for _ in range(steps):
        middle = low + (high - low) // 2
        enough = tl.sum(tl.where(bits >= middle[:, None], weights, 0.0), 1) >= goal
        low = tl.where(enough, middle, low)
        high = tl.where(enough, high, middle)
    kept = bits > low[:, None]
    ties = bits == low[:, None]
    crossing = low.to(tl.float32, bitcast=True)
    missing = tl.ceil((goal - tl.sum(tl.where(kept, weights, 0.0), 1)) / crossing)
    missing = tl.maximum(missing, 1.0).to(tl.int32)
    if tl.max(tl.sum(ties.to(tl.int32), 1) - missing) > 0:
        ties = ties & (tl.cumsum(ties.to(tl.int32), 1) <= missing[:, None])
    return kept | ties


@triton.jit
def attended(scores, rows, cubes, video_before, own_cube, first_tokens, p, lowest, steps, R, C):
    """int32 [rows, cubes]: whether a row attends to a cube, by choice or because it is its own."""
    before = tl.load(video_before + rows, mask=rows < R, other=0)
    own = tl.load(own_cube + rows, mask=rows < R, other=-1)
    first = tl.load(first_tokens + cubes, mask=cubes < C, other=0x7FFFFFFF)
    is_own = cubes[None, :] == own[:, None]
    candidate = (first[None, :] < before[:, None]) & (is_own == 0)
    kept = _nucleus(tl.where(candidate, scores, -float("inf")), p, lowest, steps)
    return (kept | (cubes[None, :] == own[:, None])).to(tl.int32)
