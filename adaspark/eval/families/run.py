"""`adaspark eval families`: answers, densities and FLOPs per family of questions, condition by
condition.

The paper's main tables at small scale: ten families at three lengths, dense, AdaSpark and, if they
are bundled, the weights tuned to sparsity. All conditions answer identical questions. Controls,
dense: grey pictures, and frames in a random order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.eval.families.controls import BLIND, SHUFFLED, as_shown
from adaspark.eval.families.report import draw
from adaspark.eval.families.tables import summarise
from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.clips import Length, mixed_clips
from adaspark.eval.harness.conditions import DENSE_CONDITION, Condition
from adaspark.eval.harness.context import Context, option
from adaspark.eval.harness.outcomes import Outcome
from adaspark.eval.harness.runner import Runner
from adaspark.mini.questions.families import FAMILIES, check_family
from adaspark.mini.questions.question import Question
from adaspark.model import checkpoint
from adaspark.model.checkpoint import BUNDLED, BUNDLED_SPARSE

__all__ = ["Plan", "draw", "run", "summarise"]

SPARSE_WEIGHTS = BUNDLED_MODEL / "sparse.safetensors"


@dataclass(frozen=True)
class Plan:
    """`items` questions of each family at each length, the longest first; of the clips, the first
    `control_clips` are asked again as controls.
    """

    items: int = option(500, "questions of each family at each length")
    lengths: tuple[str, ...] = option(
        ("148x224", "64x224", "16x112"), "frames at 4 a second, x, pixels square"
    )
    families: tuple[str, ...] = option(tuple(FAMILIES), "families that are asked")
    control_clips: int = option(200, "clips that are asked again blind and shuffled")

    def __post_init__(self) -> None:
        if self.items < 1 or self.control_clips < 0:
            raise UserError("Ask at least 1 item of a family; --control-clips is 0 or more.")
        for family in self.families:
            check_family(family)
        for length in self.lengths:
            Length.parse(length)

    @classmethod
    def quick(cls) -> Plan:
        """Few questions, shorter clips."""
        return cls(items=15, lengths=("32x112", "16x112"), control_clips=15)


def run(plan: Plan, context: Context) -> None:
    """Ask every clip of the plan under all conditions, batch by batch; add an item a question."""
    conditions = list(_conditions(context))
    for length, clips, controls in context.in_time(_jobs(plan, context), name=lambda job: job[0]):
        answers = {name: runner.run(clips, condition) for name, runner, condition in conditions}
        again = {
            condition.name: context.runner.run(controls, condition)
            for condition in (BLIND, SHUFFLED)
        }
        for row, clip in enumerate(clips):
            for index, question in enumerate(clip.questions):
                if context.results.has(length, clip.seed, index):
                    continue
                item: dict[str, Any] = {
                    "family": question.family,
                    "form": question.form,
                    "question": question.text,
                    "expected": question.answer,
                }
                item |= {name: _fields(name, found[row][index]) for name, found in answers.items()}
                if row < len(controls):
                    item |= _controls(clip, question, {n: o[row][index] for n, o in again.items()})
                context.results.add(length, clip.seed, index, **item)


def _conditions(context: Context) -> Iterator[tuple[str, Runner, Condition]]:
    """Name, model and configuration of each condition."""
    yield DENSE_CONDITION.name, context.runner, DENSE_CONDITION
    yield "AdaSpark", context.runner, context.adaspark
    if context.loaded.name == BUNDLED and SPARSE_WEIGHTS.is_file():
        tuned = checkpoint.load(BUNDLED_SPARSE, device=context.loaded.device.type)
        typed = context.config != context.loaded.config
        config = context.config if typed else tuned.config
        yield "AdaSpark, tuned", Runner(tuned), Condition("AdaSpark, tuned", config)


def _jobs(plan: Plan, context: Context) -> list[tuple[str, Sequence[Clip], Sequence[Clip]]]:
    """Batches of one length that are not all answered, with those of their clips that are asked
    again as controls, which come first.
    """
    found = []
    for length in plan.lengths:
        clips = mixed_clips(
            Length.parse(length), items=plan.items, families=plan.families, seed=context.seed
        )
        begin = 0
        for batch in context.runner.batches(clips):
            controls = batch[: max(0, plan.control_clips - begin)]
            begin += len(batch)
            keys = [(length, clip.seed, i) for clip in batch for i in range(len(clip.questions))]
            if not all(context.results.has(*key) for key in keys):
                found.append((length, batch, controls))
    return found


def _fields(name: str, outcome: Outcome) -> dict[str, Any]:
    """What an item keeps of an outcome, in three decimals; the dense one made no choices."""
    score = {"answer": outcome.answer, "correct": round(outcome.correct, 3)}
    score["logprob"] = round(outcome.logprob, 3)
    if name == DENSE_CONDITION.name:
        return score
    density, cost = outcome.density, outcome.flops
    whole = (cost["sparse"] + cost["vision"]) / (cost["dense"] + cost["vision_dense"])
    numbers = {
        "hit": outcome.hit,
        "hit_last": outcome.hit_last,
        "attention": density["attention"],
        "rows": density["question"],
        "ffn": density["ffn"],
        "flops": cost["sparse"] / cost["dense"],
        "with_vision": whole,
    }
    return score | {name: None if n is None else round(n, 3) for name, n in numbers.items()}


def _controls(clip: Clip, question: Question, again: dict[str, Outcome]) -> dict[str, Any]:
    """Answers without a picture and, if the question is about order, out of order."""
    fields = {n: {"answer": o.answer, "correct": round(o.correct, 3)} for n, o in again.items()}
    order_score = as_shown(clip, question)
    if order_score is None:
        return {"blind": fields["blind"]}
    return {
        "blind": fields["blind"],
        "shuffled": {**fields["shuffled"], "as_shown": round(order_score, 3)},
    }
