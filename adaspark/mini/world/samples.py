"""The committed sample clips: the first clip of each kind that the bundled model answers in full,
and whose first question it answers with AdaSpark at its default too.

`python -m adaspark.mini.world.samples` makes `assets/samples` anew for the model in `assets/mini`,
with `--only NAME` one of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from adaspark.assets import ASSETS
from adaspark.errors import UserError
from adaspark.method.config import DENSE, AdaSparkConfig
from adaspark.mini.training.evaluate import Reader, encode
from adaspark.mini.training.model import FPS, IMAGE_MEAN, IMAGE_STD, MAX_PIXELS, MIN_PIXELS
from adaspark.mini.world.clips import draw_world, make_world
from adaspark.model.conversation import Conversation
from adaspark.model.engine import Engine
from adaspark.model.events import Result
from adaspark.video.clip import Sampling, patchify, read_clip

FRAMES = 64
MAX_BYTES = 300_000
MAX_SEEDS = 500


@dataclass(frozen=True)
class Sample:
    """A sample's file name, the family it is for, and its first question if that is fixed.

    `world` are the options of `make_world` that are not its usual ones. A clip that is to be shown
    otherwise than the model's own way has its `sampling`, written to its JSON file.
    """

    name: str
    family: str
    first: str | None = None
    frames: int = FRAMES
    world: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, float] = field(default_factory=dict)
    max_bytes: int = MAX_BYTES


SAMPLES = (
    Sample("1_needle", "needle"),
    Sample("2_order", "order", "Which color comes first?"),
    Sample("3_count", "count"),
    Sample("4_motion", "motion"),
    Sample("5_lookalike", "lookalike"),
    Sample("6_grounding", "grounding"),
    Sample(
        "7_hour",
        "needle",
        frames=3600,
        world={
            "size": (112, 112),
            "depth": 0.6,
            "fps": 1.0,
            "pictures": 2,
            "others": ("order", "absent"),  # of the rest nothing is known at this length
        },
        sampling={"fps": 1.0, "max_frames": 3600, "max_video_tokens": 28_800},
        max_bytes=600_000,
    ),
)


def make_samples(
    folder: Path, model: Any, tokenizer: Any, engine: Engine, samples: Sequence[Sample] = SAMPLES
) -> dict[str, int]:
    """Write samples, each with its JSON file; returns the seed of each."""
    return {sample.name: _make(sample, folder, model, tokenizer, engine) for sample in samples}


def _make(sample: Sample, folder: Path, model: Any, tokenizer: Any, engine: Engine) -> int:
    path = folder / f"{sample.name}.mp4"
    start = SAMPLES.index(sample) * MAX_SEEDS  # else two families may share a scene
    for seed in range(start, start + MAX_SEEDS):
        if sample.first is not None:
            _, drawn = draw_world(sample.family, sample.frames, seed)
            if drawn[0].text != sample.first:
                continue
        made = make_world(sample.family, sample.frames, seed, path, **sample.world)
        if sample.sampling:
            notes = {**made, "sampling": dict(sample.sampling)}
            path.with_suffix(".json").write_text(json.dumps(notes, indent=2) + "\n", "utf-8")
        expected = {item["question"]: item["answer"] for item in made["items"]}
        small = path.stat().st_size < sample.max_bytes
        if small and _is_answered(sample, path, expected, model, tokenizer, engine):
            return seed
    raise UserError(f"The model answers none of {MAX_SEEDS} clips of {sample.family!r} in full.")


def _is_answered(
    sample: Sample,
    path: Path,
    expected: Mapping[str, str],
    model: Any,
    tokenizer: Any,
    engine: Engine,
) -> bool:
    """Whether all answers are right dense, and the first one with AdaSpark too."""
    if sample.sampling:  # the engine takes a long clip in parts
        dense = _said(engine, path, list(expected), DENSE, sample.sampling)
    else:
        dense = answers(path, list(expected), model, tokenizer)
    first = next(iter(expected))
    return (
        dense == expected
        and _said(engine, path, [first], engine.default_config, sample.sampling)[first]
        == expected[first]
    )


@torch.no_grad()
def answers(path: Path, questions: Sequence[str], model: Any, tokenizer: Any) -> dict[str, str]:
    """The model's greedy answers about a clip file, decoded and sampled as the product does."""
    sampling = Sampling(fps=FPS, max_frames=FRAMES, min_pixels=MIN_PIXELS, max_pixels=MAX_PIXELS)
    shown = read_clip(path, sampling)
    pixels = patchify(shown.frames, sampling, IMAGE_MEAN, IMAGE_STD)
    reader = Reader(model, tokenizer, encode(model, pixels, shown.grid), shown.grid)
    return {question: reader.answer(question) for question in questions}


def _said(
    engine: Engine,
    path: Path,
    questions: Sequence[str],
    config: AdaSparkConfig,
    sampling: Mapping[str, Any],
) -> dict[str, str]:
    """What the product answers to each question by itself; it reads the clip once for all."""
    conversation, said = Conversation(), {}
    for question in questions:
        options = engine.options(config, **sampling)
        *_, result = engine.ask(path, question, options, conversation=conversation)
        assert isinstance(result, Result)
        said[question] = result.answer
    conversation.close()
    return said


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the samples and print their seeds."""
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    parser = argparse.ArgumentParser(prog="python -m adaspark.mini.world.samples")
    parser.add_argument("--model", default=ASSETS / "mini")
    parser.add_argument("--out", type=Path, default=ASSETS / "samples")
    names = [sample.name for sample in SAMPLES]
    parser.add_argument("--only", choices=names, nargs="+", default=names)
    args = parser.parse_args(arguments)
    wanted = [sample for sample in SAMPLES if sample.name in args.only]
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    engine = Engine(str(args.model), device="cpu")
    made = make_samples(args.out, model.eval(), tokenizer, engine, wanted)
    for name, seed in made.items():
        print(f"{name}: seed {seed}")


if __name__ == "__main__":
    main()
