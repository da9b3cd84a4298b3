"""The clips that evaluations ask about: held-out scenes, with questions of every family."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from adaspark.errors import UserError
from adaspark.eval.harness.conditions import Clip
from adaspark.mini.questions.families import FAMILIES, question_stream, questions, settings_for
from adaspark.mini.training.stages import STAGES
from adaspark.mini.world.seeds import Purpose, held_out_seed
from adaspark.mini.world.world import sample_scene

SEEDS_A_RUN = 10**8
"""Scenes of one purpose between two values of --seed."""
_FRUITLESS = 500  # scenes in a row


@dataclass(frozen=True)
class Length:
    """How long and how large clips are: `frames` at 4 a second, `side` pixels square.

    Raises UserError if the model cannot be shown such clips.
    """

    frames: int
    side: int

    def __post_init__(self) -> None:
        if self.frames < 4 or self.frames % 2 or self.side < 56 or self.side % 28:
            raise UserError(
                "A length is an even number of frames from 4 and a side from 56 pixels that is a "
                f"multiple of 28, such as 64x224; got {self}."
            )

    @classmethod
    def parse(cls, text: str) -> Length:
        """`FRAMESxSIDE`, such as `64x224`."""
        match = re.fullmatch(r"(\d+)x(\d+)", text)
        if match is None:
            raise UserError(f"A length is FRAMESxPIXELS, such as 64x224; got {text!r}.")
        return cls(int(match[1]), int(match[2]))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.side, self.side

    @property
    def tokens(self) -> int:
        """Video tokens."""
        return self.frames // 2 * (self.side // 28) ** 2

    @property
    def is_trained(self) -> bool:
        """Whether training shows clips as long at no smaller a size."""
        trained = [clips for stage in STAGES for clips in stage.clips]
        return any(c.frames >= self.frames and max(c.size) >= self.side for c in trained)

    def __str__(self) -> str:
        return f"{self.frames}x{self.side}"


def mixed_clips(
    length: Length,
    *,
    items: int,
    families: Sequence[str] = tuple(FAMILIES),
    seed: int = 0,
    purpose: Purpose = "evaluation",
) -> list[Clip]:
    """Clips whose questions are `items` of each family, one of a family a clip.

    Scenes are drawn for the family that is furthest from its number, then asked every question that
    they can answer and that is still missing. Raises UserError for a family that such clips cannot
    answer.
    """
    asked: Counter[str] = Counter(dict.fromkeys(families, 0))
    clips: list[Clip] = []
    fruitless = index = 0
    while rarest := next((f for f, n in reversed(asked.most_common()) if n < items), None):
        scene_seed = held_out_seed(purpose, seed * SEEDS_A_RUN + index)
        scene = sample_scene(scene_seed, settings_for(rarest, length.frames, length.size))
        rng = question_stream(scene)
        wanted = [family for family in families if asked[family] < items]
        found = [q for f in wanted for q in questions(scene, rng, count=1, families=[f])]
        asked.update(question.family for question in found)
        if found:
            clips.append(Clip(scene, length.frames, length.size, tuple(found), scene_seed))
        fruitless = 0 if any(q.family == rarest for q in found) else fruitless + 1
        if fruitless == _FRUITLESS:
            raise UserError(f"Clips of {length} answer no question of family {rarest!r}.")
        index += 1
    return clips


def busy_clips(
    length: Length,
    *,
    clips: int,
    questions_a_family: int,
    families: Sequence[str] = tuple(FAMILIES),
    seed: int = 0,
    purpose: Purpose = "evaluation",
) -> list[Clip]:
    """Few clips, each asked up to `questions_a_family` questions of every family that it can
    answer.

    A clip is read once for all its questions, so this is how to ask much in little time; intervals
    must resample clips. Scenes are drawn for the family that was asked least so far.
    """
    asked: Counter[str] = Counter(dict.fromkeys(families, 0))
    found: list[Clip] = []
    fruitless = index = 0
    while len(found) < clips:
        if fruitless == _FRUITLESS:
            raise UserError(f"Clips of {length} answer no question of {', '.join(families)}.")
        rarest = min(families, key=asked.__getitem__)
        scene_seed = held_out_seed(purpose, seed * SEEDS_A_RUN + index)
        scene = sample_scene(scene_seed, settings_for(rarest, length.frames, length.size))
        rng = question_stream(scene)
        drawn = [questions(scene, rng, count=questions_a_family, families=[f]) for f in families]
        kept = {(q.form, q.answer, q.text.lower().strip(" ?")): q for row in drawn for q in row}
        index, fruitless = index + 1, fruitless + 1
        if any(question.family == rarest for question in kept.values()):
            asked.update(question.family for question in kept.values())
            found.append(Clip(scene, length.frames, length.size, tuple(kept.values()), scene_seed))
            fruitless = 0
    return found
