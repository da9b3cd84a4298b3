"""`adaspark eval case`: which cubes a word chooses, drawn on the frames beside the truth.

The paper's Fig. 5 at small scale. Two words of each question are looked at: its key word, the last
that names a look of the object asked about ("circle", "red", "striped") or an end ("first"), and
the row that gives the answer's first word. Which tokens hold the object that is asked about is
known. A fixed rule picks the cases that are drawn. Words choose by the one p of all attention,
as in the paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adaspark.errors import UserError
from adaspark.eval.case.frames import packed
from adaspark.eval.case.report import draw, summarise
from adaspark.eval.harness.asking import Span
from adaspark.eval.harness.clips import Length, mixed_clips
from adaspark.eval.harness.context import Context, option
from adaspark.eval.harness.outcomes import Outcome
from adaspark.eval.harness.recorded_rows import rows_of
from adaspark.eval.harness.runner import Record, RecordedBatch
from adaspark.mini.packed.packing import Packer
from adaspark.mini.questions.families import check_family
from adaspark.mini.world.event import Event

__all__ = ["Plan", "draw", "run", "summarise"]


@dataclass(frozen=True)
class Plan:
    """`items` questions of each family, all about one object, in clips of one length."""

    items: int = option(40, "questions of each family")
    length: str = option("64x224", "frames at 4 a second, x, pixels square")
    families: tuple[str, ...] = option(
        ("needle", "lookalike", "order", "motion", "spatial"), "families that are asked"
    )

    def __post_init__(self) -> None:
        if self.items < 1:
            raise UserError("Ask at least 1 item of a family.")
        for family in self.families:
            check_family(family)
        Length.parse(self.length)

    @classmethod
    def quick(cls) -> Plan:
        """Few questions, short clips."""
        return cls(items=6, length="16x224")


def run(plan: Plan, context: Context) -> None:
    """Ask all questions under AdaSpark, and add an item for each word that is looked at."""
    clips = mixed_clips(
        Length.parse(plan.length), items=plan.items, families=plan.families, seed=context.seed
    )
    for batch in context.in_time(context.runner.batches(clips), name=lambda _: plan.length):
        recorded: list[RecordedBatch] = []
        outcomes = context.runner.run(batch, context.one_p, record=Record(recorded.append))
        for row, clip in enumerate(batch):
            for index, outcome in enumerate(outcomes[row]):
                words = _words(context.runner.packer, recorded[0], row, index)
                for kind, word, choice in words:
                    if not context.results.has(clip.seed, index, kind):
                        values = {**_asked(outcome), "word": word, **choice}
                        context.results.add(clip.seed, index, kind, **values)


def key_word(text: str, event: Event) -> re.Match[str] | None:
    """The last word of a question that names a look of the object asked about, or an end."""
    words = (event.color, event.shape, event.fill, "first", "last")
    found = re.finditer(rf"\b({'|'.join(words)})\b", text, re.IGNORECASE)
    return max(found, key=lambda match: match.start(), default=None)


def key_row(packer: Packer, text: str, end: int, span: Span) -> int:
    """The row of the packed sequence in which the word of a question that stops at `end` ends.

    The tokenizer splits at words first, so a text up to a word's end is a prefix in tokens.
    """
    return span.asked.start + len(packer.between) + len(packer.encode(text[:end])) - 1


def fit(chosen: Tensor, truth: Tensor) -> dict[str, list[float]]:
    """How chosen tokens bool [L, V] fit the true ones bool [V], layer by layer, in four decimals:
    `iou`, `recall` (share of the truth that is chosen) and `share` (of the video that is chosen).
    """
    both = (chosen & truth).sum(-1).double()
    figures = {
        "iou": both / (chosen | truth).sum(-1),
        "recall": both / truth.sum(),
        "share": chosen.double().mean(-1),
    }
    return {name: [round(v, 4) for v in values.tolist()] for name, values in figures.items()}


def _words(
    packer: Packer, recorded: RecordedBatch, clip: int, index: int
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Kind, word and choice of each word of one question that is looked at."""
    question, span = recorded.clips[clip].questions[index], recorded.spans[clip][index]
    if question.event is None:
        return
    truth = recorded.truth[clip, :, question.event].cpu()
    key = key_word(question.text, recorded.clips[clip].scene.events[question.event])
    if not truth.any():
        return
    if key is not None:
        row = key_row(packer, question.text, key.end(), span)
        yield "key", key[0].lower(), _choice(recorded, clip, row, truth)
    yield "answer", question.answer.split()[0], _choice(recorded, clip, span.asked.stop - 1, truth)


def _choice(recorded: RecordedBatch, clip: int, row: int, truth: Tensor) -> dict[str, Any]:
    """What a row chose, layer by layer: a cube counts if half of the heads or more kept it.

    `cubes` are bits, lowest cube first, in hexadecimal; `ceiling` is the IoU of all cubes that hold
    some of the truth, the best that whole cubes covering it can reach.
    """
    kept = rows_of(recorded, clip, [row]).kept[:, :, 0].cpu()  # [L, H, C]
    cubes = kept.double().mean(1) >= 0.5
    layout = recorded.geometry.layout
    cube_from_token = layout.cube_from_token.cpu()
    holding = torch.zeros(layout.cubes).index_add(0, cube_from_token, truth.float()) > 0
    return {
        **fit(cubes[:, cube_from_token], truth),
        "ceiling": fit(holding[None, cube_from_token], truth)["iou"][0],
        "cubes": [packed(layer) for layer in cubes],
    }


def _asked(outcome: Outcome) -> dict[str, Any]:
    return {
        "family": outcome.family,
        "question": outcome.question,
        "expected": outcome.expected,
        "answer": outcome.answer,
        "correct": outcome.correct,
    }
