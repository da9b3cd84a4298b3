"""`adaspark eval niah`: a needle in a haystack, by length of the clip and depth of the needle.

The paper's Fig. 3 at small scale. The needle is one brief object, unique in colour and shape, or
one whose shape comes again with the other fill (look-alikes). Compared are dense, AdaSpark, and the
rules top-k and uniform at AdaSpark's density.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice, product
from statistics import mean
from typing import Any

from adaspark.errors import UserError
from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.clips import SEEDS_A_RUN, Length
from adaspark.eval.harness.conditions import DENSE_CONDITION, Condition
from adaspark.eval.harness.context import Context, option
from adaspark.eval.harness.matched_density import matched
from adaspark.eval.harness.outcomes import Outcome
from adaspark.eval.harness.runner import Runner
from adaspark.eval.niah.report import NO_RULE, RULES, VARIANTS, draw, summarise
from adaspark.mini.questions.families import question_stream, questions, settings_for
from adaspark.mini.questions.question import Question
from adaspark.mini.world.scene import Scene
from adaspark.mini.world.seeds import held_out_seed
from adaspark.mini.world.vocabulary import FILLS
from adaspark.mini.world.world import sample_scene

__all__ = ["Plan", "draw", "run", "summarise"]

_SEEDS_A_CELL = 10**4
_CLIPS_TO_MATCH = 2


@dataclass(frozen=True)
class Plan:
    """`items` clips for each length, depth and variant, each with one question about its needle.

    `depths` counts the depths from 0 to 1 at which the needle's middle lies, evenly.
    """

    items: int = option(24, "clips per length, depth and variant")
    lengths: tuple[str, ...] = option(
        ("148x224", "128x224", "64x224", "32x224", "16x224", "256x112", "384x112"),
        "frames at 4 a second, x, pixels square; 3600x112@1: at one a second",
    )
    depths: int = option(6, "depths, evenly from the start to the end")
    needle_secs: float = option(1.0, "seconds that the needle is shown, at 4 frames a second")
    variants: tuple[str, ...] = option(VARIANTS, "needle (alone of its kind), lookalike")
    rules: tuple[str, ...] = option(
        tuple(RULES), f"compared at AdaSpark's density: {', '.join(RULES)}; {NO_RULE}: dense alone"
    )

    def __post_init__(self) -> None:
        if self.items < 1 or self.depths < 2 or not 0 < self.needle_secs <= 4:
            raise UserError("Take 1 clip a cell or more, 2 depths or more, needles of 0 to 4 s.")
        if unknown := set(self.variants) - set(VARIANTS):
            raise UserError(
                f"There is no variant {min(unknown)!r}; choose from {', '.join(VARIANTS)}."
            )
        if self.rules != (NO_RULE,) and not (self.rules and set(self.rules) <= set(RULES)):
            raise UserError(f"Take the rules {', '.join(RULES)}, or {NO_RULE} alone.")
        for length in self.lengths:
            Length.parse(length)

    @classmethod
    def quick(cls) -> Plan:
        """Three short lengths, three depths."""
        return cls(items=6, lengths=("16x112", "32x112", "64x112"), depths=3)


def run(plan: Plan, context: Context) -> None:
    """Ask for every needle under all conditions, and add an item a needle.

    Rules are matched to AdaSpark on all clips of a length, which are then one job. Without rules
    each clip is a job, and all lengths go on together: what a run that is cut short has asked is
    spread over them, and over the depths.
    """
    parts = [slice(None)]
    if plan.rules == (NO_RULE,):
        parts = [slice(n, n + 1) for n in range(plan.items * plan.depths)]
    jobs = [
        (v, length, part) for part in parts for v, length in product(plan.variants, plan.lengths)
    ]
    for variant, length, part in context.in_time(jobs, name=lambda job: f"{job[0]} {job[1]}"):
        needles = haystack(plan, variant, length, context.seed)[part]
        keys = [(variant, length, depth, clip.seed) for depth, clip in needles]
        if all(context.results.has(*key) for key in keys):
            continue
        answers = _answers(context, [clip for _, clip in needles], plan.rules)
        for row, (key, (_, clip)) in enumerate(zip(keys, needles, strict=True)):
            by_condition = {
                condition.name: _fields(condition, found[row])
                for condition, found in answers.items()
            }
            question = clip.questions[0]
            values = {"question": question.text, "expected": question.answer, **by_condition}
            if not context.results.has(*key):
                context.results.add(*key, **values)


def with_twin(scene: Scene) -> Scene | None:
    """The scene with another object in the needle's shape and the other fill; None without one."""
    needle = scene.needle
    others = [i for i, e in enumerate(scene.events) if i != needle and e.turns is None]
    if needle is None or not others:
        return None
    events = list(scene.events)
    fill = next(fill for fill in FILLS if fill != events[needle].fill)
    events[others[0]] = replace(events[others[0]], shape=events[needle].shape, fill=fill)
    return replace(scene, events=tuple(events))


def haystack(plan: Plan, variant: str, length: str, seed: int) -> list[tuple[float, Clip]]:
    """(depth, clip) pairs of evaluation scenes, `items` of each depth; the depths alternate."""
    depths = [index / (plan.depths - 1) for index in range(plan.depths)]
    cells = []
    for cell, depth in enumerate(depths):
        clips = _cell(variant, Length.parse(length), (depth, plan.needle_secs), seed, cell)
        cells.append([(depth, clip) for clip in islice(clips, plan.items)])
    return [pair for turn in zip(*cells, strict=True) for pair in turn]


def _cell(
    variant: str, length: Length, needle: tuple[float, float], seed: int, cell: int
) -> Iterator[Clip]:
    settings = settings_for("needle", length.frames, length.size, needle=needle)
    for index in count(seed * SEEDS_A_RUN + cell * _SEEDS_A_CELL):
        scene = sample_scene(held_out_seed("evaluation", index), replace(settings, lookalikes=0.0))
        shown = with_twin(scene) if variant == "lookalike" else scene
        shown = length.slowed(shown) if shown else None
        question = _about_needle(shown, variant, 1 / length.fps) if shown else None
        if shown and question:
            yield length.clip(shown, [question], scene.seed)


def _about_needle(scene: Scene, family: str, apart: float) -> Question | None:
    drawn = questions(scene, question_stream(scene), count=8, families=[family], frame_secs=apart)
    return next((question for question in drawn if question.event == scene.needle), None)


def _answers(
    context: Context, clips: Sequence[Clip], rules: Sequence[str]
) -> dict[Condition, list[Outcome]]:
    """Each condition's outcomes, the rules at AdaSpark's density on these same clips."""
    conditions = [DENSE_CONDITION, context.adaspark]
    found = _outcomes(context.runner, clips, conditions)
    if not set(rules) & set(RULES):
        return found
    target = mean(outcome.density["attention"] for outcome in found[conditions[1]])
    baselines = [
        Condition(name, replace(context.config, attn_rule=RULES[name], attn_keep=target))
        for name in rules
    ]
    few = clips[:_CLIPS_TO_MATCH]
    baselines = [matched(context.runner, few, baseline, target) for baseline in baselines]
    return found | _outcomes(context.runner, clips, baselines)


def _outcomes(
    runner: Runner, clips: Sequence[Clip], conditions: Sequence[Condition]
) -> dict[Condition, list[Outcome]]:
    """One outcome a clip, all conditions of a batch together."""
    found: dict[Condition, list[Outcome]] = {condition: [] for condition in conditions}
    for batch in runner.batches(clips):
        for condition in conditions:
            found[condition] += [outcomes[0] for outcomes in runner.run(batch, condition)]
    return found


def _fields(condition: Condition, outcome: Outcome) -> dict[str, Any]:
    """What is kept of an outcome, in three decimals."""
    numbers = {
        "correct": outcome.correct,
        "logprob": outcome.logprob,
        "hit": outcome.hit,
        "hit_last": outcome.hit_last,
        "attention": outcome.density["attention"],
        "rows": outcome.density["question"],
        "flops": 1 - outcome.flops["reduction"],
        "keep": condition.config.attn_keep,
    }
    known = {name: round(n, 3) for name, n in numbers.items() if n is not None}
    return {"answer": outcome.answer, **known}
