"""How what a layer's queries chose is summed: by cube, over heads, and in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.method.segment import Segment
from adaspark.method.selection import normalised
from adaspark.method.tally import Tally, video_queries
from adaspark.trace.on_host import on_host
from adaspark.trace.recorder_layer import Choices, Layer


def summed_rows(tally: Tally, query_cubes: NDArray[np.int64]) -> tuple[slice, Tensor]:
    """The rows of the table of shares that a tally adds to, and what it adds."""
    first, count = tally.first_cube, len(tally.attended)
    start, end = query_cubes.searchsorted([first, first + count]).tolist()
    if end - start == count:
        return slice(start, end), tally.attended
    index = torch.from_numpy(query_cubes[start:end] - first).to(tally.attended.device)
    return slice(start, end), tally.attended.index_select(0, index)


def figures_of(entropies: Tensor, counts: Tensor) -> Tensor:
    """fp32 [3, L, n]: normalised entropy and effective cubes, means over the heads of `entropies`
    [L, H, n], and 1; all 0 for a query that has no choice among its `counts` [n] cubes.
    """
    spread = normalised(entropies, counts).mean(1)
    figures = torch.stack([spread, entropies.exp().mean(1), torch.ones_like(spread)])
    return figures.where(counts > 1, 0.0)


def reduce_entropies(layers: Sequence[Layer]) -> None:
    """Entropies become figures of their queries: of all layers together, without waiting."""
    alike: dict[tuple[int, torch.device], list[tuple[Layer, Choices, Tensor]]] = {}
    for layer in layers:
        for choices, entropies in layer.entropies:
            key = id(choices), entropies.device
            alike.setdefault(key, []).append((layer, choices, entropies))
        layer.entropies.clear()
    for found in alike.values():
        counts = found[0][1].counts.to(found[0][2].device)
        figures = figures_of(torch.stack([entropies for *_, entropies in found]), counts)
        for number, (layer, choices, _) in enumerate(found):
            layer.figures.append((choices, figures[:, number]))


def choices_of(segments: Sequence[Segment]) -> Choices:
    """What the queries of segments, those of video first, may choose from."""
    text, video, own = (
        torch.cat([getattr(segment, name) for segment in segments])
        for name in ("text_before", "video_before", "own_cube")
    )
    counts = segments[0].layout.cubes_begun[video] - (own >= 0).long()
    pairs = torch.stack([text.sum(), counts.sum(), text.sum() + video.sum()])
    asked = video_queries(segments)
    return Choices(counts[:asked], own[:asked], pairs)


def settle(layers: Sequence[Layer]) -> None:
    """Add what was summed to the layers' own sums, copied to the host all together."""
    reduce_entropies(layers)
    figures = [(layer, *found) for layer in layers for found in layer.figures]
    cubes = _once([choices.own_cube for _, choices, _ in figures])
    for (layer, choices, _), rows in zip(
        figures, on_host([rows for *_, rows in figures]), strict=True
    ):
        _add_by_cube(layer, cubes[id(choices.own_cube)], rows)
    forms = _once([form for layer in layers for _, form in layer.forms])
    pending = [(layer, summed) for layer in layers for summed in layer.tallies]
    counts = [summed.pairs() for _, summed in pending]
    found = on_host([*counts, *(summed.attended for _, summed in pending)])
    for number, (layer, summed) in enumerate(pending):
        (cubes_read, executed), table = found[number].tolist(), found[len(pending) + number]
        if table.size:  # text alone adds to no table
            layer.add_attended(summed.rows, table)
        layer.computed_pairs += cubes_read
        layer.executed_pairs += executed
    for layer in layers:
        for heads, form in layer.forms:
            text, weighed, causal = (heads * int(pairs) for pairs in forms[id(form)])
            layer.computed_pairs += text
            layer.weighed_pairs += weighed
            layer.causal_pairs += causal
        layer.figures.clear()
        layer.tallies.clear()
        layer.forms.clear()


def _once(tensors: Sequence[Tensor]) -> dict[int, NDArray[Any]]:
    """On the host, by identity: what is the same in all layers is copied once."""
    alone = list({id(tensor): tensor for tensor in tensors}.values())
    return dict(zip(map(id, alone), on_host(alone), strict=True))


def _add_by_cube(layer: Layer, own_cube: NDArray[np.int64], figures: NDArray[np.float32]) -> None:
    """Add the figures [3, n] of queries to those of their cubes."""
    layer.own_tables()
    cubes = layer.cube_sums.shape[1]
    for sums, values in zip(layer.cube_sums, figures, strict=True):
        sums += np.bincount(own_cube, weights=values, minlength=cubes)
