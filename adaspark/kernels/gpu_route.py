"""From the selected-block mask to output: which kernel computes which entries of a chunk of rows.

Axes: H heads, R rows, T tiles, C cubes, D head dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor

from adaspark.kernels import gpu_hopper_loading, gpu_merge, gpu_union
from adaspark.kernels.gpu_plan import TilePlan, plan
from adaspark.kernels.gpu_tables import KeyBlocks, Rows, Source, shape_for

GATHER_FROM = 2048
"""Rows of a chunk from which on cubes that few rows of a tile selected may be gathered."""
GATHER_SLOTS = 128
"""Slots of a cube from which on it may: with fewer a tile costs less than to ask (7 % of attending
at 128K tokens on an H200) unless hardly a row in eight agrees."""
HOPPER_WAVES = 8
"""Tiles for each multiprocessor from which on Hopper's kernel is used: with 14 (8K tokens) it is
the faster one on an H200, fewer were not timed."""
MAX_PAIRS = 2**21
"""Bounds the partial results in memory."""


def attend(
    queries: Tensor,
    source: Source,
    output: Tensor,
    blocks: KeyBlocks,
    rows: Rows,
    selected: Tensor,
    scale: float,
) -> Work:
    """Write the output of `rows`."""
    hopper = on_hopper(queries, source, blocks, rows)
    work = planned(hopper, queries, blocks, rows, selected)
    if hopper is not None:
        hopper.attend(queries, source, output, blocks, rows, work, scale=scale)
        return Work(work, [])
    gathers, gathered = may_gather(rows, blocks), []
    for tiles, count in _parts(work) if gathers else [(slice(0, work.tiles), 0)]:
        pairs = None
        if count:
            pairs = gpu_merge.gather(queries, source, blocks, rows, work, tiles, count, scale=scale)
            gathered.append((tiles.start * work.size, pairs.count))
        gpu_union.attend(
            *(queries, source, output, blocks, rows, work, tiles),
            scale=scale,
            shape=shape_for(queries.dtype, rows.count),
            pairs=pairs,
        )
    return Work(work, gathered)


def on_hopper(queries: Tensor, source: Source, blocks: KeyBlocks, rows: Rows) -> Any:
    """The module `gpu_hopper` where it computes these rows, and faster than the others, else None.

    It takes 0.7 to 0.8 of the time of `gpu_union` from 16K tokens on (H200, 28 heads of 128).
    """
    module = gpu_hopper_loading.load(queries.device).hopper if queries.is_cuda else None
    if module is None or not module.serves(queries, source, blocks, rows):
        return None
    units = torch.cuda.get_device_properties(queries.device).multi_processor_count
    tiles = len(queries) * ceil(rows.count / module.ROWS)
    return module if tiles >= HOPPER_WAVES * units else None


def planned(
    hopper: Any, queries: Tensor, blocks: KeyBlocks, rows: Rows, selected: Tensor
) -> TilePlan:
    """The plan of `rows`; Hopper's tiles are too fast for gathering to pay."""
    if hopper is not None:
        return plan(selected, blocks, rows, size=hopper.ROWS, gather=False)
    size = shape_for(queries.dtype, rows.count).rows
    return plan(selected, blocks, rows, size=size, gather=may_gather(rows, blocks))


def may_gather(rows: Rows, blocks: KeyBlocks) -> bool:
    """Whether it is worth asking which entries to gather: the host waits for the answer."""
    return rows.count >= GATHER_FROM and blocks.slots >= GATHER_SLOTS


def _parts(work: TilePlan) -> list[tuple[slice, int]]:
    """Runs of tiles whose gathered pairs fit the memory meant for them, and how many those are."""
    found: list[tuple[slice, int]] = []
    for tile, pairs in enumerate(gpu_merge.pairs_of_tiles(work).tolist()):  # waits for the device
        if found and found[-1][1] + pairs <= MAX_PAIRS:
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
        """int64 [H, R]: keys that were multiplied with each row."""
        tile = torch.arange(rows.count, device=rows.places.device) // self.plan.size
        _, text_seen = rows.tiles(self.plan.size)
        text = (text_seen + blocks.block - 1) // blocks.block * blocks.block
        found = (self.plan.counts[..., 1].long() * blocks.slots + text)[:, tile]
        for first, pairs in self.gathered:
            part = found[:, first : first + pairs.shape[1]]
            part += pairs[:, : part.shape[1]] * blocks.slots
        return found
