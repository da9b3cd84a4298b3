"""How far fp32 may be from the exact answer, whatever the processor: bounds that tests hold to.

Standard model of rounding (Higham, Accuracy and Stability, ch. 3): each operation errs by a factor
of at most 1 + u, and a sum of n terms, in any order, by at most n u times the sum of magnitudes.
First order in u; what is of higher order is a millionth of that and covered by the room for exp.
"""

from __future__ import annotations

import torch
from torch import Tensor

UNIT = 2.0**-24
EXP_UNITS = 8
"""A vectorised or approximate exp may err by as many units (test_kernels_cpu.py measures ours)."""


def attention(
    queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor, *, scale: float
) -> tuple[Tensor, Tensor]:
    """Masked softmax attention in fp64, [H, S, D], and how far from it that of fp32 may be.

    `queries` [H, S, D], `keys` and `values` [G, N, D], `allowed` bool [H, S, N]. A weight errs by
    the error of its score and of exp; since weights are divided by their sum, only what pulls a
    value away from the mean counts: by Cauchy and Schwarz at most the root mean square of these
    errors times the values' standard deviation. Then come the sums of N terms above and below the
    line, each rescaled at most as often as there are keys.
    """
    share = queries.shape[0] // keys.shape[0]
    queries = queries.double()
    keys, values = (t.double().repeat_interleave(share, 0) for t in (keys, values))
    scores = (scale * queries @ keys.mT).masked_fill(~allowed, -torch.inf)
    weights = scores.softmax(-1).nan_to_num(0.0)
    exact = weights @ values
    size = scale * queries.abs() @ keys.abs().mT
    below = (scores.amax(-1, keepdim=True) - scores).nan_to_num(0.0, posinf=0.0)
    errors = UNIT * ((queries.shape[-1] + 4) * size + 4 * below + EXP_UNITS)
    spread = (weights @ values.square() - exact.square()).clamp(min=0)
    pulled = (weights * errors.square()).sum(-1, keepdim=True).sqrt() * spread.sqrt()
    return exact, pulled + 4 * UNIT * keys.shape[1] * (weights @ values.abs())


def check_attention(
    found: Tensor, qkv: tuple[Tensor, ...], allowed: Tensor, *, scale: float
) -> None:
    """Fails where `found` is not masked attention, as exact as fp32 must be."""
    check(found, *attention(*qkv, allowed, scale=scale))


def check(found: Tensor, exact: Tensor, bound: Tensor) -> None:
    """Fails where `found` lies further from `exact` than `bound`, or is no number."""
    error = (found.double() - exact).abs()
    wrong = ~(error <= bound)
    assert not wrong.any(), (
        f"{int(wrong.sum())} of {wrong.numel()} lie beyond what rounding explains, "
        f"by {(error / bound)[wrong].max():.2f} times at most"
    )
