"""The clips that evaluations ask about: held-out scenes, with questions of every family."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adaspark.errors import UserError
from adaspark.eval.harness.clip import Clip
from adaspark.mini.questions.families import FAMILIES, question_stream, questions, settings_for
from adaspark.mini.training.model import FPS
from adaspark.mini.training.stages import STAGES
from adaspark.mini.world.scene import Scene
from adaspark.mini.world.seeds import Purpose, held_out_seed
from adaspark.mini.world.slow_motion import slowed
from adaspark.mini.world.world import sample_scene

SEEDS_A_RUN = 10**8
"""Scenes of one purpose between two values of --seed."""
_FRUITLESS = 500  # scenes in a row


@dataclass(frozen=True)
class Length:
    """How long and how large clips are: `frames` at `fps` a second, `side` pixels square.

    At another rate than 4 scenes are in slow (or fast) motion: the same pictures lie further apart.
    Raises UserError if the model cannot be shown such clips.
    """

    frames: int
    side: int
    fps: float = FPS

    def __post_init__(self) -> None:
        odd = self.frames < 4 or self.frames % 2 or self.side < 56 or self.side % 28
        if odd or not 0 < self.fps <= 24:
            raise UserError(
                "A length is an even number of frames from 4 and a side from 56 pixels that is a "
                f"multiple of 28, such as 64x224, or 3600x112@1 at one frame a second; got {self}."
            )

    @classmethod
    def parse(cls, text: str) -> Length:
        """`FRAMESxSIDE`, such as `64x224`, or `FRAMESxSIDE@FPS`."""
        match = re.fullmatch(r"(\d+)x(\d+)(?:@(\d+(?:\.\d+)?))?", text)
        if match is None:
            raise UserError(f"A length is FRAMESxPIXELS or FRAMESxPIXELS@FPS; got {text!r}.")
        return cls(int(match[1]), int(match[2]), float(match[3] or FPS))

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
        """Whether the bundled model was trained on clips as long at no smaller a size."""
        trained = [clips for stage in STAGES for clips in stage.clips]
        long = any(c.frames >= self.frames and max(c.size) >= self.side for c in trained)
        return long and self.fps == FPS

    def slowed(self, scene: Scene) -> Scene:
        """A scene drawn for 4 frames a second as it is shown at this rate."""
        return slowed(scene, FPS / self.fps)

    def clip(self, scene: Scene, asked: Sequence[Any], seed: int) -> Clip:
        """A scene of this rate as a clip of this length."""
        return Clip(scene, self.frames, self.size, tuple(asked), seed, self.fps)

    def __str__(self) -> str:
        rate = "" if self.fps == FPS else f"@{self.fps:g}"
        return f"{self.frames}x{self.side}{rate}"


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
        drawn_scene = sample_scene(scene_seed, settings_for(rarest, length.frames, length.size))
        scene = length.slowed(drawn_scene)
        rng, apart = question_stream(scene), 1 / length.fps
        wanted = [family for family in families if asked[family] < items]
        found = [
            q
            for f in wanted
            for q in questions(scene, rng, count=1, families=[f], frame_secs=apart)
        ]
        asked.update(question.family for question in found)
        if found:
            clips.append(length.clip(scene, found, scene_seed))
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
        drawn_scene = sample_scene(scene_seed, settings_for(rarest, length.frames, length.size))
        scene = length.slowed(drawn_scene)
        rng, apart = question_stream(scene), 1 / length.fps
        drawn = [
            questions(scene, rng, count=questions_a_family, families=[f], frame_secs=apart)
            for f in families
        ]
        kept = {(q.form, q.answer, q.text.lower().strip(" ?")): q for row in drawn for q in row}
        index, fruitless = index + 1, fruitless + 1
        if any(question.family == rarest for question in kept.values()):
            asked.update(question.family for question in kept.values())
            found.append(length.clip(scene, list(kept.values()), scene_seed))
            fruitless = 0
    return found
