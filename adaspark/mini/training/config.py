"""The settings of one training run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from adaspark.mini.training.stages import STAGES, Stage


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    `tokens` is the number of tokens a batch and `asked` the questions a clip; `max_secs` ends the
    run early with a checkpoint; `weights` starts from a `weights.pt` of an earlier run or from a
    bundle's folder, with a fresh optimizer, at stage `first_stage`.
    """

    folder: Path
    seed: int = 0
    stages: tuple[Stage, ...] = STAGES
    tokens: int = 8192
    asked: int = 6
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    auxiliary: float = 0.5
    number: float = 0.2
    test_every: int = 100
    test_clips: int = 64
    save_every: int = 500
    workers: int = 1
    max_secs: float = math.inf
    device: str = "auto"
    first_stage: int = 0
    weights: Path | None = None
