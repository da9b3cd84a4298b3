"""What lies behind the objects, in four styles, and the camera that moves over it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_MARGIN = 0.07  # drawn beyond each edge, in shares; the camera reaches 0.06
_TILE = 0.16  # a brick's width and twice its height, in shares of the frame


def backdrops(rows: Tensor, shifts: Tensor, size: tuple[int, int]) -> Tensor:
    """Backdrops under a moving camera: float32 [B, F, 3, H, W] in 0 to 1.

    `rows` is [B, 10]: two colours, horizon, light, phase, style index; `shifts` [B, F, 2] is the
    camera's, x and y, in shares.
    """
    edges = [math.ceil(_MARGIN * side) for side in size]
    wide = _draw(rows, size, edges)
    still = wide[:, :, edges[0] : edges[0] + size[0], edges[1] : edges[1] + size[1]]
    canvas = still[:, None].repeat(1, shifts.shape[1], 1, 1, 1)
    moving = shifts.abs().amax((1, 2)).nonzero()[:, 0]
    if len(moving):
        canvas[moving] = _pan(wide[moving], shifts[moving], size)
    return canvas


def _pan(wide: Tensor, shifts: Tensor, size: tuple[int, int]) -> Tensor:
    """The part of each wide backdrop that the camera sees in each frame: [B, F, 3, H, W]."""
    batch, frames, _ = shifts.shape
    scale_y, scale_x = (side / full for side, full in zip(size, wide.shape[2:], strict=True))
    zero = torch.zeros_like(shifts[..., 0])
    row_x = torch.stack([zero + scale_x, zero, -2 * scale_x * shifts[..., 0]], dim=-1)
    row_y = torch.stack([zero, zero + scale_y, -2 * scale_y * shifts[..., 1]], dim=-1)
    theta = torch.stack([row_x, row_y], dim=2).flatten(0, 1)
    grid = F.affine_grid(theta, [len(theta), 1, *size], align_corners=False)
    # A clip's frames lie side by side, so that its backdrop is sampled once and never copied.
    tall = grid.view(batch, frames * size[0], size[1], 2)
    seen = F.grid_sample(wide, tall, padding_mode="border", align_corners=False)
    return seen.view(batch, 3, frames, *size).transpose(1, 2)


def _draw(rows: Tensor, size: tuple[int, int], edges: list[int]) -> Tensor:
    """Each clip's backdrop with its margins: [B, 3, H + 2 edge, W + 2 edge] in 0 to 1."""
    axes = [
        (torch.arange(-edge, side + edge, device=rows.device) + 0.5) / side
        for side, edge in zip(size, edges, strict=True)
    ]
    y, x = torch.meshgrid(axes, indexing="ij")
    wall, floor = rows[:, 0:3, None, None], rows[:, 3:6, None, None]
    horizon, light, phase = (rows[:, i, None, None, None] for i in (6, 7, 8))
    looks = torch.stack(
        [
            torch.lerp(wall, floor, ((y - horizon) * size[0]).clamp(0, 1)),
            torch.lerp(wall, floor, y.clamp(0, 1)),
            wall * _bricks(x, y, phase, size),
            floor * _night(x, y),
        ],
        dim=1,
    )
    base = looks[torch.arange(len(rows), device=rows.device), rows[:, 9].long()]
    grain = torch.sin(23 * x + 9 * y + phase) * torch.sin(17 * y - 13 * x + 2 * phase)
    shade: Tensor = 1 + light * (0.5 - x) + 0.12 * (0.5 - y) + 0.03 * grain
    return base * shade


def _bricks(x: Tensor, y: Tensor, phase: Tensor, size: tuple[int, int]) -> Tensor:
    """Staggered bricks in three close greys with thin joints: [B, 1, H, W] around 1."""
    row = (2 * y / _TILE).floor()
    column = x / _TILE + 0.5 * (row % 2)
    grey = ((column.floor() * 5 + row * 3 + phase.floor()) % 3 - 1) * 0.06
    joint_px = torch.minimum(
        _to_border(column) * _TILE * size[1], _to_border(2 * y / _TILE) * _TILE / 2 * size[0]
    )
    return (1 + grey) * (0.8 + 0.2 * joint_px.clamp(0, 1))


def _to_border(cells: Tensor) -> Tensor:
    """Distance to the nearest whole number."""
    return (cells - cells.round()).abs()


def _night(x: Tensor, y: Tensor) -> Tensor:
    """Dark, and darker towards the corners: [H, W] in 0 to 1."""
    away: Tensor = (x - 0.5).square() + (y - 0.5).square()
    return 0.6 * (1 - 1.4 * away).clamp(min=0.15)
