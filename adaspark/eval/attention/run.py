"""`adaspark eval attention`: how concentrated attention is, and how steadily the FFN moves video.

The paper's Fig. 1 at small scale, on the dense model: which share of the video tokens holds most of
a query's attention on video, layer by layer; and how |FFN(x)| / |x| varies among text and among
video tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from adaspark.eval.attention.report import SHARES, draw, summarise
from adaspark.eval.harness.by_clip import ClipPlan, batches
from adaspark.eval.harness.conditions import Condition
from adaspark.eval.harness.context import Context
from adaspark.eval.harness.recorded_rows import Rows, kinds_of, rows_of
from adaspark.eval.harness.runner import Record, RecordedBatch
from adaspark.method.config import DENSE

__all__ = ["Plan", "draw", "run", "summarise"]

BY_TOKEN = Condition("dense", replace(DENSE, cube=(1, 1, 1)))
"""Cubes of one token: what is recorded of cubes is then known of tokens."""


@dataclass(frozen=True)
class Plan(ClipPlan):
    """The full run."""

    @classmethod
    def quick(cls) -> Plan:
        """Few questions, shorter clips."""
        return cls(items=15, lengths=("64x112", "16x112"), video_rows=16)


def run(plan: Plan, context: Context) -> None:
    """Read every clip densely, and add one item a clip."""
    for length, clips in batches(context, plan):

        def receive(recorded: RecordedBatch, length: str = length) -> None:
            for row, clip in enumerate(recorded.clips):
                kinds = kinds_of(recorded, row)
                context.results.add(
                    length,
                    clip.seed,
                    attention={k: _attention(rows_of(recorded, row, kinds[k])) for k in kinds},
                    ffn=_ffn(recorded, row),
                )

        record = Record(receive, mass=True, norms=True, video_rows=plan.video_rows)
        context.runner.observe(clips, BY_TOKEN, record)


def tokens_to_mass(mass: Tensor, shares: Iterable[float]) -> list[Tensor]:
    """How few entries of each row hold each share of its sum: int64 [...] of `mass` [..., V]."""
    ordered = mass.double().sort(dim=-1, descending=True).values.cumsum(-1)
    total = ordered[..., -1:]
    most = mass.shape[-1]
    return [((ordered < share * total).sum(-1) + 1).clamp(max=most) for share in shares]


def _attention(rows: Rows) -> dict[str, Any]:
    """Per layer: `on_video`, the mass that lies on video, and by share of it, the share of the
    visible video tokens that hold as much.
    """
    visible = rows.visible.sum(-1).double() * rows.mass.shape[1]  # [S], all heads
    counts = tokens_to_mass(rows.mass, [float(share) for share in SHARES])
    held = {
        share: (count.sum((1, 2)) / visible.sum()).tolist()
        for share, count in zip(SHARES, counts, strict=True)
    }
    return {"on_video": rows.mass.sum(-1).mean((1, 2)).tolist(), "tokens": held}


def _ffn(recorded: RecordedBatch, clip: int) -> dict[str, dict[str, list[float]]]:
    """Mean and variance of |FFN(x)| / |x| per layer, among the questions' text and all video."""
    geometry, kinds = recorded.geometry, kinds_of(recorded, clip)
    places = {
        "text": [*kinds["question"], *kinds["answer"]],
        "video": list(range(geometry.video.start, geometry.video.stop)),
    }
    found = {}
    for kind, rows in places.items():
        at = torch.tensor(rows, device=geometry.layout.device)
        ratios = []
        for layer in recorded.decisions.layers:
            assert layer.ffn_in is not None and layer.ffn_out is not None, "norms were asked for"
            ratios.append(layer.ffn_out[clip, at] / layer.ffn_in[clip, at])
        ratio = torch.stack(ratios).double()
        found[kind] = {"mean": ratio.mean(-1).tolist(), "variance": ratio.var(-1).tolist()}
    return found
