"""Scenes as pictures: batched, antialiased, the same on CPU and CUDA up to rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from adaspark.mini.world import (
    COLORS,
    DIRECTIONS,
    MAX_EVENTS,
    SHAPES,
    STEPS,
    Backdrop,
    Event,
    Scene,
)

_FIELD_SIDE = 96  # resolution of a shape's distance field
_FIELD_REACH = 1.3  # the field covers [-reach, reach] radii
_POP_SECS = 0.15  # an object grows to its size in this time
_NEVER = 1e9


def tabulate(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """Event logs as float32 tensors: `events` [B, MAX_EVENTS, 14] and `backdrops` [B, 9].

    An event's row: start, end, x, y, velocity x and y (shares a second), radius, angle, shape
    index, red, green, blue (0 to 1), direction index, colour index. Empty rows never start.
    """
    empty = [_NEVER, _NEVER, *[0.0] * 12]
    events = []
    for scene in scenes:
        free = MAX_EVENTS - len(scene.events)
        events.append([*map(_event_row, scene.events), *[empty] * free])
    backdrops = [_backdrop_row(scene.backdrop) for scene in scenes]
    return {"events": torch.tensor(events), "backdrops": torch.tensor(backdrops)}


def _backdrop_row(backdrop: Backdrop) -> list[float]:
    return [*backdrop.wall, *backdrop.floor, backdrop.horizon, backdrop.light, backdrop.phase]


def _event_row(event: Event) -> list[float]:
    speed = event.path / (event.end_secs - event.start_secs)
    step = STEPS[event.direction]
    return [
        event.start_secs,
        event.end_secs,
        event.x,
        event.y,
        step[0] * speed,
        step[1] * speed,
        event.radius,
        event.angle,
        float(SHAPES.index(event.shape)),
        *(channel / 255 for channel in event.rgb),
        float(DIRECTIONS.index(event.direction)),
        float(COLORS.index(event.color)),
    ]


def render(scenes: Sequence[Scene], times_secs: Sequence[float], size: tuple[int, int]) -> Tensor:
    """Pictures of `scenes` at `times_secs`: uint8 [B, F, 3, H, W]; `size` is (H, W) in pixels."""
    table = tabulate(scenes)
    times = torch.tensor(times_secs).expand(len(scenes), -1)
    return render_table(table, times, size)


def render_table(table: dict[str, Tensor], times_secs: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures of tabulated scenes, on the table's device: uint8 [B, F, 3, H, W].

    `times_secs` is float32 [B, F].
    """
    batch, frames = times_secs.shape
    canvas = _backdrops(table["backdrops"], size)
    canvas = canvas[:, None].repeat(1, frames, 1, 1, 1).flatten(0, 1)
    states = object_states(table["events"], times_secs)
    for index in range(MAX_EVENTS):
        _paint(canvas, states[:, :, index].flatten(0, 1), size)
    pictures = (canvas * 255).round_().clamp_(0, 255).to(torch.uint8)
    return pictures.view(batch, frames, 3, *size)


def object_states(events: Tensor, times_secs: Tensor) -> Tensor:
    """Where each object is at each time: float32 [B, F, MAX_EVENTS, 8].

    Columns: x, y, radius (0 while out of sight), angle, shape index, red, green, blue.
    """
    rows, times = events[:, None], times_secs[:, :, None]
    age = times - rows[..., 0]
    visible = (age >= 0) & (times < rows[..., 1])
    age = age.clamp(0, 1e4)
    grown = ((age + 0.05) / _POP_SECS).clamp(max=1)
    radius = torch.where(visible, rows[..., 6] * grown, 0.0)
    x, y = rows[..., 2] + rows[..., 4] * age, rows[..., 3] + rows[..., 5] * age
    fixed = rows[..., 7:12].expand(*age.shape, 5)
    return torch.cat([torch.stack([x, y, radius], dim=-1), fixed], dim=-1)


def _paint(canvas: Tensor, states: Tensor, size: tuple[int, int]) -> None:
    """Draw one object onto the pictures [N, 3, H, W] in which it is in sight; states are [N, 8]."""
    seen = states[:, 2].nonzero()[:, 0]
    if not len(seen):
        return
    states = states[seen]
    grid = _object_coordinates(states, size)
    fields = _fields(canvas.device)[states[:, 4].long()][:, None]
    distance = F.grid_sample(fields, grid, padding_mode="border", align_corners=False)
    radius_px = (states[:, 2] * min(size))[:, None, None, None]
    cover = (distance * radius_px + 0.5).clamp_(0, 1)
    # Lit from the left, with a darker rim: flat discs would look alike after compression.
    shade = 1 - 0.16 * grid[..., 0][:, None].clamp(-1, 1)
    shade = shade * (0.72 + (distance * 2.8).clamp_(0, 0.28))
    colors = states[:, 5:8, None, None] * shade
    canvas[seen] = torch.lerp(canvas[seen], colors, cover)


def _object_coordinates(states: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixel centres in each object's own frame, scaled to the distance field: [N, H, W, 2]."""
    height, width = size
    x, y, radius, angle = states[:, :4].unbind(-1)
    reach = radius * min(size) * _FIELD_REACH
    cos, sin = angle.cos(), angle.sin()
    half_w, half_h = width / 2 / reach, height / 2 / reach
    off_x, off_y = (1 - 2 * x) * half_w, (1 - 2 * y) * half_h
    row_u = torch.stack([cos * half_w, sin * half_h, cos * off_x + sin * off_y], dim=-1)
    row_v = torch.stack([-sin * half_w, cos * half_h, cos * off_y - sin * off_x], dim=-1)
    theta = torch.stack([row_u, row_v], dim=1)
    return F.affine_grid(theta, [len(states), 1, height, width], align_corners=False)


def _backdrops(rows: Tensor, size: tuple[int, int]) -> Tensor:
    """Wall, floor, light from the left and a faint grain: [B, 3, H, W] in 0 to 1."""
    height, width = size
    y = ((torch.arange(height, device=rows.device) + 0.5) / height)[:, None]
    x = ((torch.arange(width, device=rows.device) + 0.5) / width)[None]
    rows = rows[:, :, None, None]
    floor = ((y - rows[:, 6]) * height).clamp(0, 1)[:, None]
    base = torch.lerp(rows[:, 0:3], rows[:, 3:6], floor)
    phase = rows[:, 8]
    grain = torch.sin(23 * x + 9 * y + phase) * torch.sin(17 * y - 13 * x + 2 * phase)
    light = 1 + rows[:, 7] * (0.5 - x) + 0.12 * (0.5 - y) + 0.03 * grain
    return base * light[:, None]


def token_truth(table: dict[str, Tensor], times_secs: Tensor, size: tuple[int, int]) -> Tensor:
    """Which merged tokens hold which object: bool [B, T, H/28, W/28, MAX_EVENTS].

    A token (28 x 28 pixels of two frames) holds an object when the object's disc, at 0.8 of its
    radius, reaches into the token's square in at least one of the two frames.
    """
    states = object_states(table["events"], times_secs)
    rows = torch.arange(size[0] // 28, device=states.device) * 28
    columns = torch.arange(size[1] // 28, device=states.device) * 28
    gap_y = _gap(states[..., 1] * size[0], rows)  # [B, F, K, rows]
    gap_x = _gap(states[..., 0] * size[1], columns)
    reach = states[..., 2] * min(size) * 0.8
    inside = (
        gap_y[..., :, None].square() + gap_x[..., None, :].square()
        < reach[..., None, None].square()
    )
    pairs = inside[:, 0::2] | inside[:, 1::2]  # [B, T, K, rows, columns]
    return pairs.permute(0, 1, 3, 4, 2)


def _gap(centre: Tensor, starts: Tensor) -> Tensor:
    """Distance along one axis from a centre to cells of 28 pixels that begin at `starts`."""
    return ((starts + 14 - centre[..., None]).abs() - 14).clamp(min=0)


@cache
def _fields(device: torch.device) -> Tensor:
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
    axis = ((torch.arange(_FIELD_SIDE) + 0.5) / _FIELD_SIDE * 2 - 1) * _FIELD_REACH
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
