"""One question about one scene: what may be asked, and how its objects are named."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adaspark.mini.questions.phrases import Style, word
from adaspark.mini.world.event import Event
from adaspark.mini.world.scene import Scene
from adaspark.mini.world.vocabulary import COLORS, FILLS, SHAPES

NONE = "none"
FRAME_SECS = 0.25  # time between two frames at the model's rate


@dataclass(frozen=True)
class Question:
    """One question with its answer.

    `event` is the index of the event asked about, or None; `events` are all that the answer rests
    on, that one first. `form` is the kind of wording within the family.
    """

    family: str
    text: str
    answer: str
    event: int | None = None
    form: str = ""
    events: tuple[int, ...] = ()


@dataclass(frozen=True)
class Asker:
    """What every family needs to ask about one scene.

    `frame_secs` is the time between two shown frames: what falls between them is never asked.
    """

    scene: Scene
    rng: random.Random
    style: Style
    frame_secs: float = FRAME_SECS

    @property
    def shapes(self) -> list[str]:
        """Shape of each event."""
        return [event.shape for event in self.scene.events]

    @property
    def colors(self) -> list[str]:
        """First colour of each event."""
        return [event.color for event in self.scene.events]

    @property
    def turns(self) -> bool:
        """Whether an object changes its colour: then colours are not counted."""
        return any(event.turns for event in self.scene.events)

    def question(
        self, family: str, form: str, answer: str, events: Sequence[int] = (), **slots: str
    ) -> Question:
        """Word a question of `form`; the first of `events` is the one asked about."""
        text = word(form, self.rng, style=self.style, **slots)
        event = events[0] if events else None
        return Question(family, text, answer, event, form, tuple(events))

    def pick(self, fits: Callable[[int], bool]) -> int | None:
        """An event that fits, or None."""
        indices = [index for index in range(len(self.scene.events)) if fits(index)]
        return self.rng.choice(indices) if indices else None

    def own_shape(self, index: int) -> bool:
        """Whether no other object has this one's shape."""
        return self.shapes.count(self.shapes[index]) == 1

    def own_color(self, index: int) -> bool:
        """Whether the object keeps its colour and no other ever has it."""
        turned = [event.turns for event in self.scene.events]
        color = self.colors[index]
        return turned[index] is None and [*self.colors, *turned].count(color) == 1

    def own_fill(self, index: int) -> bool:
        """Whether no other object of this one's shape has its fill."""
        looks = [(event.shape, event.fill) for event in self.scene.events]
        return looks.count(looks[index]) == 1

    def reference(self, index: int) -> str | None:
        """A phrase that names this object and no other, or None."""
        event = self.scene.events[index]
        looks = list(zip(self.colors, self.shapes, strict=True))
        phrases = []
        if self.own_shape(index):
            phrases.append(event.shape)
        elif self.own_fill(index):
            phrases.append(f"{event.fill} {event.shape}")
        if self.own_color(index):
            phrases.append(f"{event.color} object")
        if looks.count(looks[index]) == 1 and event.turns is None:
            phrases.append(f"{event.color} {event.shape}")
        return self.rng.choice(phrases) if phrases else None

    def missing(self) -> tuple[list[str], list[str], list[str]]:
        """Shapes, colours and looks ("striped circle", of a shape that is there) nobody has."""
        turned = [event.turns for event in self.scene.events]
        shapes = [shape for shape in SHAPES if shape not in self.shapes]
        colors = [color for color in COLORS if color not in (*self.colors, *turned)]
        seen = {(event.fill, event.shape) for event in self.scene.events}
        there = [shape for shape in SHAPES if shape in self.shapes]
        looks = [f"{f} {s}" for f in FILLS for s in there if (f, s) not in seen]
        return shapes, colors, looks

    def span(self, event: Event) -> tuple[float, float]:
        """First and last moment of the event inside the clip, in seconds."""
        return max(event.start_secs, 0.0), min(event.end_secs, self.scene.secs)
