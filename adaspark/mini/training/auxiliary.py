"""The auxiliary tasks of training: linear heads read what each video token holds, and the numbers
that a question writes digit by digit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaspark.mini.world.scene_tensors import COLUMN, Table
from adaspark.mini.world.truth import object_states, token_truth
from adaspark.mini.world.vocabulary import COLORS, DIRECTIONS, FILLS, MAX_EVENTS, SHAPES

SECONDS = 64  # classes of `second`; later seconds count as the last
NUMBERS = 100  # classes of a number in a question
PARTS = 8  # classes of `row` and `column`: eighths of the picture
_ASIDE = 0.06  # shares of the picture; objects nearer to each other's middle lines are on no side


def token_labels(table: Table, times_secs: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """Labels of merged tokens, int64 [B, V] each; 0 if a token holds no object.

    `color` (at the end of the token's slice), `shape`, `fill`, `direction`: index + 1 of the object
    in the token; `beside` and `above`: 1 if that object is left of (above) the middle of the
    others that are there, 2 if right (below); `begun`: how many objects have appeared up to the
    end of the slice; `second`: the whole seconds from the clip's start to the slice's, whatever the
    token holds; `row`, `column`: in which eighth of the picture the token's middle lies.
    """
    truth = token_truth(table, times_secs, size)
    cells = truth.shape[2] * truth.shape[3]
    owner = truth.float().argmax(dim=-1)
    empty = ~truth.any(dim=-1)
    events, ends = table["events"][:, None], times_secs[:, 1::2, None]
    names = ("color", "shape", "fill", "direction")
    values = {name: events[..., COLUMN[name]].expand(*ends.shape[:2], -1) for name in names}
    turned = ends >= events[..., COLUMN["turn"]]
    values["beside"], values["above"] = _sides(table, times_secs[:, 1::2]).unbind(-1)
    values["color"] = torch.where(turned, events[..., COLUMN["turn_color"]], values["color"])
    labels = {}
    for name, value in values.items():
        held = (value.long() + (name in names)).gather(2, owner.flatten(2))
        labels[name] = held.masked_fill(empty.flatten(2), 0).flatten(1)
    begun = (events[..., COLUMN["start"]] <= ends).sum(dim=-1)
    second = times_secs[:, 0::2].long().clamp(max=SECONDS - 1)
    labels["begun"] = begun.repeat_interleave(cells, dim=1)
    labels["second"] = second.repeat_interleave(cells, dim=1)
    slices, rows, columns = truth.shape[1:4]
    row, column = (_parts(count, truth.device) for count in (rows, columns))
    labels["row"] = row.repeat_interleave(columns).repeat(len(truth), slices)
    labels["column"] = column.repeat(len(truth), slices * rows)
    return labels


def _sides(table: Table, times_secs: Tensor) -> Tensor:
    """int64 [B, F, MAX_EVENTS, 2]: 1 if an object is left of (above) the middle of the others
    that are there, 2 if right (below), 0 if it is neither, alone or not there.
    """
    states = object_states(table, times_secs)
    there = (states[..., 2:3] > 0).float()
    places = states[..., :2] * there
    others = there.sum(2, keepdim=True) - 1
    middle = (places.sum(2, keepdim=True) - places) / others.clamp(min=1)
    gap = (places - middle).masked_fill((there == 0) | (others < 1), 0.0)
    return (gap < -_ASIDE).long() + 2 * (gap > _ASIDE).long()


def _parts(count: int, device: torch.device) -> Tensor:
    """int64 [count]: in which part of the picture each of `count` rows or columns is."""
    middles = (torch.arange(count, device=device) + 0.5) / count
    return (middles * PARTS).long()


class TokenHeads(nn.Module):
    """Linear readings of the vision features and of a middle layer of the language model."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        sizes = {"color": len(COLORS) + 1, "shape": len(SHAPES) + 1, "fill": len(FILLS) + 1}
        late = {
            **sizes,
            "direction": len(DIRECTIONS) + 1,
            "beside": 3,
            "above": 3,
            "begun": MAX_EVENTS + 1,
            "second": SECONDS,
            "row": PARTS,
            "column": PARTS,
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


def number_labels(ids: Tensor, digit_ids: Tensor) -> Tensor:
    """int64 like `ids` [..., L]: at each digit the number that it ends, of two digits at most;
    -100 at other tokens. `digit_ids` int64 [10] are the tokens of 0 to 9.
    """
    is_digit = ids[..., None] == digit_ids
    value, there = is_digit.long().argmax(-1), is_digit.any(-1)
    tens = torch.where(there, value, 0).roll(1, -1)
    tens[..., 0] = 0
    return torch.where(there, 10 * tens + value, -100)


class NumberHead(nn.Module):
    """A linear reading of an early layer of the language model, at the digits of questions.

    Tokens of the vocabulary are single digits. Without this task the model read the last digit of a
    number of seconds alone: the digits before it reached its row only in the last layer.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.reading = nn.Linear(hidden, NUMBERS)

    def forward(self, states: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy over the digits; 0 if there is none. `states` [..., hidden]."""
        read = self.reading(F.rms_norm(states, states.shape[-1:])).float()
        loss = F.cross_entropy(read.flatten(0, -2), labels.flatten(), reduction="sum")
        return loss / (labels >= 0).sum().clamp(min=1)
