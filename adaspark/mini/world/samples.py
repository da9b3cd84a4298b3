"""The committed sample clips: the first clip of each kind that the bundled model answers in full,
and whose first question it answers with AdaSpark at its default too.

`python -m adaspark.mini.world.samples` makes `assets/samples` anew for the model in `assets/mini`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from adaspark.assets import ASSETS
from adaspark.errors import UserError
from adaspark.mini.training.evaluate import Reader, encode
from adaspark.mini.training.model import FPS, IMAGE_MEAN, IMAGE_STD, MAX_PIXELS, MIN_PIXELS
from adaspark.mini.world.clips import draw_world, make_world
from adaspark.model.engine import Engine
from adaspark.model.request import Result
from adaspark.video.clip import Sampling, patchify, read_clip

FRAMES = 64
MAX_BYTES = 300_000
MAX_SEEDS = 500


@dataclass(frozen=True)
class Sample:
    """A sample's file name, the family it is for, and its first question if that is fixed."""

    name: str
    family: str
    first: str | None = None


SAMPLES = (
    Sample("1_needle", "needle"),
    Sample("2_order", "order", "Which color comes first?"),
    Sample("3_count", "count"),
    Sample("4_motion", "motion"),
    Sample("5_lookalike", "lookalike"),
    Sample("6_grounding", "grounding"),
)


def make_samples(folder: Path, model: Any, tokenizer: Any, engine: Engine) -> dict[str, int]:
    """Write every sample with its JSON file; returns the seed of each."""
    return {sample.name: _make(sample, folder, model, tokenizer, engine) for sample in SAMPLES}


def _make(sample: Sample, folder: Path, model: Any, tokenizer: Any, engine: Engine) -> int:
    path = folder / f"{sample.name}.mp4"
    start = SAMPLES.index(sample) * MAX_SEEDS  # else two families may share a scene
    for seed in range(start, start + MAX_SEEDS):
        _, drawn = draw_world(sample.family, FRAMES, seed)
        if sample.first not in (None, drawn[0].text):
            continue
        items = make_world(sample.family, FRAMES, seed, path)["items"]
        expected = {item["question"]: item["answer"] for item in items}
        small = path.stat().st_size < MAX_BYTES
        if (
            small
            and answers(path, list(expected), model, tokenizer) == expected
            and _said(engine, path, items[0]["question"]) == items[0]["answer"]
        ):
            return seed
    raise UserError(f"The model answers none of {MAX_SEEDS} clips of {sample.family!r} in full.")


@torch.no_grad()
def answers(path: Path, questions: Sequence[str], model: Any, tokenizer: Any) -> dict[str, str]:
    """The model's greedy answers about a clip file, decoded and sampled as the product does."""
    sampling = Sampling(fps=FPS, max_frames=FRAMES, min_pixels=MIN_PIXELS, max_pixels=MAX_PIXELS)
    shown = read_clip(path, sampling)
    pixels = patchify(shown.frames, sampling, IMAGE_MEAN, IMAGE_STD)
    reader = Reader(model, tokenizer, encode(model, pixels, shown.grid), shown.grid)
    return {question: reader.answer(question) for question in questions}


def _said(engine: Engine, path: Path, question: str) -> str:
    """What the product answers."""
    *_, result = engine.ask(path, question)
    assert isinstance(result, Result)
    return result.answer


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the samples and print their seeds."""
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    parser = argparse.ArgumentParser(prog="python -m adaspark.mini.world.samples")
    parser.add_argument("--model", default=ASSETS / "mini")
    parser.add_argument("--out", type=Path, default=ASSETS / "samples")
    args = parser.parse_args(arguments)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    engine = Engine(str(args.model), device="cpu")
    for name, seed in make_samples(args.out, model.eval(), tokenizer, engine).items():
        print(f"{name}: seed {seed}")


if __name__ == "__main__":
    main()
