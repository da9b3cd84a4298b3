"""What makes scenes differ beyond their objects' looks and places, each by its share."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

from adaspark.mini.world.event import Event
from adaspark.mini.world.placement import fit_distractor, fit_occluder, shade_of, shown_span
from adaspark.mini.world.scene import Backdrop, Camera, Distractor, Occluder
from adaspark.mini.world.settings import SceneSettings
from adaspark.mini.world.vocabulary import COLORS, MAX_DISTRACTORS, STYLES

TURN_SECS = 2.0  # an object that changes its colour is there for at least this long


def draw_backdrop(rng: random.Random) -> Backdrop:
    """Colours and light of a scene's backdrop, whatever its style."""
    base, tint = rng.uniform(0.42, 0.62), rng.uniform(-0.05, 0.05)
    floor = base * rng.uniform(0.5, 0.65)
    return Backdrop(
        (base + tint, base, base - tint),
        (floor, floor * 0.95, floor * 0.9),
        rng.uniform(0.6, 0.72),
        rng.uniform(0.25, 0.45),
        rng.uniform(0, 2 * math.pi),
    )


def draw_style(rng: random.Random, settings: SceneSettings) -> str:
    """The room, or one of the other styles."""
    return rng.choice(STYLES[1:]) if rng.random() < settings.styled else STYLES[0]


def draw_camera(rng: random.Random, settings: SceneSettings) -> Camera:
    """A still camera, or one that sways by at most 0.06 of the frame and 0.032 a second.

    The slowest objects move at 0.075 a second: which way they go stays clear in the picture.
    """
    if rng.random() >= settings.camera:
        return Camera()
    reach, heading = rng.uniform(0.03, 0.06), rng.uniform(0, 2 * math.pi)
    return Camera(
        reach * math.cos(heading),
        reach * math.sin(heading),
        rng.uniform(12.0, 20.0),
        rng.uniform(0, 2 * math.pi),
    )


def draw_distractors(
    rng: random.Random, events: Sequence[Event], settings: SceneSettings
) -> tuple[Distractor, ...]:
    """None, or one to three patches that touch neither objects nor each other."""
    if rng.random() >= settings.distractors:
        return ()
    found: list[Distractor] = []
    for _ in range(rng.randint(1, MAX_DISTRACTORS)):
        patch = fit_distractor(rng, [*events, *found], settings.secs, settings.size)
        found += [patch] if patch else []
    return tuple(found)


def draw_occluder(
    rng: random.Random, events: Sequence[Event], settings: SceneSettings
) -> Occluder | None:
    """A pillar, or None if it would hide an object too much to be asked about."""
    if rng.random() >= settings.occluder:
        return None
    return fit_occluder(rng, events, settings.secs, settings.size)


def turn_one(
    rng: random.Random, events: list[Event], needle: int | None, settings: SceneSettings
) -> None:
    """Let one object of its own shape take a colour that no other object has."""
    shapes = [event.shape for event in events]
    spans = [shown_span(event, settings.secs) for event in events]
    fits = [
        index
        for index, (start, end) in enumerate(spans)
        if end - start >= TURN_SECS and index != needle and shapes.count(shapes[index]) == 1
    ]
    unused = [color for color in COLORS if all(event.color != color for event in events)]
    if rng.random() >= settings.turning or not fits or not unused:
        return
    index, color = rng.choice(fits), rng.choice(unused)
    middle = round(sum(spans[index]) / 2, 4)
    events[index] = replace(
        events[index], turns=color, turn_secs=middle, turn_rgb=shade_of(rng, color)
    )


def fade_one(
    rng: random.Random, events: list[Event], needle: int | None, settings: SceneSettings
) -> None:
    """Make the needle pale, or any object if there is no needle."""
    if rng.random() < settings.pale and events:
        index = rng.randrange(len(events)) if needle is None else needle
        events[index] = replace(events[index], pale=True)
