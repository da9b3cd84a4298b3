"""Questions about when and where: order, change, places, seconds."""

from __future__ import annotations

import math
from itertools import permutations

from adaspark.mini.questions.question import Asker, Question
from adaspark.mini.world.event import Event

_GROUNDED_SECS = 2.0  # shorter events have no span in whole seconds
_PROBES = 7  # moments at which a relation must hold


def order(ask: Asker) -> Question | None:
    """Which colour or shape comes first or last, of all or of two."""
    if len(ask.scene.events) < 2:
        return None
    kind = ask.rng.choice(("color", "shape"))
    which = ask.rng.choice(("first", "last"))
    return (_order_end if ask.rng.random() < 0.5 else _order_pair)(ask, kind, which)


def _order_end(ask: Asker, kind: str, which: str) -> Question | None:
    index = 0 if which == "first" else len(ask.scene.events) - 1
    event = ask.scene.events[index]
    if kind == "color" and event.turns:
        return None
    answer = event.color if kind == "color" else event.shape
    return ask.question("order", "order_end", answer, [index], which=which, kind=kind)


def _order_pair(ask: Asker, kind: str, which: str) -> Question | None:
    own, values = (ask.own_color, ask.colors) if kind == "color" else (ask.own_shape, ask.shapes)
    single = [index for index in range(len(values)) if own(index)]
    if len(single) < 2:
        return None
    one, two = ask.rng.sample(single, 2)
    index, other = sorted((one, two), reverse=which == "last")
    noun = kind == "color" and ask.style != "short" and ask.rng.random() < 0.5
    a, b = (f"{values[i]} one" if noun else values[i] for i in (one, two))
    return ask.question("order", "order_pair", values[index], [index, other], which=which, a=a, b=b)


def motion(ask: Asker) -> Question | None:
    """Which way an object moves, or what colour it turns into."""
    changing = ask.pick(lambda i: ask.scene.events[i].turns is not None)
    if changing is not None and ask.rng.random() < 0.5:
        return _turn(ask, changing)
    still = ask.rng.random() < 0.2
    index = ask.pick(lambda i: _shows_motion(ask, ask.scene.events[i], still=still))
    reference = None if index is None else ask.reference(index)
    if index is None or reference is None:
        return None
    return ask.question(
        "motion", "motion", ask.scene.events[index].direction, [index], ref=reference
    )


def _turn(ask: Asker, index: int) -> Question | None:
    event = ask.scene.events[index]
    if event.turns is None or not ask.own_shape(index):
        return None
    named = ask.rng.choice((event.shape, f"{event.color} {event.shape}"))
    return ask.question("motion", "turn", event.turns, [index], ref=named)


def _shows_motion(ask: Asker, event: Event, *, still: bool) -> bool:
    """Whether the object rests or moves as asked, and is there for three frames or more."""
    start, end = ask.span(event)
    return (event.direction == "still") == still and end - start >= 3 * ask.frame_secs


def spatial(ask: Asker) -> Question | None:
    """The corner of an object at rest, or on which side of another it is while both are there."""
    return (_where if ask.rng.random() < 0.5 else _relation)(ask)


def _where(ask: Asker) -> Question | None:
    index = ask.pick(lambda i: _clear_place(ask.scene.events[i]))
    reference = None if index is None else ask.reference(index)
    if index is None or reference is None:
        return None
    event = ask.scene.events[index]
    row, column = "top" if event.y < 0.5 else "bottom", "left" if event.x < 0.5 else "right"
    return ask.question("spatial", "where", f"{row} {column}", [index], ref=reference)


def _clear_place(event: Event) -> bool:
    """At rest, and further from both middle lines than the camera ever moves."""
    return event.direction == "still" and min(abs(event.x - 0.5), abs(event.y - 0.5)) > 0.07


def _relation(ask: Asker) -> Question | None:
    if len(ask.scene.events) < 2:
        return None
    one, two = ask.rng.sample(range(len(ask.scene.events)), 2)
    return _relation_of(ask, "spatial", one, two, ask.rng.choice((0, 1)))


def relation(ask: Asker) -> Question | None:
    """On which side of another an object is, for any two of the scene that allow it."""
    pairs = list(permutations(range(len(ask.scene.events)), 2))
    ask.rng.shuffle(pairs)
    axes = ask.rng.sample((0, 1), 2)
    asked = (_relation_of(ask, "relation", *pair, axis) for pair in pairs for axis in axes)
    return next((question for question in asked if question is not None), None)


def _relation_of(ask: Asker, family: str, one: int, two: int, axis: int) -> Question | None:
    side = _side(ask, ask.scene.events[one], ask.scene.events[two], axis)
    a, b = ask.reference(one), ask.reference(two)
    if side is None or a is None or b is None:
        return None
    form, answers = (("beside", ("left", "right")), ("above", ("above", "below")))[axis]
    return ask.question(family, form, answers[side], [one, two], a=a, b=b)


def _side(ask: Asker, one: Event, two: Event, axis: int) -> int | None:
    """0 if `one` is left of (above) `two`, 1 if right (below), None if not clear."""
    (start1, end1), (start2, end2) = ask.span(one), ask.span(two)
    start, end = max(start1, start2), min(end1, end2)
    if end - start < 3 * ask.frame_secs:
        return None
    gaps = []
    for index in range(_PROBES):
        secs = start + (end - start) * (index + 0.5) / _PROBES
        if not (ask.scene.in_sight(one, secs) and ask.scene.in_sight(two, secs)):
            return None
        gaps.append(one.place(secs)[axis] - two.place(secs)[axis])
    if min(abs(gap) for gap in gaps) < 0.12 or min(gaps) < 0 < max(gaps):
        return None
    return int(gaps[0] > 0)


def grounding(ask: Asker) -> Question | None:
    """From which second to which an object is there: "3 to 9", from the clip's start, rounded."""
    index = ask.pick(lambda i: _clear_span(ask, ask.scene.events[i]))
    reference = None if index is None else ask.reference(index)
    if index is None or reference is None:
        return None
    start, end = ask.span(ask.scene.events[index])
    answer = f"{_rounded(start)} to {_rounded(end)}"
    return ask.question("grounding", "grounding", answer, [index], ref=reference)


def _clear_span(ask: Asker, event: Event) -> bool:
    """Whether the first and the last frame that show the event round as its start and end do."""
    start, end = ask.span(event)
    return (
        end - start >= _GROUNDED_SECS
        and _rounded(start) == _rounded(start + ask.frame_secs)
        and _rounded(end) == _rounded(end - ask.frame_secs)
    )


def _rounded(secs: float) -> int:
    return math.floor(secs + 0.5)


def at_time(ask: Asker) -> Question | None:
    """The colour or shape of the one object in sight around a whole second, of several in all."""
    if len(ask.scene.events) < 2:
        return None
    kind = ask.rng.choice(("color", "shape"))
    moments = [(secs, _alone(ask, secs)) for secs in range(1, math.ceil(ask.scene.secs))]
    # Each object counts once, however long it is alone.
    alone = sorted({index for _, index in moments if index is not None})
    if not alone:
        return None
    index = ask.rng.choice(alone)
    secs = ask.rng.choice([moment for moment, there in moments if there == index])
    event = ask.scene.events[index]
    answer = event.color_at(secs) if kind == "color" else event.shape
    return ask.question("at_time", f"at_{kind}", answer, [index], secs=str(secs))


def _alone(ask: Asker, secs: float) -> int | None:
    """The event that is in sight, unchanged, for three frames around `secs`, if it is alone."""
    reach = 3 * ask.frame_secs
    first, last = max(secs - reach, 0.0), min(secs + reach, ask.scene.secs - 1e-3)
    near = [
        index
        for index, event in enumerate(ask.scene.events)
        if event.start_secs <= last and event.end_secs >= first
    ]
    if len(near) != 1:
        return None
    event = ask.scene.events[near[0]]
    moments = [first + (last - first) * index / (_PROBES - 1) for index in range(_PROBES)]
    seen = all(ask.scene.in_sight(event, moment) for moment in moments)
    return near[0] if seen and event.color_at(first) == event.color_at(last) else None
