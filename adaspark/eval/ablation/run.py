"""`adaspark eval ablation`: what each part of the method is worth, all on the same questions.

The paper's ablations at small scale: either half alone; other rules at top-p's density, the oracle
among them; other shapes and sizes of cubes at equal density; skipped tokens moved by their cube's
mean or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from adaspark.errors import UserError
from adaspark.eval.ablation.report import (
    ADASPARK,
    ATTENTION_ONLY,
    BYPASS,
    FFN_ONLY,
    MEAN,
    ORACLE,
    RULES,
    RUNS,
    SHAPES,
    TOP_P,
    at,
    draw,
    summarise,
)
from adaspark.eval.harness.by_condition import Conditions, answer, jobs
from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.clips import Length, busy_clips
from adaspark.eval.harness.conditions import DENSE_CONDITION, Condition
from adaspark.eval.harness.context import Context, option
from adaspark.eval.harness.matched_density import matched
from adaspark.method.config import AdaSparkConfig, Cube

__all__ = ["Plan", "draw", "run", "summarise"]

SIZES: dict[int, Cube] = {
    8: (2, 2, 2),
    16: (4, 2, 2),
    32: (2, 4, 4),
    64: (4, 4, 4),
    128: (8, 4, 4),
    256: (4, 8, 8),
    512: (8, 8, 8),
}
FRAMES: dict[int, Cube] = {8: (1, 2, 4), 32: (1, 8, 4)}
TUBES: dict[int, Cube] = {8: (8, 1, 1), 32: (32, 1, 1)}
"""At 224 pixels a run of 32 is half a frame, its upper or lower one; a part of a frame is its left
or right half. Runs of 64 are frames.
"""


@dataclass(frozen=True)
class Plan:
    """All conditions answer `clips` clips of `length`; the halves also `long_clips` of
    `long_length`.
    """

    length: str = option("64x224", "frames at 4 a second, x, pixels square")
    clips: int = option(7, "clips that every condition answers")
    questions: int = option(2, "questions of each family a clip")
    attn_ps: tuple[float, ...] = option(
        (0.4, 0.6, 0.8, 0.9), "values of attn_top_p whose densities the rules match"
    )
    ffn_ps: tuple[float, ...] = option(
        (0.25, 0.5, 0.75), "top-p of the FFN alone, with mean or bypass"
    )
    sizes: tuple[int, ...] = option(tuple(SIZES), "tokens per cube")
    shapes: tuple[int, ...] = option(
        tuple(FRAMES), "tokens per cube of the shapes that are compared"
    )
    long_length: str = option("148x224", "length at which the halves are compared again")
    long_clips: int = option(3, "clips of that length; 0 for none")

    def __post_init__(self) -> None:
        for length in (self.length, self.long_length):
            Length.parse(length)
        if self.clips < 1 or self.questions < 1 or self.long_clips < 0:
            raise UserError("Take at least 1 clip and 1 question; --long-clips is 0 or more.")
        if not all(0 < p < 1 for p in (*self.attn_ps, *self.ffn_ps)):
            raise UserError("Each p lies between 0 and 1, both excluded.")
        for name, given, known in (("sizes", self.sizes, SIZES), ("shapes", self.shapes, FRAMES)):
            if unknown := set(given) - set(known):
                raise UserError(
                    f"There are no {name} of {min(unknown)}: choose from {list(known)}."
                )

    @classmethod
    def quick(cls) -> Plan:
        """Small pictures, few conditions."""
        return cls(
            length="32x112",
            clips=6,
            attn_ps=(0.5, 0.8),
            ffn_ps=(0.25, 0.5),
            sizes=(8, 32),
            shapes=(8,),
            long_clips=0,
        )


def run(plan: Plan, context: Context) -> None:
    """Answer all clips condition by condition: a spent budget then leaves out whole conditions."""
    halves = _halves(context.config)
    _run(
        context,
        plan.length,
        plan.clips,
        plan.questions,
        [(condition.name, _is(condition)) for condition in halves],
    )
    if plan.long_clips:
        wanted = [(condition.name, _is(condition)) for condition in halves]
        _run(context, plan.long_length, plan.long_clips, plan.questions, wanted)
    _run(context, plan.length, plan.clips, plan.questions, list(_others(plan, context)))


Made = Callable[[Sequence[Clip]], Condition]
"""A condition made from the clips that it may look at to match a density."""


def _run(
    context: Context, length: str, count: int, questions: int, conditions: list[tuple[str, Made]]
) -> None:
    clips = busy_clips(
        Length.parse(length), clips=count, questions_a_family=questions, seed=context.seed
    )
    for name, made in context.in_time(
        conditions, name=lambda condition: f"{length} {condition[0]}"
    ):
        if not all(context.results.has(length, name, clip.seed) for clip in clips):
            condition = replace(made(clips[:1]), name=name)
            for _, batch in jobs(context, length, clips):
                answer(context, length, batch, [condition])


def _halves(config: AdaSparkConfig) -> list[Condition]:
    return [
        DENSE_CONDITION,
        Condition(ADASPARK, config),
        Condition(ATTENTION_ONLY, replace(config, ffn_top_p=1.0)),
        Condition(FFN_ONLY, replace(config, attn_top_p=1.0, text_top_p=None)),
    ]


def _others(plan: Plan, context: Context) -> Iterator[tuple[str, Made]]:
    """Name of each condition beyond the halves, and the function that makes it."""
    config = context.config
    for p in plan.attn_ps:
        alone = replace(config, attn_top_p=p, ffn_top_p=1.0)
        yield at(TOP_P, p), _is(Condition(TOP_P, alone))
        baselines = [Condition(ORACLE, alone, oracle=True)]
        baselines += [
            Condition(rule, replace(alone, attn_rule=name, attn_keep=p))
            for rule, name in RULES.items()
        ]
        for baseline in baselines:
            yield at(baseline.name, p), _as_dense(plan, context, baseline, at(TOP_P, p))
    ffn_only = replace(config, attn_top_p=1.0, text_top_p=None)
    for p in plan.ffn_ps:
        for skipped in (MEAN, BYPASS):
            alone = replace(ffn_only, ffn_top_p=p, ffn_skipped=skipped)
            yield at(skipped, p), _is(Condition(skipped, alone))
    sizes = sorted({*plan.sizes, *plan.shapes})
    cubes = [Condition(at(SHAPES[0], n), replace(config, cube=SIZES[n])) for n in sizes]
    for condition in (
        *cubes,
        *(condition for n in plan.shapes for condition in _shapes(config, n)),
    ):
        yield condition.name, _as_dense(plan, context, condition, ADASPARK)


def _shapes(config: AdaSparkConfig, volume: int) -> Iterator[Condition]:
    """Parts of frames, tubes and runs of `volume` tokens."""
    for shape, sides in zip(SHAPES[1:], (FRAMES, TUBES), strict=True):
        yield Condition(at(shape, volume), replace(config, cube=sides[volume]))
    yield Condition(at(RUNS, volume), replace(config, cube=SIZES[volume]), runs=volume)


def _is(condition: Condition) -> Made:
    return lambda clips: condition


def _as_dense(plan: Plan, context: Context, condition: Condition, as_name: str) -> Made:
    """`condition` with the share or threshold at which its attention is as dense as that of the
    condition `as_name`. A share is matched over all clips, because it hardly depends on the clip; a
    threshold on the given clips.
    """

    def made(clips: Sequence[Clip]) -> Condition:
        others = Conditions.at(plan.length, context.results.items)
        target = others.mean(as_name, "attention")
        if condition.config.attn_rule == "top_p":
            items = others.by_condition[as_name]
            target = mean(items[clip.seed]["attention"] for clip in clips)
        one = [replace(clip, questions=clip.questions[:1]) for clip in clips]
        return matched(context.runner, one, condition, target)

    return made
