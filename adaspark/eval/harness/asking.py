"""Questions packed behind clips, and the model's answers to them.

Axes: B clips, Q blocks, L block tokens, A answer tokens of all questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adaspark.mini.packed.masked_forward import LayerKeys, SparseForward
from adaspark.mini.packed.packing import IGNORE, Packer
from adaspark.mini.questions.question import Question

MAX_NEW_TOKENS = 8


@dataclass(frozen=True)
class Span:
    """Rows of the packed sequence that belong to one question.

    `asked`: the text after the video up to the prompt's end, whose last row gives the first answer
    token; `answer`: the expected answer's tokens as they are fed back.
    """

    asked: range
    answer: range


@dataclass(frozen=True, eq=False)
class Asked:
    """Blocks of questions: `ids` and `labels` int64 [B, Q, L]; spans by clip and question."""

    ids: Tensor
    labels: Tensor
    spans: list[list[Span]]


def ask(
    packer: Packer,
    questions: Sequence[Sequence[Question]],
    prefix_tokens: int,
    device: torch.device,
) -> Asked:
    """Pack the questions of each clip; clips with fewer than others get empty blocks."""
    blocks = max(map(len, questions))
    size = packer.block_tokens
    ids = torch.full((len(questions), blocks, size), packer.pad_id)
    labels = torch.full_like(ids, IGNORE)
    spans: list[list[Span]] = []
    for row, of_clip in enumerate(questions):
        spans.append([])
        for index, question in enumerate(of_clip):
            block_ids, block_labels = packer.block(question)
            ids[row, index] = torch.tensor(block_ids)
            labels[row, index] = torch.tensor(block_labels)
            answers = [place for place, label in enumerate(block_labels) if label != IGNORE]
            start = prefix_tokens + index * size
            first = start + answers[0] + 1
            spans[-1].append(Span(range(start, first), range(first, start + answers[-1] + 1)))
    return Asked(ids.to(device), labels.to(device), spans)


def logits_at(forward: SparseForward, states: Tensor, places: Tensor) -> Tensor:
    """fp32 [A, vocabulary] of text states [B, R, h] at flattened `places` int64 [A]."""
    chosen = states.flatten(0, 1).index_select(0, places)
    logits: Tensor = forward.model.lm_head(chosen)
    return logits.float()


def narrowed(
    asked: Asked, states: Tensor, requested: Sequence[Sequence[int]]
) -> tuple[Asked, Tensor]:
    """The `requested` questions of each clip alone, side by side, with their text states [B, R, h].

    Blocks do not see each other, so nothing changes for those that stay.
    """
    clips, _, size = asked.ids.shape
    index = torch.zeros(clips, max(map(len, requested)), dtype=torch.long)
    spans: list[list[Span]] = []
    for clip, questions in enumerate(requested):
        index[clip, : len(questions)] = torch.tensor(questions, dtype=torch.long)
        spans.append([])
        for slot, question in enumerate(questions):
            old, moved = asked.spans[clip][question], (slot - question) * size
            spans[-1].append(Span(_moved(old.asked, moved), _moved(old.answer, moved)))
    rows = torch.arange(clips)[:, None]
    blocks = states.view(clips, -1, size, states.shape[-1])[rows, index]
    return Asked(asked.ids[rows, index], asked.labels[rows, index], spans), blocks.flatten(1, 2)


def _moved(rows: range, by: int) -> range:
    return range(rows.start + by, rows.stop + by)


def greedy_answers(
    forward: SparseForward, past: list[LayerKeys], asked: Asked, states: Tensor, *, end_id: int
) -> list[list[list[int]]]:
    """Greedy ids of each clip's questions, equal to those of token-by-token generation.

    `states` are those of the expected answers: up to the prompt's end they are the same. Every
    further token takes one pass of all blocks over the prefix that is already read.
    """
    size, prefix = forward.geometry.block_tokens, forward.geometry.shape.prefix_tokens
    ids = asked.ids.clone()
    written: list[list[list[int]]] = [[[] for _ in spans] for spans in asked.spans]
    going = [(c, q) for c, spans in enumerate(asked.spans) for q in range(len(spans))]
    for step in range(MAX_NEW_TOKENS):
        if not going:
            break
        if step:
            states = forward.text(ids, past)
        rows = [asked.spans[c][q].asked.stop - 1 - prefix + step for c, q in going]
        flat = [c * asked.ids[0].numel() + row for (c, _), row in zip(going, rows, strict=True)]
        logits = logits_at(forward, states, torch.tensor(flat, device=ids.device))
        still: list[tuple[int, int]] = []
        for (clip, index), row, token in zip(going, rows, logits.argmax(-1).tolist(), strict=True):
            place = row - index * size + 1
            if token == end_id:
                continue
            written[clip][index].append(token)
            if place < size:
                ids[clip, index, place] = token
                still.append((clip, index))
        going = still
    return written
