"""The one rule that both halves share: the smallest set whose mass reaches p.

Pure functions on tensors; `reference.py` holds the slow twins.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def nucleus(mass: Tensor, p: float, *, candidates: Tensor | None = None) -> Tensor:
    """Keep the fewest entries of each row whose mass reaches `p` (method.md, AdaS-Attn step 3).

    `mass` is fp32 [..., C] and sums to one over the candidates of a row (zero elsewhere);
    `candidates` is bool, broadcastable to it. Returns bool [..., C]: sorted by mass descending,
    ties to the lower index, the entry that crosses the threshold included. p = 1 keeps every
    candidate, p = 0 none.
    """
    if candidates is None:
        candidates = torch.ones((), dtype=torch.bool, device=mass.device)
    if p >= 1:
        return candidates.expand_as(mass).clone()
    if p <= 0 or mass.shape[-1] == 0:
        return torch.zeros_like(mass, dtype=torch.bool)
    ordered = _descending(mass)
    before = ordered.cumsum(-1) - ordered
    count = (before < p).sum(-1, keepdim=True).clamp_min(1)  # p may round to 0 in fp32
    least = ordered.gather(-1, count - 1)  # the entry that crosses the threshold
    above, ties = mass > least, mass == least
    wanted = count - above.sum(-1, keepdim=True)
    return (above | (ties & (ties.cumsum(-1) <= wanted))) & candidates


def _descending(values: Tensor) -> Tensor:
    """Sorted rows, largest first."""
    if values.device.type == "cpu":
        # numpy sorts short fp32 rows with vector instructions: measured 15 times torch.sort here.
        ascending = torch.from_numpy(np.sort(values.detach().numpy(), axis=-1))
        return ascending.flip(-1)
    return values.sort(dim=-1, descending=True).values


def masked_softmax(scores: Tensor, candidates: Tensor) -> Tensor:
    """Softmax over the candidates of each row; a row without candidates is all zero."""
    if scores.shape[-1] == 0:
        return scores
    filled = scores.masked_fill(~candidates, -torch.inf)
    peak = filled.amax(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)
    weights = (filled - peak).exp()
    return weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)


def entropy(mass: Tensor) -> Tensor:
    """Shannon entropy in nats over the last axis, of rows that sum to one (or are all zero)."""
    terms: Tensor = torch.special.entr(mass)
    return terms.sum(-1)


def normalised_entropy(mass: Tensor, count: Tensor) -> Tensor:
    """Entropy divided by ln(count), in [0, 1]; NaN where fewer than two entries exist.

    `count` is how many entries each row could spread its mass over, broadcastable to the rows.
    """
    choices = torch.where(count > 1, count, torch.nan)
    return (entropy(mass) / choices.log()).clamp(0.0, 1.0)
