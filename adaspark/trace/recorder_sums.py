"""Sums that a recorder gets layer by layer, kept on their device until the end of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.method.selection import normalised
from adaspark.method.sequence import Segment
from adaspark.method.tally import Tally

if TYPE_CHECKING:
    from adaspark.trace.recorder import Layer


class Summed(NamedTuple):
    """What is left of a `Tally`: `attended` int32 [Q, C] belongs to `rows` of the layer's table.

    `figures`: each query's cube, int64 [n] on the host, and its `figures_of`, fp32 [3, n].
    """

    rows: slice
    attended: Tensor
    figures: tuple[Tensor, Tensor] | None
    pairs: Tensor


def summed_rows(tally: Tally, query_cubes: NDArray[np.int64]) -> tuple[slice, Tensor]:
    """The rows of the table of shares that a tally adds to, and what it adds."""
    first, count = tally.first_cube, len(tally.attended)
    rows = slice(*np.searchsorted(query_cubes, (first, first + count)))
    picked = query_cubes[rows] - first
    if len(picked) == count:
        return rows, tally.attended
    index = torch.from_numpy(picked).to(tally.attended.device)
    return rows, tally.attended.index_select(0, index)


def figures_of(entropies: Tensor, counts: Tensor) -> Tensor:
    """fp32 [3, n]: normalised entropy and effective cubes, means over the heads of `entropies`
    [H, n], and 1; all 0 for a query that has no choice among its `counts` [n] cubes.
    """
    spread = normalised(entropies, counts).mean(0)
    figures = torch.stack([spread, entropies.exp().mean(0), torch.ones_like(spread)])
    return figures.where(counts > 1, 0.0)


def closed_forms(segments: Sequence[Segment]) -> dict[str, int]:
    """(query, key) pairs of one head that follow from where the queries stand: text keys attended
    to, cubes weighed, and what dense attention has. Waits for the device, once.
    """
    text, video, weighed = torch.stack(
        [
            torch.cat([segment.text_before for segment in segments]).sum(),
            torch.cat([segment.video_before for segment in segments]).sum(),
            torch.cat([segment.candidate_counts for segment in segments]).sum(),
        ]
    ).tolist()
    return {"computed_pairs": text, "weighed_pairs": weighed, "causal_pairs": text + video}


def settle(layers: Sequence[Layer]) -> None:
    """Add what was summed to the layers' own sums, copied to the host all together."""
    pending = [(layer, summed) for layer in layers for summed in layer.tallies]
    if not pending:
        return
    tables = _on_host([summed.attended for _, summed in pending])
    figures = _on_host([summed.figures[1] for _, summed in pending if summed.figures])[::-1]
    pairs = torch.stack([summed.pairs for _, summed in pending]).tolist()
    for (layer, summed), table, (cubes, executed) in zip(pending, tables, pairs, strict=True):
        layer.attended[summed.rows, : table.shape[1]] += table.numpy()
        layer.computed_pairs += cubes
        layer.executed_pairs += executed
        if summed.figures:
            layer.cube_sums.index_add_(1, summed.figures[0], figures.pop())
    for layer in layers:
        layer.tallies.clear()


def _on_host(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same tensors, in one copy."""
    if not tensors:
        return []
    flat = torch.cat([tensor.flatten() for tensor in tensors]).cpu()
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
