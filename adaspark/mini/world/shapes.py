"""The six shapes as signed distance fields: exact edges at every size, on every device."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from adaspark.mini.world.vocabulary import SHAPES

FIELD_REACH = 1.3  # a field covers [-reach, reach] radii
_FIELD_SIDE = 96


@cache
def shape_fields(device: torch.device) -> Tensor:
    """Signed distance fields of SHAPES, inside positive, in radii: float32 [S, side, side]."""
    return torch.stack([_polygon_field(_outline(shape)) for shape in SHAPES]).to(device)


def _outline(shape: str) -> list[tuple[float, float]]:
    """A shape's corners, within the unit circle; y points down."""
    if shape == "circle":
        return [_polar(0.92, i / 64) for i in range(64)]
    if shape == "square":
        return [_polar(1.08, (i + 0.5) / 4) for i in range(4)]
    if shape == "triangle":
        return [_polar(1.1, i / 3 - 0.25) for i in range(3)]
    if shape == "star":
        return [_polar(1.08 if i % 2 == 0 else 0.45, i / 10 - 0.25) for i in range(10)]
    if shape == "cross":
        a, b = 0.34, 1.0
        corner = [(a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b)]
        return [*corner, *((-x, -y) for x, y in corner)]
    return [_heart(i / 64) for i in range(64)]


def _polar(radius: float, turn: float) -> tuple[float, float]:
    return radius * math.cos(2 * math.pi * turn), radius * math.sin(2 * math.pi * turn)


def _heart(turn: float) -> tuple[float, float]:
    angle = 2 * math.pi * turn
    x = 16 * math.sin(angle) ** 3
    y = 13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle)
    return x / 16.5, -(y - math.cos(4 * angle) + 2) / 16.5


def _polygon_field(corners: list[tuple[float, float]]) -> Tensor:
    """Exact signed distance to a polygon, sampled on the field's pixel centres."""
    axis = ((torch.arange(_FIELD_SIDE) + 0.5) / _FIELD_SIDE * 2 - 1) * FIELD_REACH
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    nearest = torch.full_like(x, math.inf)
    inside = torch.zeros_like(x, dtype=torch.bool)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        ex, ey = bx - ax, by - ay
        along = (((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)).clamp(0, 1)
        nearest = torch.minimum(nearest, torch.hypot(x - ax - along * ex, y - ay - along * ey))
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (y - ay) * ex / ey + ax)
    return torch.where(inside, nearest, -nearest)
