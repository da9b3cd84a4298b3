"""The table of shares, query cube by key cube: its rows, sampled where all would be too many."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from adaspark.trace.meta import Meta
from adaspark.trace.recorder_layer import Layer
from adaspark.trace.trace import QUERY_TABLE_BYTES


def coming_cubes(meta: Meta) -> int:
    """The cubes of all videos that are known of."""
    cube = meta.config.cube if meta.config else (1, 1, 1)
    return sum(
        prod(-(-n // side) for n, side in zip(grid, cube, strict=True)) for grid in meta.grids
    )


def grown(
    layers: Sequence[Layer], query_cubes: NDArray[np.int64], cubes: int, coming: int
) -> NDArray[np.int64]:
    """Make room in the layers' tables for so many cubes, of `coming` that are announced; returns
    which query cubes have rows now: where the table would be too large, an even sample.
    """
    known = layers[0].attended.shape[1] if layers else 0
    rows = np.concatenate([query_cubes, np.arange(known, cubes)])
    total = max(cubes, coming)
    most = max(1, QUERY_TABLE_BYTES // max(1, len(layers) * total))
    if total <= most:
        stay = np.arange(len(rows))
    elif cubes <= coming:  # the sample of the whole video, as far as it has come
        even = np.linspace(0, total - 1, min(total, most)).astype(int)
        stay = np.flatnonzero(np.isin(rows, even))
    else:
        stay = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int))
    for layer in layers:
        old, sums = layer.attended, layer.cube_sums
        layer.attended, layer.cube_sums = (
            np.zeros((len(stay), cubes), np.int32),
            np.zeros((3, cubes)),
        )
        if known:
            old = old[stay[stay < len(old)]]
            layer.attended[: len(old), :known] = old
            layer.cube_sums[:, :known] = sums
        layer.is_shared = False
    return rows[stay].astype(np.int64)


def add_cubes(
    into: Layer,
    query_cubes: NDArray[np.int64],
    runs: tuple[NDArray[np.int64], NDArray[np.int64]],
    attending: Tensor,
) -> None:
    """Add up who attends to which cube, by those query cubes that have a row: `attending` [m, C]
    counts the heads of queries, whose `runs` are a segment's.
    """
    first, cubes = runs
    here = np.isin(cubes, query_cubes)
    if not here.any():  # of a long video few rows are sampled
        return
    sums = np.add.reduceat(attending.cpu().numpy(), first, axis=0, dtype=np.int32)
    rows = np.searchsorted(query_cubes, cubes)
    into.own_tables()
    into.attended[rows[here], : sums.shape[1]] += sums[here]
    into.is_blank = False
