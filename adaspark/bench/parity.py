"""The check that stands before every figure: the fast paths against the slow reference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from adaspark import attention, ffn, reference
from adaspark.rules import top_p
from adaspark.sequence import SequenceMap

TOLERANCE = 1e-5
MERGE_ONLY, TILES_ONLY = 0.0, float("inf")


@contextmanager
def merge_cost(value: float) -> Iterator[None]:
    """Route by another cost: `MERGE_ONLY` or `TILES_ONLY` force one backend."""
    usual, attention.MERGE_COST = attention.MERGE_COST, value
    try:
        yield
    finally:
        attention.MERGE_COST = usual


@torch.inference_mode()
def largest_error(*, seed: int = 0) -> float:
    """Largest absolute difference to the reference, on a small ragged fp32 problem.

    Both attention backends and the FFN; infinite where any of them is not finite or any selection
    differs.
    """
    generator = torch.Generator().manual_seed(seed)
    is_video = torch.tensor([0] * 3 + [1] * (5 * 6 * 7) + [0] * 5).bool()
    sequence = SequenceMap.build(is_video, [(5, 6, 7)], (2, 4, 3))
    heads, groups, width = 4, 2, 16

    def draw(rows: int) -> torch.Tensor:
        return torch.randn(rows, sequence.length, width, generator=generator)

    queries, keys, values = 2 * draw(heads), draw(groups), draw(groups)
    weight = torch.randn(width, width, generator=generator)
    scale = width**-0.5
    errors = []
    for backend in (MERGE_ONLY, TILES_ONLY):
        with merge_cost(backend):
            ours = attention.sparse_attention(
                queries, keys, values, sequence, rule=top_p(0.7), scale=scale
            )
        slow = reference.sparse_attention(
            queries, keys, values, sequence, rule=top_p(0.7), scale=scale
        )
        errors.append(float((ours - slow).abs().max()))
    inputs = (values[0], values[0].norm(dim=-1), sequence, lambda x: (x @ weight).relu())
    ours, kept, _ = ffn.sparse_ffn(*inputs, rule=top_p(0.5))
    slow, expected, _ = reference.sparse_ffn(*inputs, rule=top_p(0.5))
    errors.append(float((ours - slow).abs().max()) if torch.equal(kept, expected) else torch.inf)
    worst = max(errors)
    return worst if all(error == error for error in errors) else torch.inf
