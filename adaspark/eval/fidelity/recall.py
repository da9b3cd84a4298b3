"""Recall: how much of the dense attention a choice of cubes covers, and what other choices would.

All use one dense run's queries and keys, so they differ in the choice alone. Axes: L layers, H
query heads, S rows, C cubes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaspark.eval.harness.recorded_rows import Rows
from adaspark.method.rules import BLIND_RULES, Rule, top_p
from adaspark.method.selection import keep_cubes

ORACLE, RUNS = "oracle", "1-D runs"
RULES = ("top-p", "top-k", *BLIND_RULES, ORACLE)


def choices(rows: Rows, p: float) -> dict[str, Tensor]:
    """Cubes kept by each of `RULES`, bool [L, H, S, C]: top-p, and the others as dense as it is.

    Top-k, uniform, random and recent keep one share of the candidates in every layer, head and row:
    the one that top-p keeps on average, rounded up in each row. The oracle keeps as many cubes as
    top-p in each row, those of the largest true mass: no choice of as many can catch more.
    """
    candidates, heads = rows.candidates, rows.probs.shape[:2].numel()
    kept = keep_cubes(rows.probs, candidates, top_p(p))
    share = int(kept.sum()) / max(1, heads * int(candidates.sum()))
    found = {"top-p": kept, "top-k": keep_cubes(rows.probs, candidates, Rule("top_k", share))}
    for name in BLIND_RULES:
        blind = keep_cubes(rows.probs[0, 0], candidates, Rule(name, share), positions=rows.places)
        found[name] = blind.expand_as(kept)
    return found | {ORACLE: heaviest(rows.mass, candidates, kept.sum(-1))}


def heaviest(scores: Tensor, candidates: Tensor, count: Tensor) -> Tensor:
    """The `count` [...] candidates of each row that score highest: bool [..., C]."""
    return _ordered(scores, candidates)[1] < count[..., None]


def reaching(rows: Rows, tokens: Tensor) -> Tensor:
    """The cubes that the router ranks first, as few as make each row read `tokens` [L, H, S] video
    tokens or more, its own cube included: bool [L, H, S, C].
    """
    order, ranks = _ordered(rows.probs, rows.candidates)
    visible = (rows.visible * rows.candidates).expand_as(order).gather(-1, order)
    before = visible.cumsum(-1) - visible
    wanted = tokens - (rows.visible * rows.own).sum(-1)
    count = (before < wanted[..., None]).sum(-1)
    return (ranks < count[..., None]) & rows.candidates


def recall(rows: Rows, kept: Tensor) -> Tensor:
    """Share of each row's dense attention to video that lies on what it reads, own cube included:
    fp32 [L, H, S], NaN for a row that attends to text alone.
    """
    return (rows.mass * (kept | rows.own)).sum(-1) / rows.mass.sum(-1)


def tokens_read(rows: Rows, kept: Tensor) -> Tensor:
    """Video tokens that each row reads, own cube included: int64 [L, H, S]."""
    return ((kept | rows.own) * rows.visible).sum(-1)


def density(rows: Rows, kept: Tensor) -> float:
    """Video tokens read, as a share of those that the rows may see, over all rows together."""
    copies = kept.shape[:2].numel()
    return int(tokens_read(rows, kept).sum()) / (copies * int(rows.visible.sum()))


def realised(rows: Rows, p: float) -> Tensor:
    """Share of the candidates' true mass that top-p covers when the router promised `p` of it:
    fp32 [L, H, S], NaN for a row without candidates.
    """
    kept = keep_cubes(rows.probs, rows.candidates, top_p(p))
    return (rows.mass * kept).sum(-1) / (rows.mass * rows.candidates).sum(-1)


def _ordered(scores: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Cubes from the highest score on, candidates first, and each cube's place in that order."""
    masked = scores.masked_fill(~candidates, -torch.inf)
    order = masked.argsort(dim=-1, descending=True, stable=True)
    places = torch.arange(scores.shape[-1], device=scores.device).expand_as(order)
    return order, torch.empty_like(order).scatter(-1, order, places)
