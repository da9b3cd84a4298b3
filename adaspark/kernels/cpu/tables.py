"""A sequence as the compiled kernels read it: tiles of queries, panels of keys, choices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from adaspark.kernels.cpu.simd import LANES
from adaspark.kernels.cpu.state import (
    EXECUTED,
    PANEL,
    READ,
    TILE_ROWS,
    Choices,
    Ints,
    Tables,
)
from adaspark.method.segment import Segment
from adaspark.method.sequence import SequenceMap
from adaspark.method.tally import Tally


@dataclass(frozen=True)
class CpuPlan:
    """What is computed together: segments, and their tables for H query heads and G KV heads.

    The choice of segment i is [H, n, C], `shapes[i]`, and stands at `places[i]` of flat memory; its
    tiles begin at `first_tiles[i]`. Both lists end with the totals. A tile has up to
    `tile_queries`.
    """

    segments: list[Segment]
    tables: Tables
    shapes: list[tuple[int, int, int]]
    places: list[int]
    first_tiles: list[int]
    tile_queries: int

    @classmethod
    def build(cls, sequence: SequenceMap, start: int, heads: int, groups: int) -> CpuPlan:
        """For the queries at positions >= `start`."""
        segments = sequence.segments(start)
        counts = [len(segment.positions) for segment in segments]
        shapes = [(heads, n, s.end_cube) for n, s in zip(counts, segments, strict=True)]
        places = [0, *accumulate(h * n * c for h, n, c in shapes)]
        panels, pieces, positions, ranks = _panels(sequence)
        queries = max(1, TILE_ROWS * groups // heads)
        tiles = [
            _tiles(segment, first, place, queries, panels)
            for segment, first, place in zip(
                segments, accumulate(counts, initial=0), places, strict=False
            )
        ]
        tables = Tables(
            queries=_queries(segments, start),
            tiles=np.concatenate(tiles),
            panels=panels,
            pieces=pieces,
            positions=positions,
            ranks=ranks,
            first_tokens=_first_tokens(sequence),
        )
        first_tiles = [0, *accumulate(len(t) for t in tiles)]
        return cls(segments, tables, shapes, places, first_tiles, queries)

    @property
    def heads(self) -> int:
        """H."""
        return self.shapes[0][0]

    @cached_property
    def merged(self) -> CpuPlan:
        """The same, where choices are not written by segment: the video's tiles are full, whatever
        its slabs, which alone may have few queries. A row hides what it may not see of the cubes
        from its tile's first partial one on, that of its first query.
        """
        tiles = self.tables.tiles
        video = sum(not segment.is_text for segment in self.segments)
        by_segment, text = tiles[self.first_tiles[:video]], tiles[self.first_tiles[video] :]
        if not video:
            return self
        end = by_segment[-1, 6] + by_segment[-1, 7]
        starts = np.arange(by_segment[0, 0], end, self.tile_queries)
        ends = np.append(starts[1:], end)
        first, last = (
            by_segment[np.searchsorted(by_segment[:, 0], query, side="right") - 1]
            for query in (starts, ends - 1)
        )
        full = np.zeros((len(starts), tiles.shape[1]), np.int64)
        full[:, 0], full[:, 1], full[:, 2], full[:, 3:6] = starts, ends, first[:, 2], last[:, 3:6]
        tables = self.tables._replace(tiles=np.concatenate([full, text]))
        return replace(self, tables=tables, first_tiles=[])

    @property
    def is_text(self) -> bool:
        """Whether the segments are text; those of video stand before them."""
        return self.segments[0].is_text

    @cached_property
    def _known_parts(self) -> dict[tuple[int, bool], list[CpuPlan]]:
        return {}

    def parts(self, max_bytes: int, *, tallied: bool = False) -> list[CpuPlan]:
        """Runs of segments whose choices take `max_bytes` together, or are single. Of `tallied`
        ones the video's segments, which are apart from text, count by their sums.
        """
        key = max_bytes, tallied
        if key not in self._known_parts:
            self._known_parts[key] = self._parts(max_bytes, tallied)
        return self._known_parts[key]

    def _parts(self, max_bytes: int, tallied: bool) -> list[CpuPlan]:
        parts, first = [], 0
        for i in range(1, len(self.segments)):
            is_apart = tallied and self.segments[i].is_text != self.segments[first].is_text
            if is_apart or self._choice_bytes(first, i + 1, tallied) > max_bytes:
                parts.append(self._part(first, i))
                first = i
        return [*parts, self._part(first, len(self.segments))]

    def _choice_bytes(self, first: int, end: int, tallied: bool) -> int:
        if not tallied or self.segments[first].is_text:
            return 5 * (self.places[end] - self.places[first])
        cubes = self.segments[end - 1].end_cube
        return 4 * (cubes - self.segments[first].partial_cube) * cubes

    def _part(self, first: int, end: int) -> CpuPlan:
        tiles = self.tables.tiles[self.first_tiles[first] : self.first_tiles[end]].copy()
        tiles[:, 8] -= self.places[first]
        return CpuPlan(
            self.segments[first:end],
            self.tables._replace(tiles=tiles),
            self.shapes[first:end],
            [place - self.places[first] for place in self.places[first : end + 1]],
            [tile - self.first_tiles[first] for tile in self.first_tiles[first : end + 1]],
            self.tile_queries,
        )

    def memory(self) -> Choices:
        """Where the choices of all segments can be written."""
        return Choices(
            np.empty(self.places[-1], np.float32),
            np.empty(self.places[-1], np.uint8),
            np.empty((len(self.tables.queries), self.heads), np.float32),
        )

    def sums(self) -> Choices:
        """Where the sums of all segments, which are video, can be written."""
        cubes = self.segments[-1].end_cube
        return Choices(
            entropy=np.empty((len(self.tables.queries), self.heads), np.float32),
            attended=np.zeros((cubes - self.segments[0].partial_cube, cubes), np.int32),
        )

    def tally(self, sums: Choices, pairs: Ints) -> Tally:
        """What was written to the sums, and the pairs of the tiles [t, G, 2]."""
        first = int(self.tables.tiles[0, 0])
        queries = slice(first, first + sum(len(segment.positions) for segment in self.segments))
        counted = torch.from_numpy(pairs.sum((0, 1))[[READ, EXECUTED]])
        return Tally(
            self.segments,
            self.segments[0].partial_cube,
            torch.from_numpy(sums.attended),
            torch.from_numpy(sums.entropy[queries]).T,
            lambda: counted,
        )

    def choices(self, memory: Choices) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """What was written, by segment: probs fp32 and kept bool, both [H, n, C], and the entropy
        of the former, fp32 [H, n].
        """
        probs, kept, entropy = map(torch.from_numpy, memory[:3])
        for i, shape in enumerate(self.shapes):
            here = slice(self.places[i], self.places[i + 1])
            query = int(self.tables.tiles[self.first_tiles[i], 6])
            # A view would hold the table of all queries.
            mine = entropy[query : query + shape[1]].T.clone()
            yield probs[here].view(shape), kept[here].view(shape).view(torch.bool), mine

    def executed_by_segment(self, pairs: Ints) -> list[int]:
        """The products of each segment, from the pairs of the tiles [t, G, 2]."""
        executed = pairs[..., EXECUTED]
        return [int(executed[first:end].sum()) for first, end in pairwise(self.first_tiles)]


def _first_tokens(sequence: SequenceMap) -> Ints:
    cubes = sequence.layout.cubes
    return sequence.layout.first_token_from_cube.numpy().copy() if cubes else np.zeros(0, np.int64)


def _queries(segments: list[Segment], start: int) -> Ints:
    columns = [
        torch.cat([segment.positions - start for segment in segments]),
        torch.cat([segment.video_before for segment in segments]),
        torch.cat([segment.text_before for segment in segments]),
        torch.cat([segment.own_cube for segment in segments]),
    ]
    return torch.stack(columns, 1).numpy()


def _tiles(segment: Segment, first: int, place: int, queries: int, panels: Ints) -> Ints:
    """The tiles of a segment whose first query is `first` and whose choice stands at `place`."""
    count = len(segment.positions)
    tiles = np.empty((-(-count // queries), 9), np.int64)
    tiles[:, 0] = first + queries * np.arange(len(tiles))
    tiles[:, 1] = np.minimum(tiles[:, 0] + queries, first + count)
    end_panel = np.searchsorted(panels[:, 5], segment.end_cube)
    tiles[:, 2:5] = segment.partial_cube, segment.end_cube, end_panel
    tiles[:, 5:] = segment.end_text, first, count, place
    return tiles


def _panels(sequence: SequenceMap) -> tuple[Ints, Ints, Ints, Ints]:
    """The panels, their pieces, and the positions and ranks of all slots; the text is cube C.

    Pieces of one slab share a panel as long as one register holds it: a row that attends to
    one of them computes all.
    """
    layout, texts = sequence.layout, len(sequence.text_positions)
    sizes = [*layout.cube_sizes.tolist(), texts]
    fresh = {slab.first_cube for slab in layout.slabs} | {layout.cubes}
    panels: list[list[int]] = []
    pieces: list[tuple[int, int, int]] = []
    slot = 0
    for cube, size in enumerate(sizes):
        for first in range(0, size, PANEL):
            keys = min(PANEL, size - first)
            if not panels or cube in fresh or panels[-1][1] + keys > LANES:
                panels.append([slot, 0, 0, len(pieces), 0, cube])
            panel = panels[-1]
            pieces.append((panel[0] + panel[1], keys, cube))
            panel[1] += keys
            panel[2] = -(-panel[1] // LANES) * LANES
            panel[4] = len(pieces)
            slot = panel[0] + panel[2]
    order = layout.cube_from_token.argsort(stable=True)
    positions = torch.cat([sequence.video_positions[order], sequence.text_positions])
    ranks = torch.cat([order, torch.arange(texts)])
    taken = np.concatenate([np.arange(first, first + keys) for first, keys, _ in pieces])
    by_slot = np.zeros((2, slot), np.int64)
    by_slot[:, taken] = positions.numpy(), ranks.numpy()
    return np.array(panels, np.int64), np.array(pieces, np.int64), by_slot[0], by_slot[1]
