"""A clip of an evaluation: the scene that every condition is shown, and what is asked."""

from __future__ import annotations

from dataclasses import dataclass

from adaspark.mini.questions.question import FRAME_SECS, Question
from adaspark.mini.world.scene import Scene


@dataclass(frozen=True)
class Clip:
    """A scene as it is shown, and what is asked about it.

    `frames` at `fps` a second from the scene's start; `size` is (H, W) in pixels, multiples of 28.
    """

    scene: Scene
    frames: int
    size: tuple[int, int]
    questions: tuple[Question, ...]
    seed: int
    fps: float = 1 / FRAME_SECS
