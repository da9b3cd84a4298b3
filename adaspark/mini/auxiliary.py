"""The auxiliary task of training: linear heads read what each video token holds."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaspark.mini.render import token_truth
from adaspark.mini.world import COLORS, DIRECTIONS, MAX_EVENTS, SHAPES

_SHAPE_COLUMN, _DIRECTION_COLUMN, _COLOR_COLUMN = 8, 12, 13


def token_labels(
    table: dict[str, Tensor], times_secs: Tensor, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Labels of merged tokens, int64 [B, V] each; 0 where a token holds no object.

    `color`, `shape`, `direction`: index + 1 of the object in the token; `begun`: how many objects
    have appeared up to the end of the token's slice.
    """
    truth = token_truth(table, times_secs, size)
    owner = truth.float().argmax(dim=-1).flatten(1)
    empty = ~truth.any(dim=-1).flatten(1)
    labels = {}
    columns = {"color": _COLOR_COLUMN, "shape": _SHAPE_COLUMN, "direction": _DIRECTION_COLUMN}
    for name, column in columns.items():
        values = table["events"][:, :, column].long() + 1
        labels[name] = values.gather(1, owner).masked_fill(empty, 0)
    starts = table["events"][:, None, :, 0]
    begun = (starts <= times_secs[:, 1::2, None]).sum(dim=-1)
    labels["begun"] = begun.repeat_interleave(truth.shape[2] * truth.shape[3], dim=1)
    return labels


class TokenHeads(nn.Module):
    """Linear readings of the vision features and of a middle layer of the language model."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        sizes = {"color": len(COLORS) + 1, "shape": len(SHAPES) + 1}
        late = {**sizes, "direction": len(DIRECTIONS) + 1, "begun": MAX_EVENTS + 1}
        self.early = nn.ModuleDict({k: nn.Linear(hidden, n) for k, n in sizes.items()})
        self.late = nn.ModuleDict({k: nn.Linear(hidden, n) for k, n in late.items()})

    def forward(self, features: Tensor, states: Tensor, labels: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy over all heads; tokens with an object count as much as the rest."""
        filled = (labels["color"] > 0).float()
        share = filled.mean().clamp(min=1e-3)
        weight = (filled / share + (1 - filled) / (1 - share).clamp(min=1e-3)) / 2
        losses = []
        for heads, inputs in ((self.early, features), (self.late, states)):
            for name, head in heads.items():
                logits = head(inputs).float().flatten(0, 1)
                loss = F.cross_entropy(logits, labels[name].flatten(), reduction="none")
                losses.append((loss * weight.flatten()).mean())
        return torch.stack(losses).mean()
