"""Questions about SparkWorld scenes, and their answers by rule from the event log."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adaspark.mini.phrases import Style, word
from adaspark.mini.world import COLORS, SHAPES, Event, Scene

NONE = "none"
THIRDS = ("start", "middle", "end")


@dataclass(frozen=True)
class Question:
    """One question with its answer. `event` is the index of the event asked about, or None."""

    family: str
    text: str
    answer: str
    event: int | None = None


def questions(
    scene: Scene,
    rng: random.Random,
    *,
    count: int,
    families: Sequence[str] | None = None,
    sentence_share: float = 1.0,
    loose: bool = True,
) -> list[Question]:
    """Draw `count` questions that the scene answers without doubt.

    Families are drawn evenly and skipped where the scene cannot answer them, so the list is short
    only where the scene fits none of the asked families. `loose` lets case, end mark and spacing
    vary the way people type.
    """
    wanted = list(families or FAMILIES)
    found: list[Question] = []
    for _ in range(12 * count):
        if len(found) == count:
            break
        sentence: Style = "loose" if loose else "plain"
        style: Style = sentence if rng.random() < sentence_share else "short"
        question = FAMILIES[rng.choice(wanted)](scene, rng, style)
        if question is not None:
            found.append(question)
    return found


def question_chips() -> list[str]:
    """Questions that the bundled model understands, one a family, for the page."""
    return [
        "What color is the circle?",
        "What shape is the red object?",
        "Which color appears first?",
        "How many objects appear?",
        "Which way does the star move?",
        "Where is the square?",
        "When does the triangle appear?",
        "Is there a blue heart?",
        "Which color is the most common?",
    ]


def _single(values: Sequence[str], index: int) -> bool:
    return values.count(values[index]) == 1


def _shapes(scene: Scene) -> list[str]:
    return [event.shape for event in scene.events]


def _colors(scene: Scene) -> list[str]:
    return [event.color for event in scene.events]


def _pick(scene: Scene, rng: random.Random, fits: Callable[[int], bool]) -> int | None:
    indices = [index for index in range(len(scene.events)) if fits(index)]
    return rng.choice(indices) if indices else None


def _reference(scene: Scene, index: int, rng: random.Random) -> str | None:
    """A phrase that names this object and no other."""
    event = scene.events[index]
    phrases = []
    if _single(_shapes(scene), index):
        phrases.append(event.shape)
    if _single(_colors(scene), index):
        phrases.append(f"{event.color} object")
    looks = [f"{e.color} {e.shape}" for e in scene.events]
    if _single(looks, index):
        phrases.append(looks[index])
    return rng.choice(phrases) if phrases else None


def _color(scene: Scene, rng: random.Random, style: Style) -> Question | None:
    index = _pick(scene, rng, lambda i: _single(_shapes(scene), i))
    if index is None:
        return None
    event = scene.events[index]
    text = word("color", rng, style=style, shape=event.shape)
    return Question("color", text, event.color, index)


def _shape(scene: Scene, rng: random.Random, style: Style) -> Question | None:
    index = _pick(scene, rng, lambda i: _single(_colors(scene), i))
    if index is None:
        return None
    event = scene.events[index]
    text = word("shape", rng, style=style, color=event.color)
    return Question("shape", text, event.shape, index)


def _absent(scene: Scene, rng: random.Random, style: Style) -> Question | None:
    """The needle that is not there."""
    shapes, colors = _missing(scene)
    if shapes and rng.random() < 0.5:
        text = word("color", rng, style=style, shape=rng.choice(shapes))
    elif colors:
        text = word("shape", rng, style=style, color=rng.choice(colors))
    else:
        return None
    return Question("absent", text, NONE)


def _missing(scene: Scene) -> tuple[list[str], list[str]]:
    """Shapes and colours that no object of the scene has."""
    shapes, colors = _shapes(scene), _colors(scene)
    return [s for s in SHAPES if s not in shapes], [c for c in COLORS if c not in colors]


def _order(scene: Scene, rng: random.Random, style: Style) -> Question | None:
    if len(scene.events) < 2:
        return None
    kind = rng.choice(("color", "shape"))
    values = _colors(scene) if kind == "color" else _shapes(scene)
    which = rng.choice(("first", "last"))
    if rng.random() < 0.5:
        index = 0 if which == "first" else len(values) - 1
        text = word("order_end", rng, style=style, which=which, kind=kind)
        return Question("order", text, values[index], index)
    single = [i for i in range(len(values)) if _single(values, i)]
    if len(single) < 2:
        return None
    one, two = rng.sample(single, 2)
    index = min(one, two) if which == "first" else max(one, two)
    noun = " one" if kind == "color" and rng.random() < 0.5 and style != "short" else ""
    a, b = f"{values[one]}{noun}", f"{values[two]}{noun}"
    text = word("order_pair", rng, style=style, which=which, a=a, b=b)
    return Question("order", text, values[index], index)


def _count(scene: Scene, rng: random.Random, style: Style) -> Question | None:
    if rng.random() < 0.5:
        text = word("count_all", rng, style=style)
        return Question("count", text, str(len(scene.events)))
    values, suffix = rng.choice(((_shapes(scene), "s"), (_colors(scene), " objects")))
    absent = [v for v in (SHAPES if suffix == "s" else COLORS) if v not in values]
    repeated = [v for v in set(values) if values.count(v) > 1]
    pools = [sorted(pool) for pool in (absent, repeated, list(set(values))) if pool]
    value = rng.choice(rng.choice(pools))
    plural = f"{value}es" if value == "cross" else f"{value}{suffix}"
    text = word("count_some", rng, style=style, plural=plural)
    return Question("count", text, str(values.count(value)))


def _motion(scene: Scene, rng: random.Random, style: Style) -> Question | None:
    still = rng.random() < 0.2
    index = _pick(scene, rng, lambda i: _shows_motion(scene, i, still=still))
    reference = None if index is None else _reference(scene, index, rng)
    if index is None or reference is None:
        return None
    text = word("motion", rng, style=style, ref=reference)
    return Question("motion", text, scene.events[index].direction, index)


def _shows_motion(scene: Scene, index: int, *, still: bool) -> bool:
    """Whether the object rests or moves as asked, in sight for three sampled frames or more."""
    event = scene.events[index]
    seen_secs = min(event.end_secs, scene.secs) - max(event.start_secs, 0)
    return (event.direction == "still") == still and seen_secs >= 0.75


def _clear_place(event: Event) -> bool:
    return event.direction == "still" and min(abs(event.x - 0.5), abs(event.y - 0.5)) > 0.07


def _where(scene: Scene, rng: random.Random, style: Style) -> Question | None:
    index = _pick(scene, rng, lambda i: _clear_place(scene.events[i]))
    reference = None if index is None else _reference(scene, index, rng)
    if index is None or reference is None:
        return None
    event = scene.events[index]
    row, column = "top" if event.y < 0.5 else "bottom", "left" if event.x < 0.5 else "right"
    text = word("where", rng, style=style, ref=reference)
    return Question("where", text, f"{row} {column}", index)


def _third(event: Event, secs: float) -> str | None:
    """The third of the clip in which the event starts; None near a border."""
    share = 3 * max(event.start_secs, 0) / secs
    near = abs(share - round(share)) * secs / 3 < 0.3 and round(share) in (1, 2)
    return None if near else THIRDS[min(int(share), 2)]


def _when(scene: Scene, rng: random.Random, style: Style) -> Question | None:
    answer = rng.choice(THIRDS)
    index = _pick(scene, rng, lambda i: _third(scene.events[i], scene.secs) == answer)
    reference = None if index is None or scene.secs < 4 else _reference(scene, index, rng)
    if reference is None:
        return None
    text = word("when", rng, style=style, ref=reference)
    return Question("when", text, answer, index)


def _exists(scene: Scene, rng: random.Random, style: Style) -> Question | None:
    """Yes or no; half of the no's name a colour and a shape that are there, but not together."""
    if not scene.events:
        return None
    index = rng.randrange(len(scene.events))
    event = scene.events[index]
    if rng.random() < 0.5:
        looks = f"{event.color} {event.shape}"
        reference = rng.choice((event.shape, f"{event.color} object", looks))
        text = word("exists", rng, style=style, ref=reference)
        return Question("exists", text, "yes", index)
    seen = {(e.color, e.shape) for e in scene.events}
    pairs = [(c, s) for c in _colors(scene) for s in _shapes(scene) if (c, s) not in seen]
    shapes, colors = _missing(scene)
    absent = [*shapes, *(f"{color} object" for color in colors)]
    if pairs and (rng.random() < 0.5 or not absent):
        absent = [" ".join(pair) for pair in pairs]
    if not absent:
        return None
    reference = rng.choice(absent)
    return Question("exists", word("exists", rng, style=style, ref=reference), "no")


def _most(scene: Scene, rng: random.Random, style: Style) -> Question | None:
    kind = rng.choice(("color", "shape"))
    ranked = Counter(_colors(scene) if kind == "color" else _shapes(scene)).most_common()
    if len(ranked) < 2 or ranked[0][1] == ranked[1][1]:
        return None
    text = word("most", rng, style=style, kind=kind)
    return Question("most", text, ranked[0][0])


Maker = Callable[[Scene, random.Random, Style], Question | None]
FAMILIES: dict[str, Maker] = {
    "color": _color,
    "shape": _shape,
    "absent": _absent,
    "order": _order,
    "count": _count,
    "motion": _motion,
    "where": _where,
    "when": _when,
    "exists": _exists,
    "most": _most,
}
