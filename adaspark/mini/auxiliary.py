"""The auxiliary task of training: linear heads read what each video token holds."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaspark.mini.scene import COLORS, DIRECTIONS, FILLS, MAX_EVENTS, SHAPES
from adaspark.mini.table import COLUMN, Table
from adaspark.mini.truth import token_truth

SECONDS = 64  # classes of `second`; later seconds count as the last


def token_labels(table: Table, times_secs: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """Labels of merged tokens, int64 [B, V] each; 0 where a token holds no object.

    `color` (at the end of the token's slice), `shape`, `fill`, `direction`: index + 1 of the object
    in the token; `begun`: how many objects have appeared up to the end of the slice; `second`: the
    whole seconds from the clip's start to the slice's, whatever the token holds.
    """
    truth = token_truth(table, times_secs, size)
    cells = truth.shape[2] * truth.shape[3]
    owner = truth.float().argmax(dim=-1)
    empty = ~truth.any(dim=-1)
    events, ends = table["events"][:, None], times_secs[:, 1::2, None]
    names = ("color", "shape", "fill", "direction")
    values = {name: events[..., COLUMN[name]].expand(*ends.shape[:2], -1) for name in names}
    turned = ends >= events[..., COLUMN["turn"]]
    values["color"] = torch.where(turned, events[..., COLUMN["turn_color"]], values["color"])
    labels = {}
    for name, value in values.items():
        held = (value.long() + 1).gather(2, owner.flatten(2))
        labels[name] = held.masked_fill(empty.flatten(2), 0).flatten(1)
    begun = (events[..., COLUMN["start"]] <= ends).sum(dim=-1)
    second = times_secs[:, 0::2].long().clamp(max=SECONDS - 1)
    labels["begun"] = begun.repeat_interleave(cells, dim=1)
    labels["second"] = second.repeat_interleave(cells, dim=1)
    return labels


class TokenHeads(nn.Module):
    """Linear readings of the vision features and of a middle layer of the language model."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        sizes = {"color": len(COLORS) + 1, "shape": len(SHAPES) + 1, "fill": len(FILLS) + 1}
        late = {
            **sizes,
            "direction": len(DIRECTIONS) + 1,
            "begun": MAX_EVENTS + 1,
            "second": SECONDS,
        }
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
