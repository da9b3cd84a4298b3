"""`adaspark eval families`: exact answers per SparkWorld family, dense against AdaSpark, paired.

Label S: small model, synthetic video. Clips come from seeds that training never draws; each is
asked one natural sentence of each family, by both arms, on the same vision features.
"""

from __future__ import annotations

import json
import multiprocessing
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from adaspark import checkpoint
from adaspark.bench.setting import setting
from adaspark.config import DENSE, AdaSparkConfig
from adaspark.cost import flops
from adaspark.errors import UserError
from adaspark.features import Features
from adaspark.generation import Written, generate
from adaspark.mini.evaluate import encode
from adaspark.mini.forward import patchify
from adaspark.mini.model import FPS
from adaspark.mini.render import render
from adaspark.mini.tasks import Question, questions
from adaspark.mini.world import HELD_OUT_SEED, SceneSettings, sample_scene
from adaspark.qwen import sparsify

FAMILIES = ("needle", "order", "count", "motion")


@dataclass(frozen=True)
class Plan:
    """Which clips are asked: `clips` of `frames` at 4 a second, `size` pixels square, with two or
    three objects; the held-out seeds start at `seed` million.
    """

    clips: int = 200
    frames: int = 16
    size: int = 112
    seed: int = 7
    families: Sequence[str] = FAMILIES


def run(plan: Plan, given: Mapping[str, Any], *, jobs: int, json_path: str | None) -> int:
    """Print accuracy, density and FLOPs of both arms; write them with every item.

    `given` overrides the checkpoint's own configuration; `jobs` processes share the clips.

    Raises UserError for a plan that has no clip to show.
    """
    if (
        jobs < 1
        or plan.clips < 1
        or plan.frames < 4
        or plan.frames % 2
        or plan.size % 28
        or plan.size < 56
    ):
        raise UserError(
            "Give at least 1 job and 1 clip, an even number of frames from 4, and a size from 56 "
            "that is a multiple of 28 pixels."
        )
    shares = [range(job, plan.clips, jobs) for job in range(min(jobs, plan.clips))]
    if jobs == 1:
        parts = [_share(plan, dict(given), shares[0])]
    else:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(len(shares), mp_context=spawn) as pool:
            parts = list(pool.map(partial(_share, plan, dict(given)), shares))
    config = parts[0][0]
    items = sorted((item for _, part in parts for item in part), key=lambda item: item["seed"])
    summary = _summary(items, plan.families)
    for family, row in summary["families"].items():
        arms = f"dense {row['dense']:6.1%}  adaspark {row['adaspark']:6.1%}"
        print(f"{family:8} {arms}  of {row['items']}")
    means = summary["means"]
    print("  ".join(f"{name} {value:.3f}" for name, value in means.items()))
    result = {
        "label": "S",
        "plan": vars(plan),
        "config": config.to_dict(),
        "setting": setting(),
        **summary,
        "items": items,
    }
    if json_path:
        Path(json_path).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _share(
    plan: Plan, given: dict[str, Any], clips: range
) -> tuple[AdaSparkConfig, list[dict[str, Any]]]:
    """One process's clips, with the configuration they were asked under."""
    loaded = checkpoint.load()
    config = AdaSparkConfig.from_dict({**loaded.config.to_dict(), **given})
    sparsify(loaded.model, config)
    return config, list(_items(loaded, plan, clips, {"dense": DENSE, "adaspark": config}))


def _items(
    loaded: checkpoint.Checkpoint, plan: Plan, clips: range, arms: dict[str, AdaSparkConfig]
) -> Iterator[dict[str, Any]]:
    settings = SceneSettings(plan.frames, (plan.size, plan.size), (2, 3))
    for index in clips:
        scene = sample_scene(HELD_OUT_SEED + plan.seed * 10**6 + index, settings)
        features = _features(loaded, scene, plan)
        for family in plan.families:
            for question in questions(scene, random.Random(scene.seed), count=1, families=[family]):
                yield _asked(loaded, features, question, arms, seed=scene.seed)


@torch.inference_mode()
def _features(loaded: checkpoint.Checkpoint, scene: Any, plan: Plan) -> Features:
    times = [n / FPS for n in range(plan.frames)]
    pictures = render([scene], times, (plan.size, plan.size))
    grid = (plan.frames // 2, plan.size // 28, plan.size // 28)
    pixels = patchify(pictures).flatten(0, 2)
    return Features(encode(loaded.model, pixels, grid), grid, times)


def _asked(
    loaded: checkpoint.Checkpoint,
    features: Features,
    question: Question,
    arms: dict[str, AdaSparkConfig],
    *,
    seed: int,
) -> dict[str, Any]:
    item: dict[str, Any] = {
        "seed": seed,
        "family": question.family,
        "question": question.text,
        "expected": question.answer,
    }
    for name, config in arms.items():
        sparsify(loaded.model, config)
        written = _answered(loaded, features, question.text)
        item[name] = written.text
        if name == "adaspark":
            trace = written.trace
            item |= {
                "attention_density": trace.attention_density,
                "ffn_density": trace.ffn_density,
                "reduction": flops(trace).reduction,
            }
    return item


def _answered(loaded: checkpoint.Checkpoint, features: Features, question: str) -> Written:
    return generate(
        loaded,
        features,
        question,
        seconds_per_slice=2 / FPS,
        max_new_tokens=6,
        report=lambda *_: None,
        on_text=lambda _: None,
    )


def _summary(items: Sequence[dict[str, Any]], families: Sequence[str]) -> dict[str, Any]:
    rows = {}
    for family in families:
        mine = [item for item in items if item["family"] == family]
        if mine:
            rows[family] = {"items": len(mine)} | {
                arm: sum(item[arm] == item["expected"] for item in mine) / len(mine)
                for arm in ("dense", "adaspark")
            }
    means = {
        name: sum(item[name] for item in items) / len(items)
        for name in ("attention_density", "ffn_density", "reduction")
    }
    return {"families": rows, "means": means}
