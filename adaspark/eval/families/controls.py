"""Controls of the questions: grey pictures, and frames in a random order."""

from __future__ import annotations

import re

from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.conditions import Condition
from adaspark.eval.harness.encoding import shown_times
from adaspark.mini.questions.question import Question
from adaspark.mini.training.model import FPS
from adaspark.mini.world.vocabulary import COLORS

BLIND, SHUFFLED = Condition("blind", control="blind"), Condition("shuffled", control="shuffled")


def as_shown(clip: Clip, question: Question) -> float | None:
    """Score of an answer read off the shuffled frames in the order shown; None if the question is
    not about order.

    It exceeds chance: what is in sight for long begins early in any order. Shuffling keeps the axis
    of a motion, so one of its two directions is right.
    """
    if question.form == "motion":
        return None if question.answer == "still" else 0.5
    if question.form not in ("order_pair", "order_end"):
        return None
    times = shown_times(clip, clip.frames, 1 / FPS, SHUFFLED)
    events = clip.scene.events
    asked = question.events if question.form == "order_pair" else range(len(events))
    begins = {
        index: min(
            (at for at, secs in enumerate(times) if clip.scene.in_sight(events[index], secs)),
            default=len(times),
        )
        for index in asked
    }
    is_last = re.search(r"\blast\b", question.text, re.IGNORECASE)
    wanted = max(begins.values()) if is_last else min(begins.values())
    kind = "color" if question.answer in COLORS else "shape"
    said = [getattr(events[index], kind) for index, at in begins.items() if at == wanted]
    return said.count(question.answer) / len(said)
