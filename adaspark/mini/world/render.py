"""Scenes as pictures: batched, antialiased, the same on CPU and CUDA up to rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from adaspark.mini.world.backdrops import backdrops
from adaspark.mini.world.scene import Scene
from adaspark.mini.world.scene_tensors import Table, tabulate
from adaspark.mini.world.shapes import FIELD_REACH, shape_fields
from adaspark.mini.world.truth import camera_shifts, object_states
from adaspark.mini.world.vocabulary import MAX_DISTRACTORS, MAX_EVENTS

_PALE_COVER = 0.55  # how much of a pale object is its own colour
_STRIPE = 0.28  # width of a stripe, in radii
_CELL = 0.3  # width of a distractor's checks and rings, in radii


def render(scenes: Sequence[Scene], times_secs: Sequence[float], size: tuple[int, int]) -> Tensor:
    """Pictures of `scenes` at `times_secs`: uint8 [B, F, 3, H, W]; `size` is (H, W) in pixels."""
    times = torch.tensor(times_secs).expand(len(scenes), -1)
    return render_table(tabulate(scenes), times, size)


def render_table(table: Table, times_secs: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures of tabulated scenes, on the table's device: uint8 [B, F, 3, H, W].

    `times_secs` is float32 [B, F].
    """
    batch, frames = times_secs.shape
    shifts = camera_shifts(table, times_secs)
    canvas = backdrops(table["backdrops"], shifts, size).flatten(0, 1)
    patches = _patch_states(table, times_secs, shifts)
    for index in range(MAX_DISTRACTORS):
        _paint_patch(canvas, patches[:, :, index].flatten(0, 1), size)
    states = object_states(table, times_secs)
    for index in range(MAX_EVENTS):
        _paint_object(canvas, states[:, :, index].flatten(0, 1), size)
    _paint_pillars(canvas, table["occluders"], shifts, size)
    pictures = (canvas * 255).round_().clamp_(0, 255).to(torch.uint8)
    return pictures.view(batch, frames, 3, *size)


def _paint_object(canvas: Tensor, states: Tensor, size: tuple[int, int]) -> None:
    """Draw one object onto the pictures [N, 3, H, W] in which it is; states are [N, 10]."""
    seen = states[:, 2].nonzero()[:, 0]
    if not len(seen):
        return
    states = states[seen]
    grid = _object_coordinates(states, size)
    fields = shape_fields(canvas.device)[states[:, 4].long()][:, None]
    distance = F.grid_sample(fields, grid, padding_mode="border", align_corners=False)
    radius_px = (states[:, 2] * min(size))[:, None, None, None]
    cover = (distance * radius_px + 0.5).clamp_(0, 1)
    cover *= 1 - (1 - _PALE_COVER) * states[:, 9, None, None, None]
    # Lit from the left, with a darker rim: flat discs would look alike after compression.
    shade = 1 - 0.16 * grid[..., 0][:, None].clamp(-1, 1)
    shade = shade * (0.72 + (distance * 2.8).clamp_(0, 0.28))
    band = _wave(grid[..., 1] * FIELD_REACH, _STRIPE, radius_px[:, 0])[:, None]
    shade *= 1 - 0.65 * band * states[:, 8, None, None, None]
    colors = states[:, 5:8, None, None] * shade
    canvas[seen] = torch.lerp(canvas[seen], colors, cover)


def _patch_states(table: Table, times_secs: Tensor, shifts: Tensor) -> Tensor:
    """Each distractor at each time: [B, F, MAX_DISTRACTORS, 5].

    Columns: x, y, radius (0 while not there), angle, pattern index.
    """
    start, end, x, y, radius, pattern = table["distractors"][:, None].unbind(-1)
    times = times_secs[:, :, None]
    there = (times >= start) & (times < end)
    x, y = x + shifts[:, :, None, 0], y + shifts[:, :, None, 1]
    radius = torch.where(there, radius, 0.0)
    pattern = pattern.expand_as(radius)
    return torch.stack([x, y, radius, 0.6 * pattern + 0.5, pattern], dim=-1)


def _paint_patch(canvas: Tensor, states: Tensor, size: tuple[int, int]) -> None:
    """Draw one distractor, black and white and fading out, onto the pictures [N, 3, H, W]."""
    seen = states[:, 2].nonzero()[:, 0]
    if not len(seen):
        return
    states = states[seen]
    grid = _object_coordinates(states, size) * FIELD_REACH
    radius_px = (states[:, 2] * min(size))[:, None, None]
    away = grid.square().sum(-1).sqrt()
    across, along = (_wave(grid[..., axis], _CELL, radius_px) for axis in (0, 1))
    checks = across + along - 2 * across * along
    rings = _wave(away, _CELL, radius_px)
    tone = torch.where(states[:, 4, None, None] == 0, checks, rings)[:, None]
    cover = (1.5 - 1.5 * away.square()).clamp(0, 1)[:, None]
    canvas[seen] = torch.lerp(canvas[seen], tone.expand(-1, 3, -1, -1), cover)


def _wave(place: Tensor, width: float, radius_px: Tensor) -> Tensor:
    """Bands of `width` that are 0 and 1 by turns, antialiased; `place` and `width` in radii."""
    slope = width * radius_px / math.pi
    return (0.5 + slope * torch.sin(place * (math.pi / width))).clamp_(0, 1)


def _paint_pillars(
    canvas: Tensor, occluders: Tensor, shifts: Tensor, size: tuple[int, int]
) -> None:
    """Draw the pillars, rounded by their shading, onto the pictures [B * F, 3, H, W]."""
    edges = (occluders[:, None, :2] + shifts[..., :1]).flatten(0, 1) * size[1]
    seen = (edges[:, 0] < size[1]).nonzero()[:, 0]
    if not len(seen):
        return
    left, right = edges[seen, :1], edges[seen, 1:]
    x = torch.arange(size[1], device=canvas.device) + 0.5
    cover = (torch.minimum(x - left, right - x) + 0.5).clamp(0, 1)
    round_ = ((2 * x - left - right) / (right - left)).square().clamp(max=1)
    grey = occluders[:, None, 2].expand(shifts.shape[:2]).flatten()[seen, None]
    tone = (grey * (1.1 - 0.4 * round_))[:, None, None].expand(-1, 3, size[0], -1)
    canvas[seen] = torch.lerp(canvas[seen], tone, cover[:, None, None])


def _object_coordinates(states: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixel centres in each object's own frame, scaled to the distance field: [N, H, W, 2]."""
    height, width = size
    x, y, radius, angle = states[:, :4].unbind(-1)
    reach = radius * min(size) * FIELD_REACH
    cos, sin = angle.cos(), angle.sin()
    half_w, half_h = width / 2 / reach, height / 2 / reach
    off_x, off_y = (1 - 2 * x) * half_w, (1 - 2 * y) * half_h
    row_u = torch.stack([cos * half_w, sin * half_h, cos * off_x + sin * off_y], dim=-1)
    row_v = torch.stack([-sin * half_w, cos * half_h, cos * off_y - sin * off_x], dim=-1)
    theta = torch.stack([row_u, row_v], dim=1)
    return F.affine_grid(theta, [len(states), 1, height, width], align_corners=False)
