"""What goes into one request and what comes back: options, estimate, progress, words, the result.

Apart from the engine, so that whoever passes them on need not load a model's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.trace.meta import Word as WrittenWord
from adaspark.trace.summary import summary
from adaspark.trace.trace import Trace
from adaspark.video.file import DEFAULT_LIMITS, Limits
from adaspark.video.probe import VideoInfo

SAMPLING = ("fps", "max_frames", "min_pixels", "max_pixels", "max_video_tokens")
"""The options of a request that make its video's tokens."""


class Phase(NamedTuple):
    """Progress: `decode` and `vision` count frames, `prefill` layers, `generate` words."""

    name: str
    done: int
    total: int


class Word(NamedTuple):
    """New text of the answer, to be appended."""

    text: str


@dataclass(frozen=True)
class Drawing:
    """How words are drawn at random. None takes the generation config's own `temperature`."""

    seed: int = 0
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 < self.temperature <= 100:
            raise UserError(
                f"temperature must be above 0 and at most 100, got {self.temperature:g}; the "
                f"likeliest words are written where nothing is sampled."
            )
        if not 0 <= self.seed < 2**63:
            raise UserError(f"seed must be a whole number from 0, got {self.seed}.")


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


@dataclass(frozen=True)
class Result:
    """An answer with its trace; `seconds` by phase (0 for what came from the cache).

    `scored_logprob` is the log-probability, in nats, of the tokens that the request had `scored`.
    """

    answer: str
    trace: Trace
    seconds: dict[str, float]
    stopped: bool = False
    scored_logprob: float | None = None

    @property
    def answer_ids(self) -> tuple[int, ...]:
        """The token ids of the recorded words of the answer."""
        return tuple(word.id for word in self._words if word.id is not None)

    @property
    def logprob(self) -> float | None:
        """The log-probability of `answer_ids`, in nats; None where it was not recorded."""
        found = [word.logprob for word in self._words]
        known = [value for value in found if value is not None]
        return sum(known) if known and len(known) == len(found) else None

    @property
    def _words(self) -> list[WrittenWord]:
        return [word for word in self.trace.words if word.kind == "answer"]

    def summary(self) -> dict[str, Any]:
        """The command line's JSON."""
        return summary(self.trace)


Event = Phase | Word | Result
