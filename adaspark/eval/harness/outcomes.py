"""One question's outcome under one condition: answer, certainty, density, FLOPs, and whether the
cubes of what was asked about were chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.eval.harness.asking import Span
from adaspark.method.config import AdaSparkConfig
from adaspark.mini.packed.decisions import Decisions
from adaspark.mini.packed.geometry import PackedGeometry
from adaspark.mini.questions.question import Question
from adaspark.trace.cost import Counts, flops, flops_of


@dataclass(frozen=True)
class Outcome:
    """`correct` is `tasks.score` (0 to 1) of the greedy `answer`; `logprob` of the expected answer,
    its end included, in nats.

    `hit`: share of (layer, head) pairs in which at least one row of the question or the answer
    chose a cube that holds what was asked about; `hit_any`: whether any did; `hit_last`: the share
    for the prompt's last row alone, which gives the answer's first token; None if the question
    is about no single object. `density`: computed / causal pairs of the question's own
    prompt (`attention`), of its rows by kind (`video`, `question`, `answer`), and the FFN's.
    `flops`: `dense` and `sparse` prefill of the language model, `reduction` = 1 - sparse / dense,
    and `vision_dense` and `vision` of the tower; `dense` is always that of the whole clip.
    """

    seed: int
    family: str
    question: str
    expected: str
    answer: str
    correct: float
    logprob: float
    hit: float | None
    hit_any: bool | None
    hit_last: float | None
    density: dict[str, float]
    flops: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class Tally:
    """Counts of one batch of clips, brought to the host once. `tokens` are of the whole clip."""

    def __init__(
        self,
        geometry: PackedGeometry,
        decisions: Decisions,
        config: AdaSparkConfig,
        shape: Mapping[str, int],
        *,
        video_tokens: int,
        vision: tuple[float, float],
    ) -> None:
        self._geometry, self._config, self._shape = geometry, config, shape
        self._video_tokens, self._vision = video_tokens, vision
        layers = decisions.layers
        copies = len(layers) * shape["heads"]
        self._pairs: NDArray[np.int64] = sum(layer.pairs for layer in layers).cpu().numpy()  # type: ignore[union-attr]
        self._causal = copies * geometry.visible_of_row.cpu().numpy()
        self._weighed = copies * geometry.candidates_of_row.cpu().numpy()
        kept = torch.stack([layer.ffn_kept for layer in layers if layer.ffn_kept is not None])
        self._passed = kept.sum((0, 2)).cpu().numpy()

    def density(self, clip: int, span: Span) -> dict[str, float]:
        """Densities of one question's own prompt, over all layers and heads."""
        video = range(self._geometry.video.start, self._geometry.video.stop)
        rows = {
            "attention": self._prompt(span),
            "video": np.array(video),
            "question": np.array(span.asked),
            "answer": np.array(span.answer),
        }
        shares = {
            name: float(self._pairs[clip, at].sum() / self._causal[at].sum())
            for name, at in rows.items()
        }
        layers = self._shape["layers"]
        return {**shares, "ffn": float(self._passed[clip] / (layers * len(video)))}

    def flops(self, clip: int, span: Span) -> dict[str, float]:
        """FLOPs of one question's own prompt."""
        rows = self._prompt(span)
        text = len(rows) - self._geometry.layout.tokens
        counts = Counts(
            tokens=len(rows),
            text_tokens=text,
            causal_pairs=float(self._causal[rows].sum()),
            computed_pairs=float(self._pairs[clip, rows].sum()),
            executed_pairs=float(self._pairs[clip, rows].sum()),
            weighed_pairs=float(self._weighed[rows].sum()),
            passed_video_tokens=float(self._passed[clip]),
        )
        counted = flops_of(self._shape, counts, self._config, chooses=not self._config.is_dense)
        whole = flops(self._shape, video_tokens=self._video_tokens, text_tokens=text)
        dense, sparse = whole.dense.total, counted.sparse.total
        return {
            "dense": dense,
            "sparse": sparse,
            "reduction": 1 - sparse / dense,
            "vision_dense": self._vision[0],
            "vision": self._vision[1],
        }

    def _prompt(self, span: Span) -> NDArray[np.int64]:
        """Rows of the prompt that asks this question alone."""
        return np.array([*range(self._geometry.shape.prefix_tokens), *span.asked])


def hits(
    geometry: PackedGeometry,
    decisions: Decisions,
    truth: Tensor,
    asked: Tensor,
    spans: list[list[Span]],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a question's rows chose a cube of what it asks about: bool [L, B, H, Q] of all its
    rows, and of the prompt's last row.

    `truth` bool [B, V, K] says which token holds which event, `asked` bool [B, Q, K] which event
    each question is about.
    """
    held = torch.einsum("bvk,bqk->bqv", truth.float(), asked.float()) > 0
    cubes = torch.zeros(*held.shape[:2], geometry.layout.cubes, device=held.device)
    cubes = cubes.index_add(-1, geometry.layout.cube_from_token, held.float()) > 0  # [B, Q, C]
    rows = torch.zeros(2, *held.shape[:2], geometry.block_tokens, dtype=torch.bool)
    for clip, questions in enumerate(spans):
        for index, span in enumerate(questions):
            first = span.asked.start
            rows[0, clip, index, : span.answer.stop - first] = True
            rows[1, clip, index, span.asked.stop - 1 - first] = True
    rows, blocks = rows.to(held.device), held.shape[1]
    found = []
    for layer in decisions.layers:
        kept = layer.kept[:, :, -blocks * geometry.block_tokens :]
        kept = kept.reshape(*kept.shape[:2], blocks, geometry.block_tokens, -1)
        chose = (kept & cubes[:, None, :, None]).any(-1)  # [B, H, Q, L]
        found.append((chose & rows[:, :, None]).any(-1))
    whole, last = torch.stack(found, dim=1).cpu().numpy()
    return whole, last


def asked_events(questions: list[tuple[Question, ...]], blocks: int, events: int) -> Tensor:
    """bool [B, Q, K]: which event each question is about."""
    about = torch.zeros(len(questions), blocks, events, dtype=torch.bool)
    for clip, asked in enumerate(questions):
        for index, question in enumerate(asked):
            if question.event is not None:
                about[clip, index, question.event] = True
    return about
