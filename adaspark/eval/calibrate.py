"""`adaspark calibrate`: the thresholds that meet a budget of FLOPs at the least loss.

Beyond the paper, which leaves both p to be set by hand. A survey of two clips tells how dense each
p makes its half; for every `ffn_top_p`, arithmetic then gives the `attn_top_p` that spends the
budget. These pairs answer the same questions as dense; of those that keep the score within a
point, the one that loses the least logprob of right answers is the default to set. On scenes apart
from those of every evaluation. The configuration has one p for all layers, and so has this search.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from adaspark.config import AdaSparkConfig, Cube, as_typed
from adaspark.cost import flops
from adaspark.errors import UserError
from adaspark.eval.arms import DENSE_ARM, Arm, Clip
from adaspark.eval.armwise import Arms, answer, jobs
from adaspark.eval.calibrate_report import chosen_points, draw, summarise
from adaspark.eval.clips import Length, busy_clips
from adaspark.eval.context import Context, option
from adaspark.eval.results import write
from adaspark.layout import CubeLayout
from adaspark.qwen import language_shape

__all__ = ["Plan", "draw", "run", "summarise"]

OWN = "own"
FILE = "calibration.json"
SURVEY_PS = (0.98, 0.9, 0.75, 0.5, 0.2)
SURVEY_CLIPS = 2
AIM = 0.005
"""Settings aim this far below the budget: densities differ a little from clip to clip."""
_TEXT_TOKENS = 32  # of a prompt, about


@dataclass(frozen=True)
class Plan:
    """`clips` of one length, each asked up to `questions` questions of every family."""

    budget: tuple[float, ...] = option(
        (0.43,), "FLOPs of the language model's prefill, as shares of dense"
    )
    frames: int = option(148, "of a clip, at 4 a second")
    size: int = option(224, "pixels, square")
    cubes: tuple[str, ...] = option((OWN,), "cubes to try as T,H,W; own is the model's")
    ffn_ps: tuple[float, ...] = option((0.25, 0.375, 0.5, 0.625, 0.75), "values of ffn_top_p")
    clips: int = option(8, "clips that every setting answers")
    questions: int = option(4, "questions of each family a clip")

    def __post_init__(self) -> None:
        if not all(0 < budget < 1 for budget in self.budget):
            raise UserError(f"A budget is a share of dense between 0 and 1; got {self.budget}.")
        if self.clips < SURVEY_CLIPS or self.questions < 1:
            raise UserError(f"Take {SURVEY_CLIPS} clips or more, and 1 question or more.")
        for p in self.ffn_ps:
            AdaSparkConfig(ffn_top_p=p)
        for cube in self.cubes:
            _cube(cube, AdaSparkConfig())
        Length(self.frames, self.size)

    @property
    def length(self) -> Length:
        """The clips' length and size."""
        return Length(self.frames, self.size)

    @classmethod
    def quick(cls) -> Plan:
        """Shorter clips, fewer settings."""
        return cls(budget=(0.5,), frames=64, size=168, ffn_ps=(0.25, 0.375, 0.5), clips=6)


def run(plan: Plan, context: Context) -> None:
    """Answer all clips densely and under every setting, and write the points of least loss."""
    clips = busy_clips(
        plan.length,
        clips=plan.clips,
        questions_a_family=plan.questions,
        seed=context.seed,
        purpose="calibration",
    )
    length = str(plan.length)
    arms, few = [DENSE_ARM], clips[:SURVEY_CLIPS]
    for cube in plan.cubes:
        config = replace(context.config, cube=_cube(cube, context.config))
        surveyed = list(_survey(plan, config))
        answer_all(context, length, few, surveyed)
        seeds = {clip.seed for clip in few}
        items = [item for item in context.results.items if item["key"][2] in seeds]
        arms += _settings(plan, context, config, surveyed, Arms(items))
    context.results.data["budgets"] = list(plan.budget)
    answer_all(context, length, clips, arms)
    points = chosen_points(context.results.items, plan.budget)
    if not points:
        context.say("No setting meets a budget: name a larger one.")
        return
    told = {
        "points": points,
        "model": context.loaded.name,
        "cube": points[0]["cube"],
        "setting": f"{length}, {plan.clips} clips",
    }
    text = json.dumps(told, indent=1)
    write(context.results.folder / FILE, text.encode() + b"\n")
    context.say(f"{context.results.folder / FILE}:\n{text}")


def answer_all(context: Context, length: str, clips: list[Clip], arms: list[Arm]) -> None:
    """Clip by clip, so that a clip's features serve all arms, as long as the budget lasts."""
    for _, batch in context.in_time(jobs(context, length, clips), name=lambda job: job[0]):
        answer(context, length, batch, arms)


def arm_of(config: AdaSparkConfig) -> Arm:
    """Named by its three dials."""
    sides = "x".join(map(str, config.cube))
    return Arm(f"{sides} {as_typed(config.attn_top_p)} {as_typed(config.ffn_top_p)}", config)


def _survey(plan: Plan, config: AdaSparkConfig) -> Iterator[Arm]:
    """Every `ffn_top_p` with some `attn_top_p`: the more the one drops, the less the other."""
    spread = np.interp(
        np.linspace(0, 1, len(plan.ffn_ps)), np.linspace(0, 1, len(SURVEY_PS)), SURVEY_PS
    )
    for ffn, attention in zip(sorted(plan.ffn_ps), spread, strict=True):
        yield arm_of(replace(config, attn_top_p=round(float(attention), 3), ffn_top_p=ffn))


def _settings(
    plan: Plan, context: Context, config: AdaSparkConfig, surveyed: list[Arm], found: Arms
) -> list[Arm]:
    """For each budget and `ffn_top_p` the `attn_top_p` that spends it, where one does, by what the
    survey `found`.
    """
    if any(arm.name not in found.by_arm for arm in surveyed):
        return []
    known = sorted((found.mean(arm.name, "attention"), arm.config.attn_top_p) for arm in surveyed)
    densities, ps = zip(*known, strict=True)
    settings: dict[str, Arm] = {}
    for budget in plan.budget:
        for arm in surveyed:
            ffn = found.mean(arm.name, "ffn")
            density = attention_left(plan, context, config.cube, budget=budget - AIM, ffn=ffn)
            if density >= densities[0]:
                p = float(np.interp(density, [*densities, 1.0], [*ps, 1.0]))
                setting = arm_of(replace(arm.config, attn_top_p=round(p, 3)))
                settings[setting.name] = setting
    return list(settings.values())


def attention_left(plan: Plan, context: Context, cube: Cube, *, budget: float, ffn: float) -> float:
    """The attention density at which an FFN density of `ffn` spends `budget`: FLOPs are linear in
    both. Below 0 where none does; above 1 where all of it can be afforded.
    """
    shape = language_shape(context.runner.model.config.text_config)
    side = plan.size // 28
    cubes = CubeLayout([(plan.frames // 2, side, side)], cube).cubes
    counts = {"video_tokens": plan.length.tokens, "text_tokens": _TEXT_TOKENS, "cubes": cubes}
    least, most = (flops(shape, ffn_density=ffn, attention_density=d, **counts) for d in (0.0, 1.0))
    left = budget * least.dense.total - least.sparse.total
    return left / (most.sparse.total - least.sparse.total)


def _cube(text: str, config: AdaSparkConfig) -> Cube:
    if text == OWN:
        return config.cube
    try:
        sides = [int(side) for side in text.split(",")]
    except ValueError:
        sides = []
    return AdaSparkConfig(cube=tuple(sides)).cube  # type: ignore[arg-type]
