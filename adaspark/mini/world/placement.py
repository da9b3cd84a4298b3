"""Where the objects of a scene stand, and when: in the picture, apart, and not hidden for long."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from adaspark.mini.world.event import Event
from adaspark.mini.world.scene import Camera, Distractor, Occluder, free_share
from adaspark.mini.world.vocabulary import DIRECTIONS, PALETTE, PATTERNS, RGB, STEPS

Size = tuple[int, int]
Span = tuple[float, float]
Look = tuple[str, str, str]  # shape, colour, fill

_TRIES = 40
_LONGEST_MOVE_SECS = 4.0
_MOSTLY_FREE = 0.7


def fit_event(
    rng: random.Random,
    others: Sequence[Event],
    look: Look,
    span: Span,
    *,
    size: Size,
    moving: float,
    camera: Camera,
) -> Event | None:
    """Place one object so that it touches no other while both are there, or give up.

    `span` is start and end in seconds, `size` (H, W) in pixels, `moving` the chance of motion.
    """
    for _ in range(_TRIES):
        event = _draw_event(rng, look, span, size, moving, camera)
        if not any(_touch(event, other, size) for other in others):
            return event
    return None


def fit_distractor(
    rng: random.Random, others: Sequence[Event | Distractor], secs: float, size: Size
) -> Distractor | None:
    """A patch that touches no object while both are there, or None."""
    for _ in range(_TRIES):
        start = rng.uniform(0.0, max(0.0, secs - 0.4))
        patch = Distractor(
            rng.choice(PATTERNS),
            round(start, 4),
            round(start + rng.uniform(0.4, 1.2), 4),
            rng.uniform(0.1, 0.9),
            rng.uniform(0.1, 0.9),
            rng.uniform(12.0, max(16.0, 0.13 * min(size))) / min(size),
        )
        if not any(_touch(patch, other, size) for other in others):
            return patch
    return None


def fit_occluder(
    rng: random.Random, events: Sequence[Event], secs: float, size: Size
) -> Occluder | None:
    """A pillar that hides parts of some objects' ways, but no object's start, end or colour."""
    for _ in range(_TRIES):
        pillar = Occluder(rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.16), rng.uniform(0.25, 0.75))
        if all(_shows(event, pillar, secs, size) for event in events):
            return pillar
    return None


def shade_of(rng: random.Random, color: str) -> RGB:
    """A shade of a colour by name, in 0 to 255."""
    red, green, blue = (min(255, max(0, round(c + rng.uniform(-14, 14)))) for c in PALETTE[color])
    return red, green, blue


def shown_span(event: Event, secs: float) -> Span:
    """First and last moment of the event inside a clip of `secs` seconds."""
    return max(event.start_secs, 0.0), min(event.end_secs, secs)


def _draw_event(
    rng: random.Random, look: Look, span: Span, size: Size, moving: float, camera: Camera
) -> Event:
    side = min(size)
    radius = rng.uniform(13.0, max(17.0, 0.16 * side)) / side
    margins = (
        1.05 * radius * side / size[1] + abs(camera.x),
        1.05 * radius * side / size[0] + abs(camera.y),
    )
    start, end = span
    moves = rng.random() < moving
    direction = rng.choice(DIRECTIONS[:4]) if moves else "still"
    step = STEPS[direction]
    path = 0.0
    if moves:
        end = min(end, start + _LONGEST_MOVE_SECS)
        room = 1 - 2 * margins[0 if step[0] else 1]
        path = min(rng.uniform(0.3, 0.55), room)
    place = []
    for axis in range(2):
        low, high = margins[axis], 1 - margins[axis]
        low, high = low + max(0, -step[axis]) * path, high - max(0, step[axis]) * path
        place.append(rng.uniform(low, high))
    shape, color, fill = look
    rgb, angle = shade_of(rng, color), rng.uniform(-0.2, 0.2)
    return Event(
        shape,
        color,
        rgb,
        round(start, 4),
        round(end, 4),
        place[0],
        place[1],
        direction,
        path,
        radius,
        angle,
        fill,
    )


def _touch(one: Event | Distractor, two: Event | Distractor, size: Size) -> bool:
    """Whether two things come closer than their radii while both are there."""
    start, end = max(one.start_secs, two.start_secs), min(one.end_secs, two.end_secs)
    if start >= end:
        return False
    height, width = size
    limit = 0.95 * (one.radius + two.radius) * min(size)
    for index in range(7):
        secs = start + (end - start) * index / 6
        (x1, y1), (x2, y2) = one.place(secs), two.place(secs)
        if math.hypot((x1 - x2) * width, (y1 - y2) * height) < limit:
            return True
    return False


def _shows(event: Event, pillar: Occluder, secs: float, size: Size) -> bool:
    """Whether the event is mostly free at its start, at its end and for most of each half."""
    start, end = shown_span(event, secs)
    free = [
        free_share(event, start + (end - start) * index / 15, pillar, size) >= _MOSTLY_FREE
        for index in range(16)
    ]
    return free[0] and free[-1] and min(sum(free[:8]), sum(free[8:])) >= 5
