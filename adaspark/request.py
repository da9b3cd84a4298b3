"""What goes into one request and what comes back: options, estimate, progress, words, the result.

Apart from the engine, so that whoever passes them on need not load a model's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from adaspark.config import AdaSparkConfig
from adaspark.summary import summary
from adaspark.trace import Trace
from adaspark.video_probe import VideoInfo


class Phase(NamedTuple):
    """Progress: `decode` and `vision` count frames, `prefill` layers, `generate` words."""

    name: str
    done: int
    total: int


class Word(NamedTuple):
    """New text of the answer, to be appended."""

    text: str


@dataclass(frozen=True)
class Options:
    """One request's settings; None takes the model's own sampling."""

    config: AdaSparkConfig
    fps: float | None = None
    max_frames: int | None = None
    max_new_tokens: int = 32


@dataclass(frozen=True)
class Estimate:
    """What a video would cost before anything of it is decoded. `grid` is (T, H, W) tokens."""

    info: VideoInfo
    grid: tuple[int, int, int]
    frames: int
    shown_width: int
    shown_height: int

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
    """An answer with its trace; `seconds` by phase (0 for what came from the cache)."""

    answer: str
    trace: Trace
    seconds: dict[str, float]
    stopped: bool = False

    def summary(self) -> dict[str, Any]:
        """The command line's JSON."""
        return summary(self.trace)


Event = Phase | Word | Result
