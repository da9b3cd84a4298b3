"""Where things are at each moment, and which tokens hold them: ground truth from the event log."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from adaspark.mini.world.scene import FREE_SHARE
from adaspark.mini.world.scene_tensors import COLUMN, Table

_POP_SECS = 0.15  # an object grows to its size in this time
_TOKEN = 28  # pixels of a merged token's side


def camera_shifts(table: Table, times_secs: Tensor) -> Tensor:
    """The camera's shift of each scene at each time, x and y in shares: float32 [B, F, 2]."""
    x, y, period, phase = table["cameras"][:, None].unbind(-1)
    wave = torch.sin(2 * math.pi * times_secs / period + phase)
    return torch.stack([x * wave, y * wave], dim=-1)


def object_states(table: Table, times_secs: Tensor) -> Tensor:
    """What each object looks like at each time: float32 [B, F, MAX_EVENTS, 10].

    Columns: x and y in the picture (camera included), radius (0 while not there), angle, shape
    index, red, green, blue, fill index, pale. `times_secs` is [B, F].
    """
    rows, times = table["events"][:, None], times_secs[:, :, None]
    start, end, x, y, speed_x, speed_y, radius, *_ = rows.unbind(-1)
    age = times - start
    there = (age >= 0) & (times < end)
    age = age.clamp(0, 1e4)
    grown = ((age + 0.05) / _POP_SECS).clamp(max=1)
    shift = camera_shifts(table, times_secs)[:, :, None]
    x, y = x + speed_x * age + shift[..., 0], y + speed_y * age + shift[..., 1]
    turned = (times >= rows[..., COLUMN["turn"]])[..., None]
    red, turn_red = COLUMN["red"], COLUMN["turn_red"]
    color = torch.where(turned, rows[..., turn_red : turn_red + 3], rows[..., red : red + 3])
    fixed = [rows[..., COLUMN[name]].expand_as(age) for name in ("angle", "shape", "fill", "pale")]
    angle, shape, fill, pale = fixed
    where = torch.stack([x, y, torch.where(there, radius * grown, 0.0), angle, shape], dim=-1)
    return torch.cat([where, color, torch.stack([fill, pale], dim=-1)], dim=-1)


def token_truth(table: Table, times_secs: Tensor, size: tuple[int, int]) -> Tensor:
    """Which merged tokens hold which object: bool [B, T, H/28, W/28, MAX_EVENTS].

    A token (28 x 28 pixels of two frames) holds an object when the object's disc, at 0.8 of its
    radius, reaches into the part of the token's square that no pillar hides, in at least one of
    the two frames; an object more than half hidden is held by none.
    """
    states = object_states(table, times_secs)
    x, radius = states[..., 0] * size[1], states[..., 2] * min(size)
    pillar = _pillar(table, times_secs, size[1])
    reach = torch.where(_free(x, radius, pillar) >= FREE_SHARE, 0.8 * radius, 0.0)
    rows = torch.arange(size[0] // _TOKEN, device=states.device) * _TOKEN
    columns = torch.arange(size[1] // _TOKEN, device=states.device) * _TOKEN
    gap_y = _gap(states[..., 1, None] * size[0], rows, rows + _TOKEN)  # [B, F, K, rows]
    left, right = pillar[..., None, 0:1], pillar[..., None, 1:2]
    gap_x = torch.minimum(
        _gap(x[..., None], columns, torch.minimum(columns + _TOKEN, left)),
        _gap(x[..., None], torch.maximum(columns, right), columns + _TOKEN),
    )
    inside = (
        gap_y[..., :, None].square() + gap_x[..., None, :].square()
        < reach[..., None, None].square()
    )
    pairs = inside[:, 0::2] | inside[:, 1::2]  # [B, T, K, rows, columns]
    return pairs.permute(0, 1, 3, 4, 2)


def _pillar(table: Table, times_secs: Tensor, width: int) -> Tensor:
    """Left and right edge of the pillar in the picture, in pixels: [B, F, 2]."""
    edges = table["occluders"][:, None, :2]
    return (edges + camera_shifts(table, times_secs)[..., :1]) * width


def _free(x: Tensor, radius: Tensor, pillar: Tensor) -> Tensor:
    """Share of each disc's area that no pillar hides: [B, F, K]; all in pixels."""
    cuts = (pillar[:, :, None] - x[..., None]) / radius.clamp(min=1e-6)[..., None]
    cuts = cuts.clamp(-1, 1)
    before = 0.5 + (cuts * (1 - cuts.square()).sqrt() + cuts.asin()) / math.pi
    return 1 - (before[..., 1] - before[..., 0])


def _gap(centre: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """Distance along one axis from a centre to the span from start to end; infinite if empty."""
    gap = torch.maximum(starts - centre, centre - ends).clamp(min=0)
    return torch.where(starts < ends, gap, math.inf)
