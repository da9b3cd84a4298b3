"""`adaspark eval fidelity`: how near the sparse computation stays to the dense one, and why.

Beyond the paper, at small scale. On one dense run: how much of the attention the chosen cubes hold,
against other choices as dense; how well the router's weights rank and promise it; what skipping
tokens costs the FFN. AdaSpark's answers against the dense ones: divergence and flips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor

from adaspark.errors import UserError
from adaspark.eval.fidelity import recall as choice
from adaspark.eval.fidelity.compensation import recording_branches, skip_errors
from adaspark.eval.fidelity.report import draw, summarise
from adaspark.eval.harness.by_clip import ClipPlan, batches
from adaspark.eval.harness.by_layer import rounded
from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.conditions import Condition
from adaspark.eval.harness.context import Context, option
from adaspark.eval.harness.recorded_rows import Rows, kinds_of, rows_of
from adaspark.eval.harness.runner import Record, RecordedBatch, Runner
from adaspark.eval.report.correlation import rank_correlation
from adaspark.method.config import DENSE, AdaSparkConfig

__all__ = ["Plan", "draw", "run", "summarise"]

LOW = 0.05
"""the share of rows that fare worse than the "5th percentile" """


@dataclass(frozen=True)
class Plan(ClipPlan):
    """Every choice at each of `ps`, beside the configuration's own p."""

    lengths: tuple[str, ...] = option(
        ("148x224", "64x224"), "frames at 4 a second, x, pixels square"
    )
    ps: tuple[float, ...] = option((0.5, 0.7, 0.8, 0.9, 0.95), "shares of mass to promise")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 < p < 1 for p in self.ps):
            raise UserError(f"Each p lies between 0 and 1, both excluded; got {self.ps}.")

    @classmethod
    def quick(cls) -> Plan:
        """Few questions, shorter clips."""
        return cls(items=15, lengths=("64x112",), ps=(0.5, 0.7, 0.9), video_rows=16)


def run(plan: Plan, context: Context) -> None:
    """Read every clip densely and sparsely, and add one item a clip.

    Raises UserError if thresholds differ by layer.
    """
    attn, ffn = _own_ps(context.config)
    for length, clips in batches(context, plan):
        parts = [_dense(plan, context, clips), _answers(context, clips)]
        own = {"attention": str(attn), "ffn": str(ffn)}
        for clip, *measured in zip(clips, *parts, strict=True):
            context.results.add(length, clip.seed, own=own, **measured[0], **measured[1])


def _own_ps(config: AdaSparkConfig) -> tuple[float, float]:
    """Both thresholds of the configuration: every p here is promised by all layers."""
    attn, ffn = config.attn_top_p, config.ffn_top_p
    if isinstance(attn, tuple) or isinstance(ffn, tuple):
        raise UserError(
            "eval fidelity takes one threshold for all layers: give --attn-top-p and --ffn-top-p "
            "one number each."
        )
    return attn, ffn


def sparse_conditions(config: AdaSparkConfig) -> list[Condition]:
    """AdaSpark and its parts, each compared with dense answers."""
    ffn_only = replace(config, attn_top_p=1.0, text_top_p=None)
    return [
        Condition("AdaSpark", config),
        Condition("attention only", replace(config, ffn_top_p=1.0)),
        Condition("FFN only", ffn_only),
        Condition("FFN only, bypass", replace(ffn_only, ffn_skipped="bypass")),
    ]


def _dense(plan: Plan, context: Context, clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """What one dense run says of every choice, clip by clip."""
    runner, config = context.runner, context.config
    record = {"mass": True, "video_rows": plan.video_rows}
    with recording_branches(runner.model) as branches:
        cubes = _recorded(
            runner, clips, Condition("dense", replace(DENSE, cube=config.cube)), **record
        )
    video = cubes.geometry.video
    inputs, outputs = (part[:, :, video] for part in branches.take(len(cubes.decisions.layers)))
    attn_p, ffn_p = _own_ps(config)
    ps = sorted({*plan.ps, ffn_p})
    ffn = {p: skip_errors(inputs, outputs, cubes.geometry.layout, p) for p in ps}
    runs = _recorded(runner, clips, Condition("dense", DENSE, runs=prod(config.cube)), **record)
    found = []
    for clip in range(len(clips)):
        by_kind = {
            kind: _choices(rows_of(cubes, clip, rows), rows_of(runs, clip, rows), plan, attn_p)
            for kind, rows in kinds_of(cubes, clip).items()
        }
        by_p = {
            str(p): {name: rounded(part[:, clip]) for name, part in vars(errors).items()}
            for p, errors in ffn.items()
        }
        found.append({"attention": by_kind, "ffn": by_p})
    return found


def _choices(rows: Rows, runs: Rows, plan: Plan, own_p: float) -> dict[str, Any]:
    """Recall of every choice at every p, by layer at `own_p`, and the router's rank correlation and
    the mass its promises deliver.
    """
    by_p: dict[str, Any] = {}
    by_layer: dict[str, Any] = {}
    ps = sorted({*plan.ps, own_p})
    for p in ps:
        kept = choice.choices(rows, p)
        caught = {name: (rows, mask) for name, mask in kept.items()}
        caught[choice.RUNS] = (
            runs,
            choice.reaching(runs, choice.tokens_read(rows, kept["top-p"])),
        )
        by_p[str(p)] = {name: _caught(*found) for name, found in caught.items()}
        if p == own_p:
            by_layer = {n: rounded(choice.recall(*c).nanmean((1, 2))) for n, c in caught.items()}
    looking = rows.mass.sum(-1, keepdim=True) > 0  # some heads attend to text alone
    ranked = rank_correlation(rows.probs, rows.mass, rows.candidates & looking)
    kept_promise = {str(p): rounded(choice.realised(rows, p).nanmean((1, 2))) for p in ps}
    return {
        "recall": by_p,
        "layers": by_layer,
        "ranks": rounded(ranked.nanmean((1, 2))),
        "realised": kept_promise,
    }


def _caught(rows: Rows, kept: Tensor) -> dict[str, float | None]:
    """Density, mean recall and its 5th percentile over layers, heads and rows."""
    recall = choice.recall(rows, kept).flatten().double()
    figures = [choice.density(rows, kept), recall.nanmean(), recall.nanquantile(LOW)]
    return dict(zip(("density", "mean", "low"), rounded(figures), strict=True))


def _answers(context: Context, clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """How each sparse condition's answers differ from the dense ones, clip by clip."""
    runner = context.runner
    dense = _recorded(runner, clips, Condition("dense"))
    found: list[dict[str, Any]] = [
        {"questions": [{"family": question.family, "arms": {}} for question in clip.questions]}
        for clip in clips
    ]
    for condition in sparse_conditions(context.config):
        sparse = _recorded(runner, clips, condition)
        for row, clip in enumerate(clips):
            for index, question in enumerate(clip.questions):
                expected = [*runner.packer.encode(question.answer), runner.packer.end_id]
                pair = dense.log_probs[row][index], sparse.log_probs[row][index]
                found[row]["questions"][index]["arms"][condition.name] = divergence(*pair, expected)
    return found


def divergence(dense: Tensor, sparse: Tensor, expected: Sequence[int]) -> dict[str, Any]:
    """How an answer's distributions differ; log probabilities [answer tokens, vocabulary].

    `kl`: KL(dense || sparse) in nats, mean over the tokens; `first`, `any`: whether the first
    choice changes at the first token, and at any; `lost`: log probability of the `expected` tokens
    under dense less that under sparse.
    """
    kl = (dense.exp() * (dense - sparse)).sum(-1).mean()
    flips = dense.argmax(-1) != sparse.argmax(-1)
    at = torch.arange(len(expected), device=dense.device), torch.tensor(expected).to(dense.device)
    return {
        "kl": round(float(kl), 6),
        "first": bool(flips[0]),
        "any": bool(flips.any()),
        "lost": round(float((dense[at] - sparse[at]).sum()), 5),
    }


def _recorded(
    runner: Runner, clips: Sequence[Clip], condition: Condition, **requested: Any
) -> RecordedBatch:
    """What is recorded of clips that are one of the runner's batches."""
    recorded: list[RecordedBatch] = []
    runner.observe(clips, condition, Record(recorded.append, **requested))
    (batch,) = recorded
    return batch
