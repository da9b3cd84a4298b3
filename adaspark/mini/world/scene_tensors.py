"""Event logs as tensors: what rendering and token truth compute with, on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adaspark.mini.world.event import Event
from adaspark.mini.world.scene import Scene
from adaspark.mini.world.vocabulary import (
    COLORS,
    DIRECTIONS,
    FILLS,
    MAX_DISTRACTORS,
    MAX_EVENTS,
    PATTERNS,
    SHAPES,
    STEPS,
    STYLES,
)

Table = dict[str, Tensor]

_EVENT_COLUMNS = (
    *("start", "end", "x", "y", "speed_x", "speed_y", "radius", "angle", "shape"),
    *("red", "green", "blue", "direction", "color", "fill", "pale"),
    *("turn", "turn_color", "turn_red", "turn_green", "turn_blue"),
)
COLUMN = {name: index for index, name in enumerate(_EVENT_COLUMNS)}
_NEVER = 1e9
_ABSENT = [_NEVER, _NEVER]  # start and end of a row without object


def tabulate(scenes: Sequence[Scene]) -> Table:
    """Event logs as float32 tensors.

    `events` [B, MAX_EVENTS, 21], columns by `COLUMN`: seconds, shares (speeds in shares a second),
    0 to 1 for red, green, blue, and indices for names; rows without object never start. `backdrops`
    [B, 10]: wall and floor colours, horizon, light, phase, style index. `cameras` [B, 4]: x, y,
    period, phase. `distractors` [B, MAX_DISTRACTORS, 6]: start, end, x, y, radius, pattern index.
    `occluders` [B, 3]: left edge, right edge, grey; if there is none, far to the right.
    """
    columns = {
        "events": [_event_rows(scene) for scene in scenes],
        "backdrops": [_backdrop_row(scene) for scene in scenes],
        "cameras": [_camera_row(scene) for scene in scenes],
        "distractors": [_distractor_rows(scene) for scene in scenes],
        "occluders": [_occluder_row(scene) for scene in scenes],
    }
    return {name: torch.tensor(rows) for name, rows in columns.items()}


def _event_rows(scene: Scene) -> list[list[float]]:
    free = MAX_EVENTS - len(scene.events)
    empty = [*_ABSENT, *[0.0] * (len(COLUMN) - 2)]
    return [*map(_event_row, scene.events), *[empty] * free]


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
        float(FILLS.index(event.fill)),
        float(event.pale),
        _NEVER if event.turn_secs is None else event.turn_secs,
        float(COLORS.index(event.turns or event.color)),
        *(channel / 255 for channel in event.turn_rgb or event.rgb),
    ]


def _backdrop_row(scene: Scene) -> list[float]:
    place = scene.backdrop
    style = float(STYLES.index(scene.style))
    return [*place.wall, *place.floor, place.horizon, place.light, place.phase, style]


def _camera_row(scene: Scene) -> list[float]:
    return [scene.camera.x, scene.camera.y, scene.camera.period_secs, scene.camera.phase]


def _distractor_rows(scene: Scene) -> list[list[float]]:
    rows = [
        [d.start_secs, d.end_secs, d.x, d.y, d.radius, float(PATTERNS.index(d.pattern))]
        for d in scene.distractors
    ]
    return rows + [[*_ABSENT, 0.0, 0.0, 0.0, 0.0]] * (MAX_DISTRACTORS - len(rows))


def _occluder_row(scene: Scene) -> list[float]:
    pillar = scene.occluder
    if pillar is None:
        return [9.0, 9.0, 0.0]
    return [pillar.x - pillar.width / 2, pillar.x + pillar.width / 2, pillar.grey]
