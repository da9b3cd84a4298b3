"""From the selected-block mask to output: which kernel computes which entries of a chunk of rows.

Axes: H heads, R rows, T tiles, C cubes, D head dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import torch
from torch import Tensor

from adaspark.kernels.gpu import gather_kernel, hopper_loading, tile_kernel
from adaspark.kernels.gpu.plan import TilePlan, plan
from adaspark.kernels.gpu.rows import Rows
from adaspark.kernels.gpu.tables import KeyBlocks, Source, shape_for
from adaspark.kernels.gpu.thresholds import MEASURED, Thresholds


def attend(
    queries: Tensor,
    source: Source,
    output: Tensor,
    blocks: KeyBlocks,
    rows: Rows,
    selected: Tensor,
    scale: float,
    thresholds: Thresholds = MEASURED,
) -> Work:
    """Write the output of `rows`."""
    hopper = on_hopper(queries, source, blocks, rows, thresholds)
    work = planned(hopper, queries, blocks, rows, selected, thresholds)
    if hopper is not None:
        hopper.attend(queries, source, output, blocks, rows, work, scale=scale)
        return Work(work, [])
    gathered, parts = [], [(slice(0, work.tiles), 0)]
    if may_gather(rows, blocks, thresholds):
        parts = _parts(work, thresholds.max_pairs)
    for tiles, count in parts:
        pairs = None
        if count:
            pairs = gather_kernel.gather(
                queries, source, blocks, rows, work, tiles, count, scale=scale
            )
            gathered.append((tiles.start * work.size, pairs.count))
        tile_kernel.attend(
            *(queries, source, output, blocks, rows, work, tiles),
            scale=scale,
            shape=shape_for(queries.dtype, rows.count, thresholds, width=queries.shape[2]),
            splits=thresholds.splits,
            pairs=pairs,
        )
    return Work(work, gathered)


def on_hopper(
    queries: Tensor,
    source: Source,
    blocks: KeyBlocks,
    rows: Rows,
    thresholds: Thresholds = MEASURED,
) -> Any:
    """The module `gpu_hopper` if it computes these rows, and faster than the others, else None.

    It takes 0.7 to 0.8 of the time of the others from 4K tokens on (H200, 28 heads of 128).
    """
    module = hopper_loading.load(queries.device).hopper if queries.is_cuda else None
    if module is None or not module.serves(queries, source, blocks, rows):
        return None
    units = torch.cuda.get_device_properties(queries.device).multi_processor_count
    tiles = len(queries) * ceil(rows.count / module.ROWS)
    return module if tiles >= thresholds.hopper_waves * units else None


def planned(
    hopper: Any,
    queries: Tensor,
    blocks: KeyBlocks,
    rows: Rows,
    selected: Tensor,
    thresholds: Thresholds = MEASURED,
) -> TilePlan:
    """The plan of `rows`; Hopper's tiles are too fast for gathering to pay."""
    if hopper is not None:
        return plan(selected, blocks, rows, size=hopper.ROWS)
    size = shape_for(queries.dtype, rows.count, thresholds, width=queries.shape[2]).rows
    gather = thresholds if may_gather(rows, blocks, thresholds) else None
    return plan(selected, blocks, rows, size=size, gather=gather)


def may_gather(rows: Rows, blocks: KeyBlocks, thresholds: Thresholds) -> bool:
    """Whether it is worth asking which entries to gather: the host waits for the answer."""
    return rows.count >= thresholds.gather_rows and blocks.slots >= thresholds.gather_slots


def _parts(work: TilePlan, max_pairs: int) -> list[tuple[slice, int]]:
    """Runs of tiles whose gathered pairs fit the memory meant for them, and how many those are."""
    found: list[tuple[slice, int]] = []
    for tile, pairs in enumerate(
        gather_kernel.pairs_of_tiles(work).tolist()
    ):  # waits for the device
        if found and found[-1][1] + pairs <= max_pairs:
            run, before = found.pop()
            found.append((slice(run.start, tile + 1), before + pairs))
        else:
            found.append((slice(tile, tile + 1), pairs))
    return found


@dataclass(frozen=True, eq=False)
class Work:
    """What was planned for a chunk, and by first row the number of pairs gathered of each row."""

    plan: TilePlan
    gathered: list[tuple[int, Tensor]]

    def executed(self, blocks: KeyBlocks, rows: Rows) -> Tensor:
        """int64 [H, R]: the keys that were multiplied with each row."""
        by_tile = _by_tile(self.plan.counts, self.plan.size, blocks, rows)
        found = by_tile.repeat_interleave(self.plan.size, 1)[:, : rows.count].contiguous()
        for first, pairs in self.gathered:
            part = found[:, first : first + pairs.shape[1]]
            part += pairs[:, : part.shape[1]] * blocks.slots
        return found

    def summed(self, blocks: KeyBlocks, rows: Rows) -> Callable[[], Tensor]:
        """Finds int64 [], their sum, when it is called: the plan need not be kept till then."""
        return partial(_summed, self.plan.counts, self.plan.size, self.gathered, blocks, rows)


def _by_tile(counts: Tensor, size: int, blocks: KeyBlocks, rows: Rows) -> Tensor:
    """int64 [H, T]: the keys that are multiplied with each row of a tile."""
    _, text_seen = rows.tiles(size)
    text = (text_seen + blocks.block - 1) // blocks.block * blocks.block
    return counts[..., 1].long() * blocks.slots + text


def _summed(
    counts: Tensor, size: int, gathered: list[tuple[int, Tensor]], blocks: KeyBlocks, rows: Rows
) -> Tensor:
    by_tile = _by_tile(counts, size, blocks, rows)
    total = by_tile.sum() * size - by_tile[:, -1].sum() * (-rows.count % size)
    for first, pairs in gathered:
        total = total + pairs[:, : rows.count - first].sum() * blocks.slots
    return total
