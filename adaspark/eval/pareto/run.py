"""`adaspark eval pareto`: answers against FLOPs, over the grid of both p, beside baselines.

Beyond the paper, at small scale. The baselines come from outside the method and spend less by
seeing less: frames sampled evenly from the clip, and video tokens of small norm pruned after the
vision tower. Both lose for good what they drop, whatever the question.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from adaspark.errors import UserError
from adaspark.eval.harness.by_condition import answer, jobs
from adaspark.eval.harness.clips import Length, busy_clips
from adaspark.eval.harness.conditions import DENSE_CONDITION, Condition
from adaspark.eval.harness.context import Context, option
from adaspark.eval.pareto.report import ADASPARK, FRAMES, PRUNED, draw, summarise
from adaspark.method.config import AdaSparkConfig

__all__ = ["Plan", "draw", "run", "summarise"]


@dataclass(frozen=True)
class Plan:
    """`clips` clips of `length`, each asked up to `questions` questions of every family."""

    length: str = option("64x224", "frames at 4 a second, x, pixels square")
    clips: int = option(9, "clips that every setting answers")
    questions: int = option(2, "questions of each family a clip")
    attn_ps: tuple[float, ...] = option((0.3, 0.5, 0.7, 0.85, 0.95), "values of attn_top_p")
    ffn_ps: tuple[float, ...] = option((0.125, 0.25, 0.375, 0.5, 0.75), "values of ffn_top_p")
    frames: tuple[float, ...] = option((0.125, 0.25, 0.375, 0.5, 0.75), "shares of frames to show")
    prune: tuple[float, ...] = option((0.125, 0.25, 0.375, 0.5, 0.75), "shares of tokens to keep")

    def __post_init__(self) -> None:
        Length.parse(self.length)
        if self.clips < 1 or self.questions < 1:
            raise UserError("Take 1 clip or more, and 1 question of a family or more.")
        for attention, ffn in product(self.attn_ps, self.ffn_ps):
            AdaSparkConfig(attn_top_p=attention, ffn_top_p=ffn)
        if not all(0 < share <= 1 for share in (*self.frames, *self.prune)):
            raise UserError("A share of frames or tokens is above 0 and at most 1.")

    @classmethod
    def quick(cls) -> Plan:
        """Small pictures, few settings."""
        few = (0.25, 0.5, 0.75)
        ps = (0.5, 0.7, 0.95)
        return cls(length="32x168", clips=5, attn_ps=ps, ffn_ps=few, frames=few, prune=few)


def run(plan: Plan, context: Context) -> None:
    """Setting by setting, each on all clips, so that a spent budget leaves out whole settings."""
    clips = busy_clips(
        Length.parse(plan.length),
        clips=plan.clips,
        questions_a_family=plan.questions,
        seed=context.seed,
    )
    batches = [batch for _, batch in jobs(context, plan.length, clips)]
    for condition in context.in_time(
        conditions(plan, context.config), name=lambda condition: condition.name
    ):
        for batch in batches:
            answer(context, plan.length, batch, [condition])


def conditions(plan: Plan, config: AdaSparkConfig) -> list[Condition]:
    """Dense and the baselines, then the grid."""
    grid = [
        Condition(f"{ADASPARK} {a:g} {f:g}", replace(config, attn_top_p=a, ffn_top_p=f))
        for a, f in product(plan.attn_ps, plan.ffn_ps)
    ]
    pruned = [Condition(f"{PRUNED} {share:g}", prune=share) for share in plan.prune]
    sampled = [Condition(f"{FRAMES} {share:g}", frames=share) for share in plan.frames]
    return [DENSE_CONDITION, *pruned, *sampled, *grid]
