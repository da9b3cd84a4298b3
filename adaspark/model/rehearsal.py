"""An answer about noise: what its kernels need is compiled before somebody waits for it."""

from __future__ import annotations

from typing import Any

import torch

from adaspark.method.config import AdaSparkConfig, Grid
from adaspark.model.checkpoint import Checkpoint
from adaspark.model.features import Features
from adaspark.model.generation import generate
from adaspark.model.qwen import sparsify
from adaspark.trace.trace import Trace

QUESTION = "What is in the video?"
WORDS = 4
"""The second one is captured as a graph where there are graphs."""


def rehearse(checkpoint: Checkpoint, config: AdaSparkConfig, grid: Grid) -> Trace | None:
    """Answer about noise of a (T, H, W) grid of merged tokens under `config`, and record it.

    None if it takes more memory than there is: no question as large could be answered either.
    """
    sparsify(checkpoint.model, config)
    try:
        written = generate(
            checkpoint,
            noise(checkpoint, grid),
            QUESTION,
            seconds_per_slice=1.0,
            max_new_tokens=WORDS,
            report=_nobody,
            on_text=_unheard,
        )
    except torch.cuda.OutOfMemoryError:
        return None
    return written.trace


def noise(checkpoint: Checkpoint, grid: Grid) -> Features:
    """Random features of a grid, one slice a second, as the checkpoint's tower would give them."""
    config, frames = checkpoint.model.config, checkpoint.sampling.temporal_patch
    tokens = grid[0] * grid[1] * grid[2]
    levels = len(getattr(config.vision_config, "deepstack_visual_indexes", None) or ())
    generator = torch.Generator(checkpoint.device).manual_seed(0)

    def drawn() -> torch.Tensor:
        return torch.randn(
            *(tokens, config.text_config.hidden_size),
            generator=generator,
            device=checkpoint.device,
            dtype=checkpoint.model.dtype,
        )

    times = [n / frames for n in range(grid[0] * frames)]
    return Features(drawn(), grid, times, deepstack=tuple(drawn() for _ in range(levels)))


def _nobody(*_: Any) -> None:
    pass


def _unheard(_: str) -> None:
    pass
