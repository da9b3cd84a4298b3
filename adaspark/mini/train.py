"""Training of the bundled model from nothing: `train` in code, `main` for the command line."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from adaspark.mini.trainer import TrainConfig, Trainer


def train(config: TrainConfig) -> dict[str, float]:
    """Train, or go on where the folder's run stopped; returns the last held-out accuracies.

    Leaves `log.jsonl`, `state.pt`, `weights.pt` and `bundle/` in `config.folder`.
    """
    trainer = Trainer(config)
    if (config.folder / "state.pt").exists():
        trainer.resume()
    scores = trainer.run()
    trainer.bundle(config.folder / "bundle")
    return scores


def main(args: Any) -> int:
    """`adaspark train`: `args.out`, `args.seed`, `args.hours` (None: no limit). Returns 0."""
    hours = getattr(args, "hours", None)
    config = TrainConfig(Path(args.out), seed=args.seed)
    if torch.cuda.is_available():
        config = replace(config, tokens=65536, workers=8)
    train(replace(config, max_secs=hours * 3600 if hours else math.inf))
    return 0
