"""Which cubes each row of a packed sequence may choose: the sparse side of `packing.Geometry`.

Axes: N tokens = X template + V video + R text rows of the blocks, C cubes, n rows of a chunk, e
keys that a chunk may see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from adaspark.method.config import Cube
from adaspark.method.layout import CubeLayout
from adaspark.method.sequence import SequenceMap
from adaspark.mini.packed.packing import Geometry

CHUNK_ROWS = {"cuda": 1024, "cpu": 128}
"""Rows of a chunk, so that its working set fits in the processor's cache."""
CHUNK_PAIRS = 2**28
"""(clip, head, row, key) entries of a chunk: bounds its masks to about a gigabyte."""


def cube_layout(grid: Sequence[int], cube: Cube, runs: int | None = None) -> CubeLayout:
    """Cubes of a (T, H, W) grid or, if `runs` is given, runs of `runs` tokens in raster order.

    Runs ignore rows and slices: the baseline of equal volume that ignores the video's shape.
    """
    if runs is None:
        return CubeLayout([grid], cube)
    return CubeLayout([(1, 1, grid[0] * grid[1] * grid[2])], (1, 1, runs))


@dataclass(frozen=True)
class Chunk:
    """Rows [start, end) of the sequence; they see keys before `keys` and cubes before `cubes`."""

    start: int
    end: int
    keys: int
    cubes: int


@dataclass(frozen=True)
class PackedGeometry:
    """A packed sequence with its cubes. `layout` is on the geometry's device."""

    shape: Geometry
    layout: CubeLayout
    block_tokens: int

    @classmethod
    def build(cls, shape: Geometry, layout: CubeLayout, block_tokens: int) -> PackedGeometry:
        """`layout` of the geometry's video, on any device."""
        device = shape.prefix.device
        there = CubeLayout(layout.grids, layout.cube, device=device)
        return cls(shape, there, block_tokens)

    @property
    def tokens(self) -> int:
        """N."""
        return self.shape.positions.shape[-1]

    @property
    def video(self) -> slice:
        """The rows of the video."""
        prefix = self.shape.prefix_tokens
        return slice(prefix - self.layout.tokens, prefix)

    @cached_property
    def video_before(self) -> Tensor:
        """int64 [N]: how many video tokens each row may see, itself counted."""
        rows = torch.arange(self.tokens, device=self.layout.device)
        seen: Tensor = (rows + 1 - self.video.start).clamp(0, self.layout.tokens)
        return seen

    @cached_property
    def cube_from_row(self) -> Tensor:
        """int64 [N]: the cube of each token, -1 for text."""
        cubes: Tensor = torch.full((self.tokens,), -1, device=self.layout.device)
        cubes[self.video] = self.layout.cube_from_token
        return cubes

    @cached_property
    def place_in_prompt(self) -> Tensor:
        """int64 [N]: where each token stands in the prompt of its own question alone."""
        rows = torch.arange(self.tokens, device=self.layout.device)
        past = (rows - self.shape.prefix_tokens).clamp_min(0)
        return rows - past // self.block_tokens * self.block_tokens

    @cached_property
    def candidates_of_row(self) -> Tensor:
        """int64 [N]: how many candidate cubes each row has."""
        firsts = self.layout.first_token_from_cube.sort().values
        begun: Tensor = torch.searchsorted(firsts, self.video_before)
        return begun - (self.cube_from_row >= 0).long()

    @cached_property
    def visible_of_row(self) -> Tensor:
        """int64 [N]: how many keys each row may see, itself counted."""
        rows = torch.arange(self.shape.prefix_tokens, device=self.layout.device)
        return torch.cat([rows + 1, self.shape.text_mask.sum(-1)])

    @cached_property
    def prefix_sequence(self) -> SequenceMap:
        """Template and video as the product's attention knows them."""
        video, device = self.video, self.layout.device
        return SequenceMap(
            self.layout,
            torch.arange(video.start, video.stop, device=device),
            torch.arange(video.start, device=device),
            video.stop,
        )

    def chunks(self, clips: int, heads: int) -> list[Chunk]:
        """The rows in pieces that fit in memory; no piece mixes prefix and blocks."""
        key = clips * heads
        if key not in self._chunks:
            self._chunks[key] = self._cut(key)
        return self._chunks[key]

    @cached_property
    def _chunks(self) -> dict[int, list[Chunk]]:
        return {}

    def _cut(self, copies: int) -> list[Chunk]:
        most = CHUNK_ROWS[self.layout.device.type]
        rows = max(1, min(most, CHUNK_PAIRS // (copies * self.tokens)))
        prefix = self.shape.prefix_tokens
        return [
            self.chunk(start, min(start + rows, last))
            for first, last in ((0, prefix), (prefix, self.tokens))
            for start in range(first, last, rows)
        ]

    def chunk(self, start: int, end: int) -> Chunk:
        """Rows [start, end), of the prefix or of the blocks."""
        keys = end if end <= self.shape.prefix_tokens else self.tokens
        begun = (self._first_tokens < keys - self.video.start).nonzero()
        return Chunk(start, end, keys, int(begun.max()) + 1 if len(begun) else 0)

    @cached_property
    def _first_tokens(self) -> Tensor:
        return self.layout.first_token_from_cube.cpu()

    def candidates(self, chunk: Chunk) -> Tensor:
        """bool [n, C of the chunk]: cubes with a visible key, but for each row's own."""
        rows = slice(chunk.start, chunk.end)
        begun = self.layout.first_token_from_cube[: chunk.cubes] < self.video_before[rows, None]
        cubes = torch.arange(chunk.cubes, device=self.layout.device)
        return begun & (cubes != self.cube_from_row[rows, None])

    def own(self, chunk: Chunk) -> Tensor:
        """bool [n, C of the chunk]: each row's own cube."""
        cubes = torch.arange(chunk.cubes, device=self.layout.device)
        return cubes == self.cube_from_row[chunk.start : chunk.end, None]

    def visible(self, chunk: Chunk) -> Tensor:
        """bool [n, e]: the causal mask of the chunk's rows."""
        if chunk.start >= self.shape.prefix_tokens:
            past = self.shape.prefix_tokens
            return self.shape.text_mask[chunk.start - past : chunk.end - past]
        keys = torch.arange(chunk.keys, device=self.layout.device)
        return keys <= keys[chunk.start : chunk.end, None]

    def cube_from_key(self, chunk: Chunk) -> Tensor:
        """int64 [e]: the cube of each key; text is one past the chunk's last cube."""
        cubes = self.cube_from_row[: chunk.keys]
        return torch.where(cubes < 0, chunk.cubes, cubes)
