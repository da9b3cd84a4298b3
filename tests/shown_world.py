"""SparkWorld's answers again, from nothing but what the sampled frames show and the words asked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from adaspark.mini.questions.question import Question
from adaspark.mini.world.scene import Scene
from adaspark.mini.world.vocabulary import COLORS, FILLS, SHAPES

LOOKS = (*COLORS, *FILLS, *SHAPES)


@dataclass(frozen=True)
class Seen:
    """One object in one frame."""

    frame: int
    who: int
    looks: frozenset[str]  # fill, colour, shape
    x: float  # in the picture
    y: float
    across: float  # on the backdrop, which moves with the camera
    down: float


Frames = list[Seen]


def shown(scene: Scene, *, phase_secs: float = 0.0) -> Frames:
    """What frames at 4 a second show, those behind a pillar left out."""
    found = []
    for frame in range(round(scene.secs * 4)):
        secs = phase_secs + frame / 4
        for who, event in enumerate(scene.events):
            if scene.in_sight(event, secs):
                looks = frozenset((event.fill, event.color_at(secs), event.shape))
                place = scene.picture_place(event, secs)
                shift = scene.camera.shift(secs)
                on_backdrop = place[0] - shift[0], place[1] - shift[1]
                found.append(Seen(frame, who, looks, *place, *on_backdrop))
    return found


def named(text: str) -> list[set[str]]:
    """The looks of each object that a sentence names, in order."""
    found = re.findall(rf"\b(?:(?:{'|'.join(LOOKS)})(?:s|es)?\b ?)+", text)
    return [{_singular(word) for word in words.split()} for words in found]


def _singular(word: str) -> str:
    return word if word in LOOKS else word.removesuffix("s").replace("crosse", "cross")


def holders(frames: Frames, looks: set[str]) -> Frames:
    """The sightings of objects with these looks."""
    return [seen for seen in frames if looks <= seen.looks]


def one(values: set[str]) -> str:
    """The only value."""
    assert len(values) == 1, values
    return values.pop()


def kind_of(frames: Frames, kind: str) -> str:
    """The one colour or shape of all sightings."""
    names = COLORS if kind == "color" else SHAPES
    return one({look for seen in frames for look in seen.looks if look in names})


def everyone(frames: Frames) -> list[Frames]:
    """Each object's sightings, by first appearance."""
    order = list(dict.fromkeys(seen.who for seen in frames))
    return [[seen for seen in frames if seen.who == who] for who in order]


def alone(frames: Frames, looks: set[str]) -> Frames:
    """The sightings of the one object with these looks, whatever it looks like later."""
    (who,) = {seen.who for seen in holders(frames, looks)}
    return [seen for seen in frames if seen.who == who]


def answer(question: Question, frames: Frames) -> str:
    """The answer that the frames give."""
    return ANSWERS[question.form](question.text, frames)


def _attribute(kind: str) -> Callable[[str, Frames], str]:
    def read(text: str, frames: Frames) -> str:
        found = holders(frames, named(text)[0])
        return kind_of(found, kind) if found else "none"

    return read


def _order_end(text: str, frames: Frames) -> str:
    ends = everyone(frames)
    return kind_of(ends[-1 if "last" in text else 0], "color" if "color" in text else "shape")


def _order_pair(text: str, frames: Frames) -> str:
    pair = named(text)
    starts = [alone(frames, looks)[0].frame for looks in pair]
    assert starts[0] != starts[1]
    later = starts[1] > starts[0]
    return one(pair[int(later == ("last" in text))])


def _motion(text: str, frames: Frames) -> str:
    found = alone(frames, named(text)[0])
    across, down = found[-1].across - found[0].across, found[-1].down - found[0].down
    assert len(found) >= 2
    if max(abs(across), abs(down)) < 1e-6:
        return "still"
    if abs(across) > abs(down):
        return "right" if across > 0 else "left"
    return "down" if down > 0 else "up"


def _where(text: str, frames: Frames) -> str:
    found = alone(frames, named(text)[0])
    return one({f"{'top' if s.y < 0.5 else 'bottom'} {'left' if s.x < 0.5 else 'right'}"
                for s in found})  # fmt: skip


def _side(text: str, frames: Frames) -> str:
    pair = named(text)
    if re.match("Left|Above|On which", text):
        pair.reverse()
    first, second = ({seen.frame: seen for seen in alone(frames, looks)} for looks in pair)
    both = first.keys() & second.keys()
    assert len(both) >= 2
    if re.search("above|Above", text):
        return one({"above" if first[f].y < second[f].y else "below" for f in both})
    return one({"left" if first[f].x < second[f].x else "right" for f in both})


def _grounding(text: str, frames: Frames) -> str:
    found = alone(frames, named(text)[0])
    first, last = found[0].frame, found[-1].frame
    return f"{(first + 2) // 4} to {(last + 2) // 4}"


def _at(kind: str) -> Callable[[str, Frames], str]:
    def read(text: str, frames: Frames) -> str:
        frame = 4 * int(re.findall(r"\d+", text)[0])
        near = [seen for seen in frames if abs(seen.frame - frame) <= 2]
        assert len({seen.who for seen in near}) == 1
        return kind_of(near, kind)

    return read


def _most(text: str, frames: Frames) -> str:
    kind = "color" if "color" in text else "shape"
    (top, most), (_, next_most) = Counter(
        kind_of(sightings, kind) for sightings in everyone(frames)
    ).most_common(2)
    assert most > next_most
    return top


def _count(text: str, frames: Frames) -> str:
    found = named(text)
    return str(len({seen.who for seen in holders(frames, found[0] if found else set())}))


def _turn(text: str, frames: Frames) -> str:
    return kind_of(alone(frames, named(text)[0])[-1:], "color")


ANSWERS: dict[str, Callable[[str, Frames], str]] = {
    "color": _attribute("color"),
    "shape": _attribute("shape"),
    "order_end": _order_end,
    "order_pair": _order_pair,
    "count_all": _count,
    "count_some": _count,
    "motion": _motion,
    "turn": _turn,
    "where": _where,
    "beside": _side,
    "above": _side,
    "grounding": _grounding,
    "at_color": _at("color"),
    "at_shape": _at("shape"),
    "most": _most,
    "exists": lambda text, frames: "yes" if holders(frames, named(text)[0]) else "no",
}
