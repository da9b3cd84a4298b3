"""SparkWorld: seeded scenes as event logs in continuous time; pictures and questions follow.

Source: ours. A scene is a pure function of its seed and its settings. Each effect draws from a
stream of its own, so one effect's share can change and the rest of the scene stays as it is
(only a moving camera keeps objects further from the edges).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adaspark.mini.placement import (
    Look,
    Span,
    fit_distractor,
    fit_event,
    fit_occluder,
    shade_of,
    shown_span,
)
from adaspark.mini.scene import (
    COLORS,
    DIRECTIONS,
    FILLS,
    MAX_DISTRACTORS,
    MAX_EVENTS,
    SHAPES,
    STEPS,
    STYLES,
    Backdrop,
    Camera,
    Distractor,
    Event,
    Occluder,
    Scene,
)

__all__ = [
    "COLORS",
    "DIRECTIONS",
    "FILLS",
    "HELD_OUT_SEED",
    "MAX_EVENTS",
    "SHAPES",
    "SLICE_SECS",
    "STEPS",
    "STYLES",
    "Backdrop",
    "Camera",
    "Distractor",
    "Event",
    "Occluder",
    "Scene",
    "SceneSettings",
    "sample_scene",
]

SLICE_SECS = 0.5
HELD_OUT_SEED = 2**60  # seeds from here on are never drawn in training
TURN_SECS = 2.0  # an object that changes its colour is there for at least this long
_EFFECTS = (
    "styled",
    "camera",
    "distractors",
    "occluder",
    "pale",
    "striped",
    "turning",
    "lookalikes",
)


@dataclass(frozen=True)
class SceneSettings:
    """What scenes are drawn from.

    `objects` is an inclusive range; `brief_secs` the range of a short event's length; `moving`
    the share of moving objects and `striped` that of striped ones. `needle` is (depth, seconds):
    one brief event, unique in shape and colour, whose middle lies at that share of the clip.

    The rest are shares of scenes: `repeats` with a colour or a shape that comes more than once,
    `styled` with another backdrop than the room, `camera` with a swaying camera, `distractors`
    with one to three of them, `occluder` with a pillar, `pale` with one pale object (the needle
    if there is one), `turning` with an object that changes its colour, `lookalikes` with two
    objects of one shape, one striped and one solid, in two colours.
    """

    frames: int = 16
    size: tuple[int, int] = (112, 112)
    objects: tuple[int, int] = (2, 3)
    repeats: float = 0.25
    brief_secs: tuple[float, float] = (1.0, 3.0)
    moving: float = 0.5
    fps: float = 4.0
    needle: tuple[float, float] | None = None
    styled: float = 0.6
    camera: float = 0.3
    distractors: float = 0.3
    occluder: float = 0.2
    pale: float = 0.15
    striped: float = 0.15
    turning: float = 0.1
    lookalikes: float = 0.1

    @property
    def secs(self) -> float:
        """Length of the clip in seconds."""
        return self.frames / self.fps

    def with_effects(self, strength: float) -> SceneSettings:
        """The same settings with every effect's share times `strength`."""
        return replace(self, **{name: strength * getattr(self, name) for name in _EFFECTS})

    def plain(self) -> SceneSettings:
        """The same settings without effects: the room, a still camera, solid objects alone."""
        return self.with_effects(0.0)


def sample_scene(seed: int, settings: SceneSettings) -> Scene:
    """Draw the scene of `seed`. The same seed and settings always give the same scene."""
    rng = random.Random(seed)
    camera = _camera(_stream(seed, "camera"), settings)
    cast = _cast(rng, _stream(seed, "fills"), settings)
    events: list[Event] = []
    for look, span in cast:
        event = fit_event(
            rng,
            events,
            look,
            span,
            size=settings.size,
            moving=settings.moving,
            camera=camera,
        )
        if event is not None:
            events.append(event)
    backdrop = _backdrop(rng)
    needle = events[0] if settings.needle else None
    events.sort(key=lambda event: event.start_secs)
    place = None if needle is None else events.index(needle)
    _turn_one(_stream(seed, "turning"), events, place, settings)
    _pale_one(_stream(seed, "pale"), events, place, settings)
    return Scene(
        seed,
        settings.secs,
        settings.size,
        tuple(events),
        backdrop,
        _style(_stream(seed, "style"), settings),
        camera,
        _distractors(_stream(seed, "distractors"), events, settings),
        _occluder(_stream(seed, "occluder"), events, settings),
        place,
    )


def _stream(seed: int, name: str) -> random.Random:
    return random.Random(f"{seed}-{name}")


def _cast(
    rng: random.Random, fills: random.Random, settings: SceneSettings
) -> list[tuple[Look, Span]]:
    """Look and span of each object; the needle, if there is one, comes first."""
    pair = fills.random() < settings.lookalikes
    needles = 0 if settings.needle is None else 1
    wanted = max(rng.randint(*settings.objects), needles + (2 if pair else 0))
    wanted = min(wanted, int(settings.secs / SLICE_SECS), MAX_EVENTS)
    repeats = rng.random() < settings.repeats
    looks = _looks(rng, fills, wanted, needles, pair=pair, repeats=repeats, settings=settings)
    needle = [_needle_span(settings)] if settings.needle else []
    spans = needle + _spans(rng, wanted - needles, needle, settings)
    return list(zip(looks, spans, strict=True))


def _looks(
    rng: random.Random,
    fills: random.Random,
    count: int,
    needles: int,
    *,
    pair: bool,
    repeats: bool,
    settings: SceneSettings,
) -> list[Look]:
    """Shape, colour and fill of each object: all different but for a repeat or look-alikes."""
    shapes, colors = rng.sample(SHAPES, len(SHAPES)), rng.sample(COLORS, len(COLORS))
    others = count - needles
    striped = [FILLS[fills.random() < settings.striped] for _ in range(count)]
    if pair and others > 1:
        shapes[needles + 1] = shapes[needles]
        striped[needles : needles + 2] = FILLS
    elif repeats and others > 1:
        same = rng.randint(2, others)
        which = rng.choice((shapes, colors))
        which[needles : needles + same] = [which[needles]] * same
    looks = list(zip(shapes[:count], colors[:count], striped, strict=True))
    rest = looks[needles:]
    rng.shuffle(rest)
    return looks[:needles] + rest


def _needle_span(settings: SceneSettings) -> Span:
    """The needle's start and end: its middle at the wanted depth, or as near as it fits."""
    assert settings.needle is not None
    depth, length = settings.needle
    length = min(length, settings.secs)
    start = min(max(depth * settings.secs - length / 2, 0.0), settings.secs - length)
    return start, start + length


def _spans(
    rng: random.Random, count: int, taken: Sequence[Span], settings: SceneSettings
) -> list[Span]:
    """Start and end of each object, sorted by start; no two objects start in one slice."""
    slices = int(settings.secs / SLICE_SECS)
    last = max(slices - 2, count - 1 + len(taken))
    full = {int(start / SLICE_SECS) for start, _ in taken}
    free = [index for index in range(last + 1) if index not in full]
    spans = []
    for start_slice in sorted(rng.sample(free, count)):
        start = start_slice * SLICE_SECS + rng.uniform(0.0, 0.15)
        if start_slice == 0:
            start = -0.2  # there from the first frame
        long = rng.random() < 0.35 or slices <= 2
        length = (
            rng.uniform(0.5, 1.0) * settings.secs if long else rng.uniform(*settings.brief_secs)
        )
        spans.append((start, min(start + length, settings.secs + 0.2)))
    return spans


def _turn_one(
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


def _pale_one(
    rng: random.Random, events: list[Event], needle: int | None, settings: SceneSettings
) -> None:
    if rng.random() < settings.pale and events:
        index = rng.randrange(len(events)) if needle is None else needle
        events[index] = replace(events[index], pale=True)


def _style(rng: random.Random, settings: SceneSettings) -> str:
    return rng.choice(STYLES[1:]) if rng.random() < settings.styled else STYLES[0]


def _camera(rng: random.Random, settings: SceneSettings) -> Camera:
    """At most 0.06 in reach and 0.032 a second: less than half of the slowest object's speed."""
    if rng.random() >= settings.camera:
        return Camera()
    reach, heading = rng.uniform(0.03, 0.06), rng.uniform(0, 2 * math.pi)
    return Camera(
        reach * math.cos(heading),
        reach * math.sin(heading),
        rng.uniform(12.0, 20.0),
        rng.uniform(0, 2 * math.pi),
    )


def _distractors(
    rng: random.Random, events: Sequence[Event], settings: SceneSettings
) -> tuple[Distractor, ...]:
    if rng.random() >= settings.distractors:
        return ()
    found: list[Distractor] = []
    for _ in range(rng.randint(1, MAX_DISTRACTORS)):
        patch = fit_distractor(rng, [*events, *found], settings.secs, settings.size)
        found += [patch] if patch else []
    return tuple(found)


def _occluder(
    rng: random.Random, events: Sequence[Event], settings: SceneSettings
) -> Occluder | None:
    if rng.random() >= settings.occluder:
        return None
    return fit_occluder(rng, events, settings.secs, settings.size)


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
