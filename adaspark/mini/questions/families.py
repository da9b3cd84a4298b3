"""SparkWorld's ten families of questions, answered by rule from the event log, and their score."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from adaspark.errors import UserError
from adaspark.mini.questions import look_questions, time_questions
from adaspark.mini.questions.phrases import Style
from adaspark.mini.questions.question import FRAME_SECS, Asker, Question
from adaspark.mini.world.scene import Scene
from adaspark.mini.world.settings import SceneSettings

Maker = Callable[[Asker], Question | None]
FAMILIES: dict[str, Maker] = {
    "needle": look_questions.needle,
    "lookalike": look_questions.lookalike,
    "order": time_questions.order,
    "count": look_questions.count,
    "motion": time_questions.motion,
    "spatial": time_questions.spatial,
    "grounding": time_questions.grounding,
    "at_time": time_questions.at_time,
    "aggregate": look_questions.aggregate,
    "absent": look_questions.absent,
}
EXTRA: dict[str, Maker] = {  # asked in training, not evaluated
    "exists": look_questions.exists,
    "relation": time_questions.relation,
}
_SPAN = re.compile(r"\s*(\d+) to (\d+)\s*")


def questions(
    scene: Scene,
    rng: random.Random,
    *,
    count: int,
    families: Sequence[str] | None = None,
    sentence_share: float = 1.0,
    loose: bool = True,
    frame_secs: float = FRAME_SECS,
) -> list[Question]:
    """Draw `count` questions that the scene answers without doubt.

    Families are drawn evenly (a name that comes twice, twice as often) and skipped if the scene
    cannot answer them, so the list is short only if the scene fits none of them. `loose` lets
    case, end mark and spacing vary the way people type. `frame_secs` is the time between two shown
    frames.
    """
    makers = {**FAMILIES, **EXTRA}
    wanted = list(families or FAMILIES)
    found: list[Question] = []
    for _ in range(12 * count):
        if len(found) == count:
            break
        sentence: Style = "loose" if loose else "plain"
        style: Style = sentence if rng.random() < sentence_share else "short"
        question = makers[rng.choice(wanted)](Asker(scene, rng, style, frame_secs))
        if question is not None:
            found.append(question)
    return found


def question_stream(scene: Scene) -> random.Random:
    """Random numbers for a scene's questions, apart from those that drew the scene."""
    return random.Random(f"{scene.seed}-questions")


def score(question: Question, answer: str) -> float:
    """How right an answer is, from 0 to 1.

    Grounding: the temporal intersection over union of the two spans, 0 if the answer is no
    span "a to b". Other families: 1 for the very answer, whatever its case, and 0 else.
    """
    if question.family == "grounding":
        return _overlap(_span(question.answer), _span(answer))
    return float(answer.strip().lower() == question.answer)


def _span(text: str) -> tuple[int, int] | None:
    match = _SPAN.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def _overlap(one: tuple[int, int] | None, two: tuple[int, int] | None) -> float:
    if one is None or two is None or one[0] >= one[1] or two[0] >= two[1]:
        return 0.0
    shared = min(one[1], two[1]) - max(one[0], two[0])
    return max(0, shared) / (max(one[1], two[1]) - min(one[0], two[0]))


def check_family(family: str) -> None:
    """Raise UserError unless `family` is one of the ten."""
    if family not in FAMILIES:
        raise UserError(f"There is no family {family!r}; choose one of {', '.join(FAMILIES)}.")


def settings_for(
    family: str,
    frames: int,
    size: tuple[int, int],
    *,
    objects: tuple[int, int] = (2, 4),
    needle: tuple[float, float] | None = None,
) -> SceneSettings:
    """Settings whose scenes often answer a family. Raises UserError for an unknown one.

    `frames` at 4 a second, `size` (H, W) in pixels, `needle` (depth, seconds) as in SceneSettings.
    """
    check_family(family)
    settings = SceneSettings(frames, size, objects, needle=needle)
    if family == "aggregate":
        many = (max(4, objects[0]), max(5, objects[1]))
        return replace(settings, objects=many, repeats=1.0, turning=0.0, lookalikes=0.0)
    if family == "at_time":
        return replace(settings, objects=(2, max(2, objects[1] - 1)), brief_secs=(1.5, 2.5))
    if family == "count":
        return replace(settings, repeats=0.75)
    if family == "lookalike":
        return replace(settings, lookalikes=1.0)
    return replace(settings, turning=0.3) if family == "motion" else settings
