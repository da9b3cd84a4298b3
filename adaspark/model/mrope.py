"""M-RoPE positions, as transformers' `get_rope_index` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

TEXT, VIDEO = 0, 2  # transformers' mm_token_type_ids; 1 is an image


def mrope_positions(
    token_types: Tensor, grids: Sequence[Sequence[int]], *, position_steps: Sequence[float]
) -> tuple[Tensor, int]:
    """M-RoPE positions of one sequence: int64 [3, N], and the position that follows its last token.

    `token_types` is [N] (0 text, 2 video); `grids` are (T, H, W) in merged tokens in order of
    appearance. Equal to transformers' `get_rope_index`, except that versions before 5.18 cut the
    seconds per slice to a whole number, which puts every slice of a fast clip at one time. Text
    goes on counting after a video's height and width, whatever its time, and so do words that
    are written, as `generate` has it; `rope_deltas` would let these jump behind the last slice.
    """
    videos = iter(zip(grids, position_steps, strict=True))
    parts, position = [], 0
    kinds, counts = torch.unique_consecutive(token_types, return_counts=True)
    for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        if kind == VIDEO:
            for grid, step in _take(videos, count):
                parts.append(_grid_positions(grid, step) + position)
                position += max(grid[1], grid[2])
        else:
            parts.append(torch.arange(position, position + count).expand(3, -1))
            position += count
    positions = torch.cat(parts, dim=1)
    return positions, int(positions[:, -1].max()) + 1


def _take(videos: Any, count: int) -> Any:
    """The next videos that together make up one run of `count` video tokens."""
    while count > 0:
        grid, step = next(videos)
        count -= grid[0] * grid[1] * grid[2]
        yield grid, step


def _grid_positions(grid: Sequence[int], step: float) -> Tensor:
    time = (torch.arange(grid[0]) * step).long()
    axes = torch.meshgrid(time, torch.arange(grid[1]), torch.arange(grid[2]), indexing="ij")
    return torch.stack(axes).reshape(3, -1)
