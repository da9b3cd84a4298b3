"""`adaspark doctor --compile`: kernels compiled before a question needs them, and kept.

Kernels are compiled for a cube shape and a kind of size when they are first needed, and cached on
disk (numba beside its sources or in its cache folder, Triton in ~/.triton). What is rehearsed here
goes the way of a visitor's question, so that nothing is left to be compiled on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from adaspark.method.config import AdaSparkConfig, Cube, Grid
from adaspark.model.engine import Engine
from adaspark.model.rehearsal import QUESTION, WORDS

CUBES: tuple[Cube, ...] = (
    *((1, 2, 2), (1, 4, 4), (2, 2, 2), (2, 4, 4), (2, 8, 8)),
    *((4, 4, 4), (4, 8, 8)),
)
"""Shapes from the finest to the coarsest that the page's dials are usually moved to."""
GRIDS: tuple[Grid, ...] = ((384, 6, 11), (62, 6, 11), (400, 8, 8))
"""Of noise, the longest first: cubes that are cut off at an edge, a short clip, and whole cubes."""
CPU_GRIDS: tuple[Grid, ...] = ((8, 6, 11),)
"""A processor's kernels are compiled once for all sizes."""


class Compiled(NamedTuple):
    """Seconds of one setting: the first time, and again."""

    name: str
    first_secs: float
    again_secs: float


def settings(default: AdaSparkConfig) -> dict[str, AdaSparkConfig]:
    """By name: the default, dense, and the default's thresholds in every shape of `CUBES`."""
    dense = replace(default, attn_top_p=1.0, ffn_top_p=1.0, text_top_p=None)
    shapes = [cube for cube in CUBES if cube != default.cube]
    return {
        f"cube {_named(default.cube)}, the default": default,
        "dense": dense,
        **{f"cube {_named(cube)}": replace(default, cube=cube) for cube in shapes},
    }


def rehearsals(engine: Engine) -> Iterator[tuple[AdaSparkConfig, Grid]]:
    """Every setting with noise of every size that the model holds: the likeliest first."""
    grids = GRIDS if engine.device.startswith("cuda") else CPU_GRIDS
    for grid in grids:
        if 2 * grid[0] * grid[1] * grid[2] <= engine.max_video_tokens:
            for config in settings(engine.default_config).values():
                yield config, grid


def compile_ahead(engine: Engine, video: Path | None) -> Iterator[Compiled]:
    """Ask about `video`, or about noise, twice in every setting. Raises UserError if the video
    cannot be asked about.
    """
    for name, config in settings(engine.default_config).items():
        work = partial(_rehearsed, engine, config)
        if video is not None:
            work = partial(_asked, engine, config, video)
        yield Compiled(name, work(), work())


def run(model: str, device: str, video: Path | None) -> int:
    """Compile for a model, a line a setting. Raises UserError."""
    engine = Engine(model, device)
    start = time.perf_counter()
    for name, first_secs, again_secs in compile_ahead(engine, video):
        print(f"compiled {name:24} {first_secs:6.2f} s the first time, {again_secs:5.2f} s again")
    taken = time.perf_counter() - start
    print(f"{engine.name} on {engine.device}, {engine.backend}: {taken:.0f} s in all")
    return 0


def _asked(engine: Engine, config: AdaSparkConfig, video: Path) -> float:
    """Seconds of prefill and words."""
    *_, result = engine.ask(video, QUESTION, engine.options(config, max_new_tokens=WORDS))
    found: dict[str, float] = result.seconds  # type: ignore[union-attr]
    return found["prefill"] + found["generate"]


def _rehearsed(engine: Engine, config: AdaSparkConfig) -> float:
    """Seconds of noise of every size."""
    start = time.perf_counter()
    for other, grid in rehearsals(engine):
        if other == config:
            engine.rehearse(config, grid)
    return time.perf_counter() - start


def _named(cube: Sequence[int]) -> str:
    return ",".join(map(str, cube))
