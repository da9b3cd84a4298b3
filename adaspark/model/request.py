"""One request: its options, what it would cost, and which events it yields.

Apart from the engine, so that whoever passes them on need not load a model's code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.drawing import Drawing
from adaspark.model.events import Phase, Result, Word
from adaspark.trace.meta import Clip, Pruned
from adaspark.video.file import shown_name
from adaspark.video.limits import DEFAULT_LIMITS, Limits
from adaspark.video.probe import VideoInfo

SAMPLING = ("fps", "max_frames", "min_pixels", "max_pixels", "max_video_tokens")
"""The options of a request that make its video's tokens."""


@dataclass(frozen=True)
class Options:
    """One request's settings; None takes the model's own sampling.

    `min_pixels` and `max_pixels` are of one frame as it is shown, `max_video_tokens` of the whole
    video: its frames shrink to fit. Words are the likeliest ones unless there is a `drawing`.
    `limits` are those of the video file.
    `forced` are interventions on cubes, as `sparsify` takes them; `scored` are the token ids of
    some answer whose log-probability is wanted beside the one that is written. `keep_tokens`
    prunes: the language model is shown only so many video tokens, those of largest norm after the
    vision tower, in one row that has no cubes to force.
    """

    config: AdaSparkConfig
    fps: float | None = None
    max_frames: int | None = None
    max_new_tokens: int = 32
    forced: Mapping[int, bool] = field(default_factory=dict)
    scored: tuple[int, ...] = ()
    keep_tokens: int | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    max_video_tokens: int | None = None
    drawing: Drawing | None = None
    limits: Limits = DEFAULT_LIMITS

    @property
    def sampling(self) -> dict[str, Any]:
        """The options that say which frames are shown, and how large; None: the model's own."""
        return {name: getattr(self, name) for name in SAMPLING}

    def check(self, question: str) -> None:
        """Raise UserError unless the question is text and its answer may have a word."""
        if not question.strip():
            raise UserError("The question is blank: type one.")
        if any("\ud800" <= character <= "\udfff" for character in question):
            raise UserError("The question is not valid Unicode text: type it anew.")
        if self.max_new_tokens < 1:
            raise UserError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}.")

    def check_cubes(self, estimate: Estimate) -> None:
        """Raise UserError unless the video has the cubes to be forced, and the tokens to keep."""
        sides = zip(estimate.grid, self.config.cube, strict=True)
        cubes = math.prod(-(-extent // side) for extent, side in sides)
        if wrong := [cube for cube in self.forced if not 0 <= cube < cubes]:
            raise UserError(f"There is no cube {wrong[0]}: this video has {cubes}, counted from 0.")
        if (kept := self.keep_tokens) is None:
            return
        if not 1 <= kept <= estimate.video_tokens:
            raise UserError(f"keep_tokens must be 1 to {estimate.video_tokens:,}, got {kept}.")
        if self.forced:
            raise UserError("Pruned tokens stand in a row without cubes: force none of them.")


@dataclass(frozen=True)
class Estimate:
    """What a video would cost before anything of it is decoded. `grid` is (T, H, W) tokens.

    `note` says what this device's default took away from the frames; empty where nothing.
    """

    info: VideoInfo
    grid: tuple[int, int, int]
    frames: int
    shown_width: int
    shown_height: int
    note: str = ""

    @property
    def seconds_per_slice(self) -> float:
        """Spacing of the slices, as M-RoPE is told it."""
        return self.info.duration_secs / self.grid[0]

    @property
    def video_tokens(self) -> int:
        """Tokens that the video takes in the prompt."""
        return self.grid[0] * self.grid[1] * self.grid[2]

    def facts(self, frames: int, kept: Sequence[int] | None) -> dict[str, Any]:
        """What the trace of a run says of the video: so many `frames` were shown, and of their
        tokens those `kept` alone, if they were pruned.
        """
        info = self.info
        clip = Clip(
            name=shown_name(info.path),
            width=info.width,
            height=info.height,
            shown_width=self.shown_width,
            shown_height=self.shown_height,
            fps=frames / info.duration_secs,
            duration_secs=info.duration_secs,
            frames=frames,
        )
        return {"clip": clip, "pruned": None if kept is None else Pruned(self.grid, list(kept))}


Event = Phase | Word | Result
"""What a request yields: progress and words as they come, and at last the result."""
