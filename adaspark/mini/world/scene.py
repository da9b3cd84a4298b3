"""What a SparkWorld scene is made of: an event log in continuous time, and what hides or moves it.

Places are in scene coordinates: shares of the frame's width and height, (0, 0) at the top left.
The camera moves the whole scene; `Scene.picture_place` says where a thing is in the picture.
Source: ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from adaspark.mini.world.event import Event

FREE_SHARE = 0.5  # an object is in sight while at least this share of its disc is free


@dataclass(frozen=True)
class Backdrop:
    """Two colours, where they meet, light from the left, and a phase for textures.

    In a "room" they are a wall and a floor: with them a place in the picture can be seen.
    """

    wall: tuple[float, float, float]
    floor: tuple[float, float, float]
    horizon: float
    light: float
    phase: float


@dataclass(frozen=True)
class Camera:
    """A slow sway: the whole scene is shifted by (x, y) * sin(2 pi secs / period_secs + phase)."""

    x: float = 0.0
    y: float = 0.0
    period_secs: float = 1.0
    phase: float = 0.0

    def shift(self, secs: float) -> tuple[float, float]:
        """How far the scene is shifted at `secs`, in shares of width and height."""
        wave = math.sin(2 * math.pi * secs / self.period_secs + self.phase)
        return self.x * wave, self.y * wave


@dataclass(frozen=True)
class Distractor:
    """A brief black and white patch without edge; no question is ever about it."""

    pattern: str
    start_secs: float
    end_secs: float
    x: float
    y: float
    radius: float

    def place(self, secs: float) -> tuple[float, float]:
        """Centre at `secs`: it rests."""
        return self.x, self.y


@dataclass(frozen=True)
class Occluder:
    """A grey pillar from top to bottom, before all objects; `x` and `width` in shares of width."""

    x: float
    width: float
    grey: float


@dataclass(frozen=True)
class Scene:
    """A seeded event log. `events` are sorted by start; `size` is (height, width) in pixels.

    `needle` is the index of the event that was placed at a wanted depth, if one was.
    """

    seed: int
    secs: float
    size: tuple[int, int]
    events: tuple[Event, ...]
    backdrop: Backdrop
    style: str = "room"
    camera: Camera = Camera()
    distractors: tuple[Distractor, ...] = ()
    occluder: Occluder | None = None
    needle: int | None = None

    def picture_place(self, event: Event, secs: float) -> tuple[float, float]:
        """Centre of `event` in the picture at `secs`, the camera included."""
        (x, y), (dx, dy) = event.place(secs), self.camera.shift(secs)
        return x + dx, y + dy

    def in_sight(self, event: Event, secs: float) -> bool:
        """Whether `event` is there at `secs` and at least half of it is not behind the pillar."""
        free = free_share(event, secs, self.occluder, self.size)
        return event.visible(secs) and free >= FREE_SHARE


def free_share(
    event: Event, secs: float, occluder: Occluder | None, size: tuple[int, int]
) -> float:
    """Share of the event's disc that the pillar leaves free at `secs`; `size` is (H, W)."""
    if occluder is None:
        return 1.0
    reach = event.radius * min(size) / size[1]
    offset, half = occluder.x - event.place(secs)[0], occluder.width / 2
    return 1 - (_disc_before((offset + half) / reach) - _disc_before((offset - half) / reach))


def _disc_before(cut: float) -> float:
    """Share of the unit disc's area left of the vertical line at `cut`."""
    cut = min(1.0, max(-1.0, cut))
    return 0.5 + (cut * math.sqrt(1 - cut * cut) + math.asin(cut)) / math.pi
