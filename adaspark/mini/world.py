"""SparkWorld: seeded scenes as event logs in continuous time; pictures and questions follow.

Source: ours. A scene is a pure function of its seed and its settings.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
PALETTE = {
    "red": (214, 40, 40),
    "green": (46, 160, 67),
    "blue": (40, 90, 220),
    "yellow": (245, 215, 60),
    "purple": (145, 60, 190),
    "orange": (245, 135, 30),
}
COLORS = tuple(PALETTE)
STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "still": (0, 0)}
DIRECTIONS = tuple(STEPS)
MAX_EVENTS = 6
SLICE_SECS = 0.5
HELD_OUT_SEED = 2**60  # seeds from here on are never drawn in training
_TRIES = 40


@dataclass(frozen=True)
class Event:
    """One object from its appearing to its end.

    `x` and `y` are the centre at `start_secs` and `path` the distance travelled until `end_secs`,
    in shares of the frame's width and height; `radius` is in shares of the shorter side.
    """

    shape: str
    color: str
    rgb: tuple[int, int, int]
    start_secs: float
    end_secs: float
    x: float
    y: float
    direction: str
    path: float
    radius: float
    angle: float

    def place(self, secs: float) -> tuple[float, float]:
        """Centre at `secs`, in shares of width and height."""
        done = (secs - self.start_secs) / (self.end_secs - self.start_secs)
        step = STEPS[self.direction]
        return self.x + step[0] * self.path * done, self.y + step[1] * self.path * done

    def visible(self, secs: float) -> bool:
        """Whether the object is in the picture at `secs`."""
        return self.start_secs <= secs < self.end_secs


@dataclass(frozen=True)
class Backdrop:
    """A wall lit from the left and a floor: with them a place in the picture can be seen."""

    wall: tuple[float, float, float]
    floor: tuple[float, float, float]
    horizon: float
    light: float
    phase: float


@dataclass(frozen=True)
class Scene:
    """A seeded event log. `events` are sorted by start; `size` is (height, width) in pixels."""

    seed: int
    secs: float
    size: tuple[int, int]
    events: tuple[Event, ...]
    backdrop: Backdrop


@dataclass(frozen=True)
class SceneSettings:
    """What scenes are drawn from.

    `objects` is an inclusive range; `repeats` the share of scenes in which a colour or a shape
    comes more than once; `brief_secs` the range of a short event's length; `moving` the share of
    moving objects.
    """

    frames: int = 16
    size: tuple[int, int] = (112, 112)
    objects: tuple[int, int] = (2, 3)
    repeats: float = 0.25
    brief_secs: tuple[float, float] = (1.0, 3.0)
    moving: float = 0.5
    fps: float = 4.0


def sample_scene(seed: int, settings: SceneSettings) -> Scene:
    """Draw the scene of `seed`. The same seed and settings always give the same scene."""
    rng = random.Random(seed)
    secs = settings.frames / settings.fps
    wanted = min(rng.randint(*settings.objects), int(secs / SLICE_SECS), MAX_EVENTS)
    looks = _looks(rng, wanted, repeats=rng.random() < settings.repeats)
    events: list[Event] = []
    for look, span in zip(looks, _spans(rng, wanted, secs, settings), strict=True):
        event = _fit_event(rng, events, *look, span, settings)
        if event is not None:
            events.append(event)
    return Scene(seed, secs, settings.size, tuple(events), _backdrop(rng))


def _looks(rng: random.Random, count: int, *, repeats: bool) -> list[tuple[str, str]]:
    """A shape and a colour for each object: all different, or one of them repeated."""
    shapes, colors = rng.sample(SHAPES, len(SHAPES)), rng.sample(COLORS, len(COLORS))
    if repeats and count > 1:
        same = rng.randint(2, count)
        which = rng.choice((shapes, colors))
        which[:same] = [which[0]] * same
    looks = list(zip(shapes[:count], colors[:count], strict=True))
    rng.shuffle(looks)
    return looks


def _spans(
    rng: random.Random, count: int, secs: float, settings: SceneSettings
) -> list[tuple[float, float]]:
    """Start and end of each object, sorted by start; no two objects start in one slice."""
    slices = int(secs / SLICE_SECS)
    last = max(slices - 2, count - 1)
    spans = []
    for start_slice in sorted(rng.sample(range(last + 1), count)):
        start = start_slice * SLICE_SECS + rng.uniform(0.0, 0.15)
        if start_slice == 0:
            start = -0.2  # there from the first frame
        long = rng.random() < 0.35 or slices <= 2
        length = rng.uniform(0.5, 1.0) * secs if long else rng.uniform(*settings.brief_secs)
        spans.append((start, min(start + length, secs + 0.2)))
    return spans


def _fit_event(
    rng: random.Random,
    others: list[Event],
    shape: str,
    color: str,
    span: tuple[float, float],
    settings: SceneSettings,
) -> Event | None:
    """Place one object where it touches no other while both are in sight, or give up."""
    for _ in range(_TRIES):
        event = _draw_event(rng, shape, color, span, settings)
        if not any(_touch(event, other, settings.size) for other in others):
            return event
    return None


def _draw_event(
    rng: random.Random,
    shape: str,
    color: str,
    span: tuple[float, float],
    settings: SceneSettings,
) -> Event:
    height, width = settings.size
    side = min(height, width)
    radius = rng.uniform(13.0, max(17.0, 0.16 * side)) / side
    margins = 1.05 * radius * side / width, 1.05 * radius * side / height
    start, end = span
    moves = rng.random() < settings.moving
    direction = rng.choice(DIRECTIONS[:4]) if moves else "still"
    if moves:
        end = min(end, start + 4.0)
    path = rng.uniform(0.3, 0.55) if moves else 0.0
    step = STEPS[direction]
    place = []
    for axis in range(2):
        low, high = margins[axis], 1 - margins[axis]
        low, high = low + max(0, -step[axis]) * path, high - max(0, step[axis]) * path
        place.append(rng.uniform(low, high))
    rgb = tuple(min(255, max(0, round(c + rng.uniform(-14, 14)))) for c in PALETTE[color])
    angle = rng.uniform(-0.2, 0.2)
    return Event(
        shape,
        color,
        (rgb[0], rgb[1], rgb[2]),
        round(start, 4),
        round(end, 4),
        place[0],
        place[1],
        direction,
        path,
        radius,
        angle,
    )


def _touch(one: Event, two: Event, size: tuple[int, int]) -> bool:
    """Whether two objects come closer than their radii while both are in sight."""
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


def _backdrop(rng: random.Random) -> Backdrop:
    base, tint = rng.uniform(0.42, 0.62), rng.uniform(-0.05, 0.05)
    floor = base * rng.uniform(0.5, 0.65)
    return Backdrop(
        (base + tint, base, base - tint),
        (floor, floor * 0.95, floor * 0.9),
        rng.uniform(0.6, 0.72),
        rng.uniform(0.25, 0.45),
        rng.uniform(0, 2 * math.pi),
    )
