"""What the GPU kernels are handed: keys cube by cube, and queries as flat rows in tiles.

Torch only, no kernel. Cubes are padded to the same number of key slots, a whole number of blocks,
so that a block index says where its keys stand. Axes: C cubes, M slots of a cube, X text keys,
R rows, T tiles of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from adaspark.kernels.gpu_thresholds import MEASURED, Thresholds, TileShape
from adaspark.layout import CubeLayout
from adaspark.sequence import Segment, SequenceMap

BlockCosts = tuple[tuple[int, float], ...]
WORD = 32
"""Rows whose bits of the selected-block mask share one machine word."""
NO_TOKEN = 2**31 - 1
"""Stands for the token of a padded slot: after every query."""


@dataclass(frozen=True, eq=False)
class KeyBlocks:
    """The keys of a sequence in the order of the kernels: cube by cube, then text.

    `positions` int64 [C * M + X] in the sequence (0 where padded), `tokens` int32 [C * M] the video
    token of each slot, NO_TOKEN where padded; `first_tokens` int32 [C] of each cube. `block` slots
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
    def of(cls, sequence: SequenceMap, costs: BlockCosts = MEASURED.block_costs) -> KeyBlocks:
        """Made once for a sequence, whatever the number of layers."""
        known = _known.setdefault(sequence, {})
        if costs not in known:
            video = cls.of_video(sequence, costs)
            positions = torch.cat([video.positions, sequence.text_positions])
            known[costs] = replace(video, positions=positions)
        return known[costs]

    @classmethod
    def of_video(cls, sequence: SequenceMap, costs: BlockCosts = MEASURED.block_costs) -> KeyBlocks:
        """Without the text keys: made once for all continuations of a prompt."""
        known = _known_video.setdefault(sequence.layout, {})
        source, found = known.get(costs, (None, None))
        if found is None or source is not sequence.video_positions:
            source, found = sequence.video_positions, cls._build(sequence, costs)
            known[costs] = source, found
        return found

    @classmethod
    def _build(cls, sequence: SequenceMap, costs: BlockCosts) -> KeyBlocks:
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

    @property
    def text_start(self) -> int:
        """Where the text keys begin."""
        return self.cubes * self.slots


_known: WeakKeyDictionary[SequenceMap, dict[BlockCosts, KeyBlocks]] = WeakKeyDictionary()
_known_video: WeakKeyDictionary[CubeLayout, dict[BlockCosts, tuple[Tensor, KeyBlocks]]] = (
    WeakKeyDictionary()
)


def _block_for(slots: int, costs: dict[int, float]) -> int:
    """The block size in which a cube of `slots` keys costs least."""
    return min(costs, key=lambda block: ceil(slots / block) * block * costs[block])


@dataclass(frozen=True, eq=False)
class Rows:
    """Queries of consecutive segments, one row each.

    `positions` int64 [R] in the sequence; int32 [R] each: `places` among the queries that were
    given, and the segments' `video_before`, `text_before` and `own_cube` of every row;
    `whole_cubes` and `text_seen` are its segment's `partial_cube` and `end_text`. `end_cube` is the
    most that any of them may choose from.
    """

    positions: Tensor
    places: Tensor
    video_before: Tensor
    text_before: Tensor
    own_cube: Tensor
    whole_cubes: Tensor
    text_seen: Tensor
    end_cube: int
    segments: Sequence[Segment]

    @classmethod
    def of(cls, segments: Sequence[Segment], start: int) -> Rows:
        """The rows of `segments`, whose queries begin at `start` in the sequence."""
        positions = torch.cat([s.positions for s in segments])

        def spread(values: Sequence[int]) -> Tensor:
            of_rows = np.repeat(np.asarray(values, np.int32), [len(s.positions) for s in segments])
            return torch.from_numpy(of_rows).to(positions.device)

        def joined(name: str) -> Tensor:
            return torch.cat([getattr(s, name) for s in segments]).int()

        return cls(
            positions=positions,
            places=(positions - start).int(),
            video_before=joined("video_before"),
            text_before=joined("text_before"),
            own_cube=joined("own_cube"),
            whole_cubes=spread([s.partial_cube for s in segments]),
            text_seen=spread([s.end_text for s in segments]),
            end_cube=max(s.end_cube for s in segments),
            segments=segments,
        )

    @property
    def count(self) -> int:
        """R."""
        return len(self.places)

    @property
    def words(self) -> int:
        """Groups of rows whose bits share a word."""
        return ceil(self.count / WORD)

    def grouped_heads(self, share: int, queries: int) -> Rows:
        """The `share` heads of a KV group as rows of one head, with `queries` places a head."""
        if share == 1:
            return self
        names = ("positions", "video_before", "text_before", "own_cube", "whole_cubes", "text_seen")
        repeated = {name: getattr(self, name).repeat(share) for name in names}
        places = [self.places + head * queries for head in range(share)]
        return replace(self, places=torch.cat(places), **repeated)

    @cached_property
    def _end_cubes(self) -> list[int]:
        """By word of rows: the most cubes that any of its rows may choose from."""
        ends = [segment.end_cube for segment in self.segments]
        sizes = [len(segment.positions) for segment in self.segments]
        by_row = np.tile(np.repeat(ends, sizes), self.count // sum(sizes))
        words = np.maximum.reduceat(by_row, range(0, self.count, WORD))
        return [int(cubes) for cubes in words]

    @cached_property
    def _parted(self) -> dict[tuple[int, int], list[tuple[slice, int]]]:
        return {}

    def parts(self, *, max_scores: int, merged_cubes: int) -> list[tuple[slice, int]]:
        """Runs of rows, whole words each, and the cubes that they may choose from.

        Rows times cubes are `max_scores` at most, though a single word may be more. Beyond
        `merged_cubes` a run does not mix rows that see up to twice as much as others: widths are
        powers of two.
        """
        key = max_scores, merged_cubes
        if key not in self._parted:
            found: list[tuple[slice, int]] = []
            for word, cubes in enumerate(self._end_cubes):
                start, stop = word * WORD, min((word + 1) * WORD, self.count)
                run, width = found[-1] if found else (slice(0, 0), 0)
                few = max(cubes, width) <= merged_cubes
                alike = few or (cubes - 1).bit_length() == (width - 1).bit_length()
                if found and alike and (stop - run.start) * max(width, cubes) <= max_scores:
                    found[-1] = (slice(run.start, stop), max(width, cubes))
                else:
                    found.append((slice(start, stop), cubes))
            self._parted[key] = found
        return self._parted[key]

    @cached_property
    def partly_visible(self) -> Tensor:
        """int32 [R, most]: tokens that each row sees of the cubes from its `whole_cubes` on."""
        spans = [segment.end_cube - segment.partial_cube for segment in self.segments]
        parts = [
            pad(segment.partly_visible_tokens, (0, max(spans) - span))
            for segment, span in zip(self.segments, spans, strict=True)
        ]
        return torch.cat(parts).int()

    @cached_property
    def _tiled(self) -> dict[int, tuple[Tensor, Tensor]]:
        return {}

    def tiles(self, size: int) -> tuple[Tensor, Tensor]:
        """int32 [T] each, of tiles of `size` rows: cubes that all rows see whole, text keys."""
        if size not in self._tiled:
            short = -self.count % size
            whole = pad(self.whole_cubes, (0, short), value=self.end_cube).view(-1, size)
            text = pad(self.text_seen, (0, short)).view(-1, size)
            self._tiled[size] = whole.amin(1), text.amax(1)
        return self._tiled[size]


def pack(selected: Tensor) -> Tensor:
    """int32 [H, W, C]: bit i of word w is row 32 w + i of `selected`, bool [H, R, C]."""
    selected = pad(selected, (0, 0, 0, -selected.shape[1] % WORD)).unflatten(1, (-1, WORD))
    bit = torch.arange(WORD, dtype=torch.int32, device=selected.device)
    return (selected.int() << bit[:, None]).sum(2, dtype=torch.int32)


def unpack(words: Tensor, rows: Tensor) -> Tensor:
    """bool [H, n, C]: the cubes that `rows`, int64 [n], selected, from `words` as from `pack`."""
    return ((words[:, rows // WORD] >> (rows % WORD).int()[:, None]) & 1).bool()


def chunks(segments: Sequence[Segment], *, heads: int, max_bytes: int) -> list[list[Segment]]:
    """Consecutive segments whose masks, a bit a (head, row, cube), take `max_bytes` at most.

    A segment that is larger alone still makes a chunk.
    """
    found: list[list[Segment]] = []
    rows = cubes = 0
    for segment in segments:
        rows, cubes = rows + len(segment.positions), max(cubes, segment.end_cube)
        if not found or heads * rows * cubes / 8 > max_bytes:
            found.append([])
            rows, cubes = len(segment.positions), segment.end_cube
        found[-1].append(segment)
    return found


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
        at = pad(blocks.positions, (0, -len(blocks.positions) % blocks.block))
        return cls(keys.index_select(1, at), values.index_select(1, at), False)


def shape_for(dtype: torch.dtype, rows: int, thresholds: Thresholds = MEASURED) -> TileShape:
    """Tiles of 128 rows where there are as many, and where 16-bit numbers leave room for them.

    Heads of 128 and 16-bit numbers take 99 KB of shared memory, twice that on Hopper: every GPU
    since compute capability 8.0 has it.
    """
    if thresholds.tile is not None:
        return thresholds.tile
    if dtype == torch.float32:  # multiplied without matrix units, to be as precise as PyTorch
        return TileShape(32, 8, 1, 1)
    if rows <= 64:
        return TileShape(32 if rows <= 32 else 64, 4, 2, 1)
    return TileShape(128, 8, 2, 2)
