"""What the GPU kernels read: keys cube by cube, and partial results of gathered pairs.

Torch only, no kernel. Cubes are padded to the same number of key slots, a whole number of blocks,
so that a block index says where its keys stand. Axes: H heads, W groups of 32 rows, C cubes, M
slots of a cube, X text keys, P gathered pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import pad

from adaspark.kernels.gpu.thresholds import MEASURED, Thresholds, TileShape
from adaspark.method.layout import CubeLayout
from adaspark.method.token_positions import TokenPositions

BlockCosts = tuple[tuple[int, float], ...]
NO_TOKEN = 2**31 - 1
"""Stands for the token of a padded slot: after every query."""


@dataclass(frozen=True, eq=False)
class KeyBlocks:
    """The keys of a sequence in the order of the kernels: cube by cube, then text.

    `positions` int64 [C * M + X] in the sequence (0 if padded), `tokens` int32 [C * M] the video
    token of each slot, NO_TOKEN if padded; `first_tokens` int32 [C] of each cube. `block` slots
    are computed at a time; `slots` is M; `ragged` says whether any slot is padded.
    """

    positions: Tensor
    tokens: Tensor
    first_tokens: Tensor
    cubes: int
    block: int
    slots: int
    ragged: bool

    @classmethod
    def of(cls, sequence: TokenPositions, costs: BlockCosts = MEASURED.block_costs) -> KeyBlocks:
        """Made once for a sequence, whatever the number of layers."""
        known = _known.setdefault(sequence, {})
        if costs not in known:
            video = cls.of_video(sequence, costs)
            positions = torch.cat([video.positions, sequence.text_positions])
            known[costs] = replace(video, positions=positions)
        return known[costs]

    @classmethod
    def of_video(
        cls, sequence: TokenPositions, costs: BlockCosts = MEASURED.block_costs
    ) -> KeyBlocks:
        """Without the text keys: made once for all continuations of a prompt."""
        known = _known_video.setdefault(sequence.layout, {})
        source, found = known.get(costs, (None, None))
        if found is None or source is not sequence.video_positions:
            source, found = sequence.video_positions, cls._build(sequence, costs)
            known[costs] = source, found
        return found

    @classmethod
    def _build(cls, sequence: TokenPositions, costs: BlockCosts) -> KeyBlocks:
        layout = sequence.layout
        sizes = layout.host_sizes
        smallest, largest = (int(sizes.min()), int(sizes.max())) if layout.cubes else (1, 1)
        block = _block_for(largest, dict(costs))
        slots = ceil(largest / block) * block
        table = pad(layout.tokens_from_cube, (0, slots - largest), value=-1).flatten()
        video = sequence.video_positions
        places = video[table.clamp_min(0)] if layout.tokens else table
        places = places.where(table >= 0, 0)
        return cls(
            positions=places,
            tokens=table.where(table >= 0, NO_TOKEN).int(),
            first_tokens=layout.first_token_from_cube.int() if layout.cubes else table.int(),
            cubes=layout.cubes,
            block=block,
            slots=slots,
            ragged=smallest < slots,
        )

    @cached_property
    def copied_positions(self) -> Tensor:
        """`positions`, and as many places more as make a whole number of blocks."""
        return pad(self.positions, (0, -len(self.positions) % self.block))

    @property
    def text_start(self) -> int:
        """Where the text keys begin."""
        return self.cubes * self.slots


_known: WeakKeyDictionary[TokenPositions, dict[BlockCosts, KeyBlocks]] = WeakKeyDictionary()
_known_video: WeakKeyDictionary[CubeLayout, dict[BlockCosts, tuple[Tensor, KeyBlocks]]] = (
    WeakKeyDictionary()
)


def _block_for(slots: int, costs: dict[int, float]) -> int:
    """The block size in which a cube of `slots` keys costs least."""
    return min(costs, key=lambda block: ceil(slots / block) * block * costs[block])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Partial results of gathered (row, cube) pairs, the pairs of a row together.

    `results` [P, D] in the dtype of the queries, `log_sums` fp32 [P] (base 2); `first` and `count`
    int32 [H, rows] say where those of a row are.
    """

    results: Tensor
    log_sums: Tensor
    first: Tensor
    count: Tensor


@dataclass(frozen=True, eq=False)
class Source:
    """Keys and values [G, rows, D]: by position in the sequence (`gathered`), or by slot."""

    keys: Tensor
    values: Tensor
    gathered: bool

    @classmethod
    def of(cls, keys: Tensor, values: Tensor, blocks: KeyBlocks, *, copied: bool) -> Source:
        """As they are, or copied in the order of the slots."""
        if not copied:
            return cls(keys, values, True)
        at = blocks.copied_positions
        return cls(keys.index_select(1, at), values.index_select(1, at), False)


def shape_for(
    dtype: torch.dtype, rows: int, thresholds: Thresholds = MEASURED, *, width: int = 128
) -> TileShape:
    """Tiles of 128 rows, if there are as many and 16-bit numbers leave room for them.

    Heads of 128 and 16-bit numbers take 99 KB of shared memory, twice that on Hopper: every GPU
    since compute capability 8.0 has it. Wider heads take smaller tiles, one stage at a time.
    """
    if thresholds.tile is not None:
        return thresholds.tile
    if dtype == torch.float32:  # multiplied without matrix units, to be as precise as PyTorch
        return TileShape(32, 8, 1, 1)
    if width > 128:
        return TileShape(32 if rows <= 32 else 64, 8, 1, 1)
    if rows <= 64:
        return TileShape(32 if rows <= 32 else 64, 4, 2, 1)
    return TileShape(128, 8, 2, 2)
