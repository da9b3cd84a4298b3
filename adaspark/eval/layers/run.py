"""`adaspark eval layers`: how many cubes and tokens each layer keeps, by query and question.

The paper's Fig. 4 at small scale: kept cubes by layer, by kind of query and by family of question;
kept FFN tokens by layer; and whether a question about the whole clip keeps more than one about a
single object of the same clip. Words choose by the one p of all attention, as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from adaspark.eval.harness.asking import Span
from adaspark.eval.harness.by_clip import ClipPlan, batches
from adaspark.eval.harness.by_layer import rounded
from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.context import Context, option
from adaspark.eval.harness.recorded_rows import Rows, kinds_of, rows_of, text_rows
from adaspark.eval.harness.runner import Record, RecordedBatch
from adaspark.eval.layers.report import draw, summarise
from adaspark.eval.report.correlation import correlation
from adaspark.method.selection import normalised_entropy
from adaspark.mini.questions.families import question_stream, questions

__all__ = ["Plan", "draw", "run", "summarise"]


@dataclass(frozen=True)
class Plan(ClipPlan):
    """The full run; kept cubes vary more among questions than attention does, so it asks more."""

    items: int = option(100, "questions of each family at each length")

    @classmethod
    def quick(cls) -> Plan:
        """Few questions, shorter clips."""
        return cls(items=30, lengths=("64x112", "16x112"), video_rows=16)


def run(plan: Plan, context: Context) -> None:
    """Answer every clip sparsely, and add one item a clip."""
    for length, clips in batches(context, plan, changed=with_needle):

        def receive(recorded: RecordedBatch, length: str = length) -> None:
            for row, clip in enumerate(recorded.clips):
                context.results.add(length, clip.seed, **_item(recorded, row))

        context.runner.observe(clips, context.one_p, Record(receive, video_rows=plan.video_rows))


def with_needle(clip: Clip) -> Clip:
    """The clip, asked for a needle too if it is asked for the most common: then the two kinds of
    question can be compared on one video.
    """
    asked = {question.family for question in clip.questions}
    if "aggregate" not in asked or "needle" in asked:
        return clip
    more = questions(clip.scene, question_stream(clip.scene), count=1, families=["needle"])
    return replace(clip, questions=(*clip.questions, *more))


def kept_shares(rows: Rows) -> Tensor:
    """Kept cubes / candidates: double [L, H, S], NaN if a row has no candidate."""
    shares: Tensor = rows.kept.sum(-1).double() / rows.candidates.sum(-1)
    return shares


def _item(recorded: RecordedBatch, clip: int) -> dict[str, Any]:
    kinds = kinds_of(recorded, clip)
    passed = [layer.ffn_kept for layer in recorded.decisions.layers]
    return {
        "kinds": {kind: _kept(rows_of(recorded, clip, rows)) for kind, rows in kinds.items()},
        "ffn": rounded([kept[clip].double().mean() for kept in passed if kept is not None]),
        "questions": [
            {"family": question.family, **_by_rows(recorded, clip, span)}
            for question, span in zip(
                recorded.clips[clip].questions, recorded.spans[clip], strict=True
            )
        ],
    }


def _kept(rows: Rows) -> dict[str, list[float | None]]:
    """Per layer: share of candidate cubes and of visible video tokens that a row reads; CV of the
    first among rows and heads; the router's entropy; and the correlation of entropy and share.
    """
    shares = kept_shares(rows).flatten(1)  # [L, H x S]
    read = ((rows.kept | rows.own) * rows.visible).sum((-1, 1))  # [L, S]
    seen = rows.visible.sum() * rows.kept.shape[1]
    entropy = normalised_entropy(rows.probs, rows.candidates.sum(-1)).flatten(1)
    mean = shares.nanmean(-1)
    varied = (shares - mean[:, None]).square().nanmean(-1).sqrt()
    return {
        "cubes": rounded(mean),
        "tokens": rounded(read.sum(-1).double() / seen),
        "cv": rounded(varied / mean),
        "entropy": rounded(entropy.nanmean(-1)),
        "correlation": rounded(correlation(entropy, shares)),
    }


def _by_rows(recorded: RecordedBatch, clip: int, span: Span) -> dict[str, list[float | None]]:
    """Per layer: the share of cubes that one question's rows keep; `last` is the row that gives
    the answer's first token.
    """
    rows: dict[str, Sequence[int]] = {**text_rows([span]), "last": span.asked[-1:]}
    return {
        name: rounded(kept_shares(rows_of(recorded, clip, each)).nanmean((1, 2)))
        for name, each in rows.items()
    }
