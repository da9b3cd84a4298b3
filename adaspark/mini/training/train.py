"""Training of the bundled model: from nothing, on from a bundle, or for sparsity."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.mini.training.config import TrainConfig
from adaspark.mini.training.sparse_tuning import SparseTrainer
from adaspark.mini.training.stages import HOUR, STAGES
from adaspark.mini.training.trainer import Trainer
from adaspark.model.checkpoint import own_config

GPU_TOKENS, GPU_WORKERS = 65536, 8
HOUR_RATE = 3e-4
TUNING_STEPS, TUNING_RATE, TUNING_WARMUP = 800, 3e-4, 50


def train(trainer: Trainer) -> dict[str, float]:
    """Train, or go on where the folder's run stopped; returns the last held-out accuracies.

    Leaves `log.jsonl`, `state.pt`, `weights.pt` and `bundle/` (of sparse tuning,
    `delta.safetensors`) in the run's folder.
    """
    folder = trainer.config.folder
    if (folder / "state.pt").exists():
        trainer.resume()
    scores = trainer.run()
    trainer.bundle(folder / "bundle")
    return scores


def main(args: Any) -> int:
    """`adaspark train`: `out`, `seed`, `hours` (None: no limit), `sparse`, `source` (the bundle or
    weights to start from, or None), `stage` (to begin with; None: the first, or with `source` the
    last), `steps` (None: the usual number). Returns 0.

    Raises UserError if these do not go together.
    """
    if args.steps is not None and not (args.sparse and args.steps >= 1):
        raise UserError("--steps is a whole number from 1 and goes with --sparse.")
    if args.sparse and args.stage is not None:
        raise UserError("--stage goes without --sparse: sparse tuning has one stage of its own.")
    config = TrainConfig(Path(args.out), seed=args.seed)
    config = replace(config, max_secs=args.hours * 3600 if args.hours else math.inf)
    if torch.cuda.is_available():
        config = replace(config, tokens=GPU_TOKENS, workers=GPU_WORKERS)
    source = None if args.source is None else Path(args.source)
    if args.sparse:
        train(sparse_trainer(config, source or BUNDLED_MODEL, steps=args.steps or TUNING_STEPS))
    else:
        first = STAGES[0 if source is None else -1].name if args.stage is None else args.stage
        if first == HOUR.name:
            config = replace(config, stages=(HOUR,), learning_rate=HOUR_RATE)
        train(Trainer(replace(config, weights=source, first_stage=_stage_index(config, first))))
    return 0


def _stage_index(config: TrainConfig, name: str) -> int:
    names = [stage.name for stage in config.stages]
    if name not in names:
        known = ", ".join([*names, HOUR.name])
        raise UserError(f"There is no stage {name!r}; choose one of {known}.")
    return names.index(name)


def sparse_trainer(config: TrainConfig, source: Path, *, steps: int) -> SparseTrainer:
    """Sparse tuning on the last stage's clips, from `source`, around the configuration of its
    bundle (of the bundled one if it is a `weights.pt`). Counts, which suffer most, come often.
    """
    stage = replace(
        STAGES[-1],
        families=(*STAGES[-1].families, *["count"] * 10),
        max_steps=steps,
        pass_mark=math.inf,
    )
    config = replace(
        config,
        weights=source,
        stages=(stage,),
        learning_rate=TUNING_RATE,
        warmup_steps=TUNING_WARMUP,
    )
    return SparseTrainer(config, own_config(source if source.is_dir() else BUNDLED_MODEL))
