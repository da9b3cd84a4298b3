"""Recorded rows of a clip, by kind of query: probabilities, choices and candidates.

Axes: L layers, H query heads, S recorded rows, C cubes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adaspark.eval.harness.asking import Span
from adaspark.eval.harness.runner import RecordedBatch

KINDS = ("video", "question", "answer")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one clip in all layers.

    `kept` bool and `probs` fp32 [L, H, S, C] are over the cubes other than the row's own; `mass`
    fp32 likewise, own cube included, is the share of dense attention that lies there (all zero if
    it was not recorded). `visible` int64 [S, C] counts the tokens of each cube that a row may see
    and `own` bool [S, C] marks its own cube; `places` int64 [S] are in the question's prompt.
    """

    kept: Tensor
    probs: Tensor
    mass: Tensor
    visible: Tensor
    own: Tensor
    places: Tensor

    @property
    def candidates(self) -> Tensor:
        """bool [S, C]: the cubes that a row chooses among."""
        return (self.visible > 0) & ~self.own


def rows_of(recorded: RecordedBatch, clip: int, requested: Sequence[int]) -> Rows:
    """What was recorded of rows `requested` of the packed sequence in one clip."""
    recorded_rows, geometry = recorded.decisions.rows, recorded.geometry
    assert recorded_rows is not None, "a forward names its rows"
    index = {row: at for at, row in enumerate(recorded_rows)}
    device = geometry.layout.device
    at = torch.tensor([index[row] for row in requested], device=device, dtype=torch.long)
    rows = torch.tensor(requested, device=device, dtype=torch.long)
    layers = recorded.decisions.layers
    probs = torch.stack([layer.probs[clip, :, at] for layer in layers])
    held = [layer.mass[clip, :, at] for layer in layers if layer.mass is not None]
    table = geometry.layout.tokens_from_cube  # [C, M], -1 past the end of a smaller cube
    before = geometry.video_before[rows, None, None]
    cubes = torch.arange(geometry.layout.cubes, device=device)
    return Rows(
        kept=torch.stack([layer.kept[clip, :, at] for layer in layers]),
        probs=probs,
        mass=torch.stack(held) if held else torch.zeros_like(probs),
        visible=((table >= 0) & (table < before)).sum(-1),
        own=geometry.cube_from_row[rows, None] == cubes,
        places=geometry.place_in_prompt[rows],
    )


def kinds_of(recorded: RecordedBatch, clip: int) -> dict[str, list[int]]:
    """Rows of the packed sequence by kind of query: the recorded video, all questions' text."""
    recorded_rows, spans = recorded.decisions.rows, recorded.spans[clip]
    assert recorded_rows is not None, "a forward names its rows"
    video = [row for row in recorded_rows if row < recorded.geometry.shape.prefix_tokens]
    return {"video": video, **text_rows(spans)}


def text_rows(spans: Sequence[Span]) -> dict[str, list[int]]:
    """Rows of the questions' text and of the answers' that are fed back."""
    return {
        "question": [row for span in spans for row in span.asked],
        "answer": [row for span in spans for row in span.answer],
    }
