"""Selections that the kernels are timed on: planted, or what queries choose.

Planted ones have a set density and inflation. Inflation is what tiles pay for rows that disagree:
cubes that a tile of TILE rows computes over cubes that a row of it selected. Real neighbours
overlap more than planted ones, whose selections are drawn independently. Axes: H heads, R rows, W
groups of 32 rows, C cubes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from adaspark.kernels.gpu import attention as gpu_attention
from adaspark.kernels.gpu.bits import WORD, pack
from adaspark.kernels.gpu.rows import Rows, chunks
from adaspark.kernels.gpu.tables import KeyBlocks
from adaspark.method.config import AdaSparkConfig
from adaspark.method.sequence import SequenceMap

SIDE = 16  # merged tokens a row and a column: 448 x 448 pixels
TEXT = 64  # tokens before the video, and as many after it
TILE = 128
CUBES = {64: (4, 4, 4), 128: (4, 4, 8), 256: (4, 8, 8)}


def video_sequence(tokens: int, cube_tokens: int, device: torch.device) -> SequenceMap:
    """A video of `tokens` tokens between two runs of text, in cubes of `cube_tokens`."""
    is_video = torch.zeros(tokens + 2 * TEXT, dtype=torch.bool, device=device)
    is_video[TEXT:-TEXT] = True
    grid = (tokens // SIDE**2, SIDE, SIDE)
    return SequenceMap.build(is_video, [grid], CUBES[cube_tokens])


@dataclass(frozen=True, eq=False)
class Planted:
    """Selections, int32 [H, W, C] for each chunk of rows, and the (row, key) pairs they ask for."""

    chunks: list[tuple[Rows, Tensor]]
    pairs: int

    @classmethod
    def draw(
        cls, sequence: SequenceMap, heads: int, density: float, inflation: float, *, max_bytes: int
    ) -> Planted:
        """Every tile takes `density * inflation` of the cubes before it, every row some of them."""
        generator = torch.Generator(sequence.video_positions.device).manual_seed(0)
        found, pairs = [], 0
        for part in chunks(sequence.segments(), heads=heads, max_bytes=max_bytes):
            rows = Rows.of(part, 0)
            words = _draw(rows, heads, density, inflation, generator)
            found.append((rows, words))
            pairs += pairs_of(rows, words, sequence)
        return cls(found, pairs)


def chosen(
    queries: Tensor,
    keys: Tensor,
    sequence: SequenceMap,
    config: AdaSparkConfig,
    *,
    heads: int,
    scale: float,
) -> Iterator[tuple[Rows, Tensor]]:
    """What `queries` [H, N, D] choose by `keys` [G, N, D]: a selection for each chunk of rows.

    Chunks are as long as they are for so many `heads`.
    """
    blocks, rule = KeyBlocks.of(sequence), config.attention_in(0)
    means = gpu_attention.cube_means(keys, sequence)
    for rows in gpu_attention.row_chunks(sequence, 0, heads, 1):
        yield rows, gpu_attention.choose_cubes(queries, means, blocks, rows, rule, scale)


def _draw(
    rows: Rows, heads: int, density: float, inflation: float, generator: torch.Generator
) -> Tensor:
    device, cubes = rows.places.device, rows.end_cube
    whole, _ = rows.tiles(TILE)
    index = torch.arange(cubes, device=device)
    real = (torch.arange(len(whole) * TILE, device=device) < rows.count).view(-1, TILE, 1)
    own = pack((index == rows.own_cube[:, None])[None])
    share = density * inflation
    words = torch.empty(heads, rows.words, cubes, dtype=torch.int32, device=device)
    for head in range(heads):
        drawn = torch.rand(len(whole), cubes, device=device, generator=generator)
        rank = drawn.masked_fill(index >= whole[:, None], 2.0).argsort(-1).argsort(-1)
        taken = rank < (whole[:, None] * share).round()
        chance = torch.rand(len(whole), TILE, cubes, device=device, generator=generator)
        selected = (chance < 1 / inflation) & taken[:, None] & real
        words[head] = pack(selected.view(1, -1, cubes)[:, : rows.count])[0] | own[0]
    return words


def pairs_of(rows: Rows, words: Tensor, sequence: SequenceMap) -> int:
    """(row, visible key) pairs over all heads: chosen cubes whole, the own cube in part, text."""
    blocks = KeyBlocks.of(sequence)
    bits = torch.zeros((), dtype=torch.long, device=words.device)
    for bit in range(WORD):
        bits += ((words >> bit) & 1).sum()
    video = rows.own_cube >= 0
    own = blocks.tokens.view(blocks.cubes, blocks.slots)[rows.own_cube[video].long()]
    seen = (own < rows.video_before[video, None]).sum()
    text = rows.text_before.sum()
    return int((bits - video.sum() * len(words)) * blocks.slots + (seen + text) * len(words))
