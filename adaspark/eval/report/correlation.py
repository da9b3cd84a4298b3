"""Correlations of what was recorded, along the last axis of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

_MIN_PAIRS = 3
"""Any two pairs correlate perfectly."""


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's, fp64 [...] of [..., N]; entries where either is not finite are left out.

    NaN if fewer than three pairs are left or one side does not vary.
    """
    known = a.isfinite() & b.isfinite()
    count = known.sum(-1)
    one, two = (_centred(values, known, count) for values in (a, b))
    scale = (one.square().sum(-1) * two.square().sum(-1)).sqrt()
    return torch.where((count >= _MIN_PAIRS) & (scale > 0), (one * two).sum(-1) / scale, torch.nan)


def rank_correlation(a: Tensor, b: Tensor, among: Tensor) -> Tensor:
    """Spearman's, fp64 [...] of [..., N] over the entries where `among`, bool [..., N], is true.

    Equal values rank in their order, which matters little if few are equal.
    """
    one, two = (_ranks(values, among) for values in (a, b))
    return correlation(one, two)


def _centred(values: Tensor, known: Tensor, count: Tensor) -> Tensor:
    values = values.double().masked_fill(~known, 0.0)
    mean = values.sum(-1, keepdim=True) / count.clamp(min=1)[..., None]
    return (values - mean).masked_fill(~known, 0.0)


def _ranks(values: Tensor, among: Tensor) -> Tensor:
    """Ranks from 0 among the chosen entries, NaN elsewhere."""
    order = values.masked_fill(~among, torch.inf).argsort(dim=-1, stable=True)
    places = torch.arange(values.shape[-1], device=values.device).expand_as(order)
    ranks = torch.empty_like(order).scatter(-1, order, places).double()
    return ranks.masked_fill(~among, torch.nan)
