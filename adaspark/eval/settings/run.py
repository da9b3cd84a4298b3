"""`adaspark eval settings`: several settings against dense, family by family, on the same clips.

Beyond the paper, for choosing a default: a family that loses more than a point is named, with its
interval. A setting is typed as `CUBE/P/TEXT/FFN`, such as `1,2,2/0.5/1/0.25`: cube, attn_top_p,
text_top_p (`-`: as attn_top_p, the paper's one p) and ffn_top_p; each p a number, or `P,P,...` with
one for each layer. A fifth part names the FFN's importance (residual or input).
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import dataclass, replace
from typing import Any

from adaspark.arguments import top_p
from adaspark.errors import UserError
from adaspark.eval.calibrate.layers import condition_of
from adaspark.eval.harness.by_condition import answer, jobs, with_dense
from adaspark.eval.harness.clips import Length, busy_clips
from adaspark.eval.harness.context import Context, option
from adaspark.eval.settings.report import draw, summarise
from adaspark.method.config import AdaSparkConfig

__all__ = ["Plan", "draw", "run", "summarise"]

AS_ATTENTION = "-"


@dataclass(frozen=True)
class Plan:
    """`clips` clips of `length`, each asked up to `questions` questions of every family."""

    settings: tuple[str, ...] = option(
        ("1,2,2/0.72/-/0.5", "1,2,2/0.5/1/0.25"), "settings as CUBE/P/TEXT/FFN"
    )
    length: str = option("148x224", "frames at 4 a second, x, pixels square")
    clips: int = option(80, "clips that every setting answers")
    questions: int = option(4, "questions of each family a clip")

    def __post_init__(self) -> None:
        Length.parse(self.length)
        if self.clips < 1 or self.questions < 1:
            raise UserError("Take 1 clip or more, and 1 question of a family or more.")
        for text in self.settings:
            setting(text)

    @classmethod
    def quick(cls) -> Plan:
        """Short clips."""
        return cls(length="32x112", clips=20, questions=2)


def run(plan: Plan, context: Context) -> None:
    """Batch by batch under all settings, so that a spent budget leaves out whole clips."""
    clips = busy_clips(
        Length.parse(plan.length),
        clips=plan.clips,
        questions_a_family=plan.questions,
        seed=context.seed,
    )
    conditions = with_dense([setting(text) for text in plan.settings])
    for length, batch in context.in_time(
        jobs(context, plan.length, clips), name=lambda job: job[0]
    ):
        answer(context, length, batch, conditions)


def setting(text: str) -> Any:
    """The condition that a setting's text names. Raises UserError."""
    try:
        cube, attn, words, ffn, *rest = text.split("/")
        config = AdaSparkConfig(
            cube=tuple(int(side) for side in cube.split(",")),  # type: ignore[arg-type]
            attn_top_p=top_p(attn),  # type: ignore[arg-type]
            text_top_p=None if words == AS_ATTENTION else top_p(words),  # type: ignore[arg-type]
            ffn_top_p=top_p(ffn),  # type: ignore[arg-type]
            ffn_importance="/".join(rest) or "residual",
        )
    except (ValueError, ArgumentTypeError) as error:
        raise UserError(
            f"A setting is CUBE/P/TEXT/FFN, such as 1,2,2/0.5/1/0.25; got {text!r}."
        ) from error
    return replace(condition_of(config), name=text)
