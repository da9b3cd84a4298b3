"""`adaspark doctor --compile`: questions asked so that the kernels they take are compiled and kept.

Kernels are compiled for a cube shape and a threshold when they are first needed, and cached on
disk (numba beside its sources or in its cache folder, Triton in ~/.triton). What is asked here goes
the way of a visitor's question, so that nothing is left to be compiled on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from adaspark.method.config import AdaSparkConfig, Cube
from adaspark.model.engine import Engine

QUESTION = "What is in the video?"
CUBES: tuple[Cube, ...] = (
    *((1, 2, 2), (1, 4, 4), (2, 2, 2), (2, 4, 4), (2, 8, 8)),
    *((4, 4, 4), (4, 8, 8)),
)
"""Shapes from the finest to the coarsest that the page's dials are usually moved to."""
WORDS = 4


class Compiled(NamedTuple):
    """Seconds of prefill and words in one setting: the first time, and again."""

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


def compile_ahead(engine: Engine, video: Path) -> Iterator[Compiled]:
    """Ask about `video` twice in every setting. Raises UserError if it cannot be asked about."""
    for name, config in settings(engine.default_config).items():
        yield Compiled(name, *(_seconds(engine, video, config) for _ in range(2)))


def run(model: str, device: str, video: Path) -> int:
    """Compile for a model, a line a setting. Raises UserError."""
    engine = Engine(model, device)
    start = time.perf_counter()
    for name, first_secs, again_secs in compile_ahead(engine, video):
        print(f"compiled {name:24} {first_secs:6.2f} s the first time, {again_secs:5.2f} s again")
    taken = time.perf_counter() - start
    print(f"{engine.name} on {engine.device}, {engine.backend}: {taken:.0f} s in all")
    return 0


def _seconds(engine: Engine, video: Path, config: AdaSparkConfig) -> float:
    *_, result = engine.ask(video, QUESTION, engine.options(config, max_new_tokens=WORDS))
    found: dict[str, float] = result.seconds  # type: ignore[union-attr]
    return found["prefill"] + found["generate"]


def _named(cube: Sequence[int]) -> str:
    return ",".join(map(str, cube))
