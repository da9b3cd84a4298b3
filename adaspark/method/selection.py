"""The rules that both halves share: the smallest set whose mass reaches p, and its baselines.

Pure functions on tensors; `reference.py` holds the slow twins.
"""

from __future__ import annotations

from math import log, nan

import numpy as np
import torch
from torch import Tensor

from adaspark.method.rules import OWN_CUBE_RULES, Rule


def keep_cubes(
    mass: Tensor, candidates: Tensor, rule: Rule, *, positions: Tensor | None = None
) -> Tensor:
    """The cubes that each query keeps: bool [..., n, C].

    `mass` fp32 [..., n, C] over the cubes, `candidates` bool, broadcastable to it; `positions`
    int64 [n] of the queries in their sequence tell `random` one query from another.
    """
    kept = _kept_by_rule(mass, candidates, rule, positions)
    seen = [
        (cube, on) for cube, on in rule.forced if cube < kept.shape[-1]
    ]  # others are yet to come
    if seen:
        cubes, on = (torch.tensor(each, device=kept.device) for each in zip(*seen, strict=True))
        kept[..., cubes] = candidates.expand_as(kept)[..., cubes] & on
    return kept


def _kept_by_rule(mass: Tensor, candidates: Tensor, rule: Rule, positions: Tensor | None) -> Tensor:
    if rule.name == "top_p":
        return nucleus(mass, rule.amount, candidates=candidates)
    candidates = candidates.expand_as(mass)
    count = _rounded_up(candidates.sum(-1, keepdim=True), rule.amount)
    index = torch.arange(mass.shape[-1], device=mass.device)
    if rule.name == "top_k":
        return _largest(mass, candidates, count)
    if rule.name == "recent":
        return _largest(index.to(mass.dtype).expand_as(mass), candidates, count)
    if rule.name == "uniform":
        return _every_nth(candidates, count)
    if rule.name == "random":
        rows = torch.zeros(1, dtype=torch.long) if positions is None else positions
        drawn = _drawn(rows.to(mass.device)[:, None], index)
        return _largest(drawn.to(mass.dtype).expand_as(mass), candidates, count)
    if rule.name in OWN_CUBE_RULES:
        return _largest(OWN_CUBE_RULES[rule.name](mass, candidates), candidates, count)
    raise ValueError(f"Unknown rule {rule.name!r}.")


def keep_tokens(weights: Tensor, valid: Tensor, rule: Rule) -> Tensor:
    """The tokens that each cube keeps, one at least: bool [..., C, M].

    `weights` fp32 [..., C, M] of a cube's tokens in sequence order, `valid` bool [C, M] where a
    cube has one.
    """
    if not weights.numel():
        return torch.zeros_like(weights, dtype=torch.bool)
    cubes = torch.arange(weights.shape[-2], device=weights.device)
    weights = weights.masked_fill(~valid, 0.0)
    kept = keep_cubes(weights, valid, rule, positions=cubes)
    heaviest = weights.argmax(-1, keepdim=True)
    return kept | (~kept.any(-1, keepdim=True) & torch.zeros_like(kept).scatter(-1, heaviest, True))


def nucleus(mass: Tensor, p: float, *, candidates: Tensor | None = None) -> Tensor:
    """Keep the fewest entries of each row whose mass reaches `p`: the paper's Top-p.

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
    return _down_to(mass, least, count) & candidates


def _largest(values: Tensor, candidates: Tensor, count: Tensor) -> Tensor:
    """The `count` [..., 1] largest candidates of each row, ties to the lower index."""
    if values.shape[-1] == 0:
        return torch.zeros_like(values, dtype=torch.bool)
    values = values.masked_fill(~candidates, -torch.inf)
    least = _descending(values).gather(-1, (count - 1).clamp_min(0))
    return _down_to(values, least, count) & candidates & (count > 0)


def _down_to(values: Tensor, least: Tensor, count: Tensor) -> Tensor:
    """Entries above `least`, and of those equal to it the first ones, up to `count` in all."""
    above, ties = values > least, values == least
    count = count - above.sum(-1, keepdim=True)
    return above | (ties & (ties.cumsum(-1) <= count))


def _every_nth(candidates: Tensor, count: Tensor) -> Tensor:
    """`count` candidates of each row, evenly spread over them by index."""
    total = candidates.sum(-1, keepdim=True).clamp_min(1)
    rank = candidates.cumsum(-1)  # from 1
    return candidates & (rank * count // total > (rank - 1) * count // total)


def _rounded_up(total: Tensor, share: float) -> Tensor:
    """int64: ceil(share x total), where 0.1 x 30 is 3 whatever its last bit says."""
    return (total.double() * share - 1e-9).ceil().clamp_min(0).long()


def _drawn(rows: Tensor, columns: Tensor) -> Tensor:
    """A number in [0, 2^24) for each (row, column): no generator, the same on every device."""
    mixed = rows * 0x9E3779B1 + columns * 0x85EBCA6B + 0x27D4EB2F
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        mixed = ((mixed & 0xFFFFFFFF) ^ ((mixed & 0xFFFFFFFF) >> shift)) * factor
    return (mixed >> 7) & 0xFFFFFF  # fp32 holds 24 bits exactly


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
    return normalised(entropy(mass), count)


def normalised(nats: Tensor, count: Tensor | int) -> Tensor:
    """`normalised_entropy` where the entropy is known already; one `count` may be that of all."""
    if isinstance(count, Tensor):
        return (nats / torch.where(count > 1, count, torch.nan).log()).clamp(0.0, 1.0)
    return (nats / (log(count) if count > 1 else nan)).clamp(0.0, 1.0)
