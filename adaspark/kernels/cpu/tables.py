"""A sequence as the compiled kernels read it: tiles of queries, panels of keys, choices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.kernels.cpu.panels import first_tokens, panels_of
from adaspark.kernels.cpu.state import (
    EXECUTED,
    READ,
    TILE_ROWS,
    Choices,
    Floats,
    Ints,
    Tables,
)
from adaspark.method.segment import Segment
from adaspark.method.sequence import SequenceMap
from adaspark.method.tally import Tally, video_queries


@dataclass(frozen=True)
class CpuPlan:
    """What is computed together: segments, and their tables for H query heads and G KV heads.

    The choice of segment i is [H, n, C], `shapes[i]`, and stands at `places[i]` of flat memory; its
    tiles begin at `first_tiles[i]`. Both lists end with the totals. A tile has up to
    `tile_queries`; `heads` is H.
    """

    segments: list[Segment]
    tables: Tables
    shapes: list[tuple[int, int, int]]
    places: list[int]
    first_tiles: list[int]
    tile_queries: int
    heads: int

    @classmethod
    def build(cls, sequence: SequenceMap, start: int, heads: int, groups: int) -> CpuPlan:
        """For the queries at positions >= `start`."""
        segments = sequence.segments(start)
        counts = [len(segment.positions) for segment in segments]
        shapes = [(heads, n, s.end_cube) for n, s in zip(counts, segments, strict=True)]
        places = [0, *accumulate(h * n * c for h, n, c in shapes)]
        panels, pieces, positions, ranks = panels_of(
            sequence.layout, sequence.video_positions, sequence.text_positions
        )
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
            first_tokens=first_tokens(sequence.layout),
        )
        first_tiles = [0, *accumulate(len(t) for t in tiles)]
        return cls(segments, tables, shapes, places, first_tiles, queries, heads)

    @cached_property
    def videos(self) -> int:
        """How many segments are of video: they stand before those of text."""
        return sum(not segment.is_text for segment in self.segments)

    @cached_property
    def text(self) -> CpuPlan:
        """The segments of text alone, whose choices begin the memory."""
        return self._part(self.videos, len(self.segments))

    @cached_property
    def merged(self) -> CpuPlan:
        """The same, where only the choices of text are written by segment: the video's tiles are
        full, whatever its slabs, which alone may have few queries. A row hides what it may not see
        of the cubes from its tile's first partial one on, that of its first query.
        """
        if not self.videos:
            return self
        tiles, text = self.tables.tiles, self.text.tables.tiles
        by_segment = tiles[self.first_tiles[: self.videos]]
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

    @cached_property
    def _known_parts(self) -> dict[tuple[int, bool], list[CpuPlan]]:
        return {}

    def parts(self, max_bytes: int, *, tallied: bool = False) -> list[CpuPlan]:
        """Runs of segments whose choices take `max_bytes` together, or are single; of `tallied`
        ones the video's count by their sums.
        """
        key = max_bytes, tallied
        if key not in self._known_parts:
            self._known_parts[key] = self._parts(max_bytes, tallied)
        return self._known_parts[key]

    def _parts(self, max_bytes: int, tallied: bool) -> list[CpuPlan]:
        parts, first = [], 0
        for i in range(1, len(self.segments)):
            if self._choice_bytes(first, i + 1, tallied) > max_bytes:
                parts.append(self._part(first, i))
                first = i
        return [*parts, self._part(first, len(self.segments))]

    def _choice_bytes(self, first: int, end: int, tallied: bool) -> int:
        end_video = min(end, self.videos)
        if not tallied or first >= end_video:
            return 5 * (self.places[end] - self.places[first])
        cubes = self.segments[end_video - 1].end_cube
        sums = 4 * (cubes - self.segments[first].partial_cube) * cubes
        return sums + 5 * (self.places[end] - self.places[end_video])

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
            self.heads,
        )

    def memory(self) -> Choices:
        """Where the choices of all segments can be written."""
        return Choices(
            np.empty(self.places[-1], np.float32),
            np.empty(self.places[-1], np.uint8),
            np.empty((self.heads, len(self.tables.queries)), np.float32),
        )

    def sums(self) -> Choices:
        """Where the sums of all segments of video can be written, and the choices of text."""
        first, cubes = self.segments[0].partial_cube, self.segments[self.videos - 1].end_cube
        return self.text.memory()._replace(
            attended=np.zeros((cubes - first, cubes), np.int32),
            locks=np.zeros(cubes - first, np.int32),
        )

    def tally(self, sums: Choices, pairs: Ints) -> Tally:
        """What was written to the sums, and the pairs of the tiles [t, G, 2]."""
        first, text, asked = int(self.tables.tiles[0, 0]), self.text, self._video_queries
        entropies = torch.from_numpy(sums.entropy[:, first : first + asked])
        if 2 * asked < sums.entropy.shape[1]:  # a view would hold those of all other parts
            entropies = entropies.clone()
        return Tally(
            self.segments,
            self.segments[0].partial_cube,
            torch.from_numpy(sums.attended),
            entropies,
            lambda: torch.from_numpy(pairs.sum((0, 1))[[READ, EXECUTED]]),
            WrittenWords(text, sums.probs, sums.kept) if text.segments else None,
        )

    @cached_property
    def _video_queries(self) -> int:
        return video_queries(self.segments)

    def by_segment(self, probs: Floats, kept: NDArray[np.uint8]) -> Iterator[tuple[Tensor, Tensor]]:
        """Flat probabilities and choices as fp32 and bool [H, n, C] of each segment."""
        for ends, shape in zip(pairwise(self.places), self.shapes, strict=True):
            here = slice(*ends)
            chosen = torch.from_numpy(kept[here]).view(torch.bool)
            yield torch.from_numpy(probs[here]).view(shape), chosen.view(shape)

    def entropies(self, memory: Choices) -> Iterator[Tensor]:
        """Of the choices of each segment, fp32 [H, n]. A view would hold those of all."""
        every = torch.from_numpy(memory.entropy)
        for tile, (_, n, _) in zip(self.first_tiles, self.shapes, strict=False):
            query = int(self.tables.tiles[tile, 6])
            yield every[:, query : query + n].clone()

    def executed_by_segment(self, pairs: Ints) -> list[int]:
        """The products of each segment, from the pairs of the tiles [t, G, 2]."""
        executed = pairs[..., EXECUTED]
        return [int(executed[first:end].sum()) for first, end in pairwise(self.first_tiles)]


@dataclass(frozen=True, eq=False)
class WrittenWords:
    """What the segments of text chose, as the kernels wrote it: flat, those of `plan` alone."""

    plan: CpuPlan
    probs: Floats
    kept: NDArray[np.uint8]

    @property
    def segments(self) -> Sequence[Segment]:
        """Those of text."""
        return self.plan.segments

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def nbytes(self) -> int:
        """Of what was written."""
        return self.probs.nbytes + self.kept.nbytes

    def found(self, layers: Sequence[WrittenWords]) -> Iterator[tuple[Segment, Tensor, Tensor]]:
        """Each segment with probabilities fp32 and choices bool [L, H, n, C] in these layers."""
        written = zip(*(of.plan.by_segment(of.probs, of.kept) for of in layers), strict=True)
        for segment, tables in zip(self.segments, written, strict=True):
            probs, kept = zip(*tables, strict=True)
            yield segment, torch.stack(probs), torch.stack(kept)


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
