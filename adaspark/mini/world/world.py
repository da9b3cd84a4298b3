"""SparkWorld: seeded scenes as event logs in continuous time; pictures and questions follow.

Source: ours. A scene is a pure function of its seed and its settings. Each effect draws from a
stream of its own, so one effect's share can change and the rest of the scene stays as it is
(only a moving camera keeps objects further from the edges).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from adaspark.mini.world import effects
from adaspark.mini.world.event import Event
from adaspark.mini.world.placement import Look, Span, fit_event
from adaspark.mini.world.scene import Scene
from adaspark.mini.world.settings import SceneSettings
from adaspark.mini.world.vocabulary import COLORS, FILLS, MAX_EVENTS, SHAPES

SLICE_SECS = 0.5


def sample_scene(seed: int, settings: SceneSettings) -> Scene:
    """Draw the scene of `seed`. The same seed and settings always give the same scene."""
    rng = random.Random(seed)
    camera = effects.draw_camera(_stream(seed, "camera"), settings)
    events: list[Event] = []
    for look, span in _cast(rng, _stream(seed, "fills"), settings):
        event = fit_event(
            rng, events, look, span, size=settings.size, moving=settings.moving, camera=camera
        )
        if event is not None:
            events.append(event)
    backdrop = effects.draw_backdrop(rng)
    needle = events[0] if settings.needle else None
    events.sort(key=lambda event: event.start_secs)
    index = None if needle is None else events.index(needle)
    effects.turn_one(_stream(seed, "turning"), events, index, settings)
    effects.fade_one(_stream(seed, "pale"), events, index, settings)
    return Scene(
        seed,
        settings.secs,
        settings.size,
        tuple(events),
        backdrop,
        effects.draw_style(_stream(seed, "style"), settings),
        camera,
        effects.draw_distractors(_stream(seed, "distractors"), events, settings),
        effects.draw_occluder(_stream(seed, "occluder"), events, settings),
        index,
    )


def _stream(seed: int, name: str) -> random.Random:
    return random.Random(f"{seed}-{name}")


def _cast(
    rng: random.Random, fills: random.Random, settings: SceneSettings
) -> list[tuple[Look, Span]]:
    """Look and span of each object; the needle, if there is one, comes first."""
    needle = [] if settings.needle is None else [_needle_span(*settings.needle, settings.secs)]
    pair = fills.random() < settings.lookalikes
    wanted = max(rng.randint(*settings.objects), len(needle) + (2 if pair else 0))
    others = min(wanted, int(settings.secs / SLICE_SECS), MAX_EVENTS) - len(needle)
    repeats = rng.random() < settings.repeats
    looks = [
        (shape, color, fill or FILLS[fills.random() < settings.striped])
        for shape, color, fill in _looks(rng, len(needle), others, pair=pair, repeats=repeats)
    ]
    spans = needle + _spans(rng, others, needle, settings)
    return list(zip(looks, spans, strict=True))


def _looks(
    rng: random.Random, needles: int, others: int, *, pair: bool, repeats: bool
) -> list[tuple[str, str, str | None]]:
    """Shape, colour and fill (None: any) of each object, needles first.

    All are different, but for a pair of look-alikes or one shape or colour that `repeats`.
    """
    shapes, colors = rng.sample(SHAPES, len(SHAPES)), rng.sample(COLORS, len(COLORS))
    fills: list[str | None] = [None] * len(SHAPES)
    if pair and others > 1:
        shapes[needles + 1] = shapes[needles]
        fills[needles : needles + 2] = FILLS
    elif repeats and others > 1:
        same = rng.randint(2, others)
        which = rng.choice((shapes, colors))
        which[needles : needles + same] = [which[needles]] * same
    looks = list(zip(shapes, colors, fills, strict=True))
    rest = looks[needles : needles + others]
    rng.shuffle(rest)
    return looks[:needles] + rest


def _needle_span(depth: float, length: float, secs: float) -> Span:
    """The needle's start and end: its middle at the wanted depth, or as near as it fits."""
    length = min(length, secs)
    start = min(max(depth * secs - length / 2, 0.0), secs - length)
    return start, start + length


def _spans(
    rng: random.Random, count: int, taken: Sequence[Span], settings: SceneSettings
) -> list[Span]:
    """Start and end of each object, sorted by start; no two objects start in one slice."""
    secs = settings.secs
    slices = int(secs / SLICE_SECS)
    last = max(slices - 2, count + len(taken) - 1)
    full = {int(start / SLICE_SECS) for start, _ in taken}
    free = [index for index in range(last + 1) if index not in full]
    spans = []
    for start_slice in sorted(rng.sample(free, count)):
        start = start_slice * SLICE_SECS + rng.uniform(0.0, 0.15)
        if start_slice == 0:
            start = -0.2  # there from the first frame
        long = rng.random() < 0.35 or slices <= 2
        length = rng.uniform(0.5, 1.0) * secs if long else rng.uniform(*settings.brief_secs)
        spans.append((start, min(start + length, secs + 0.2)))
    return spans
