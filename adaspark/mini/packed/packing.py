"""Training sequences: one video, then many questions that cannot see each other.

Layout: [template before the video][video][block 1]...[block Q], all blocks of one padded length.
Every question's ids and positions are those of `adaspark.model.prompt.build_prompt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adaspark.mini.questions.question import Question
from adaspark.mini.training.model import POSITION_STEP
from adaspark.model.mrope import TEXT, VIDEO, mrope_positions
from adaspark.model.prompt import VIDEO_PAD, template_ids

IGNORE = -100
BLOCK_TOKENS = 28  # the longest wording, the template's end and the answer fit


class Packer:
    """Turns questions into blocks with a tokenizer and its chat template."""

    def __init__(self, tokenizer: Any, *, block_tokens: int = BLOCK_TOKENS) -> None:
        before, between, after = template_ids(tokenizer)
        self.tokenizer, self.block_tokens = tokenizer, block_tokens
        self.before, self.between, self.after = before, between, after
        self.end_id = int(tokenizer.convert_tokens_to_ids("<|im_end|>"))
        self.pad_id = int(tokenizer.convert_tokens_to_ids("<|endoftext|>"))
        self.video_id = int(tokenizer.convert_tokens_to_ids(VIDEO_PAD))
        self.digit_ids = torch.tensor(tokenizer.convert_tokens_to_ids(list("0123456789")))
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Plain ids of `text`; special tokens in it are spelled out, as at run time."""
        if text not in self._known:
            self._known[text] = self.tokenizer.encode(
                text, add_special_tokens=False, split_special_tokens=True
            )
        return self._known[text]

    def block(self, question: Question, *, chat: bool = True) -> tuple[list[int], list[int]]:
        """Ids and labels of one question, padded to `block_tokens`.

        Without `chat` the answer follows the question's last word at once: the first, easiest
        form of the curriculum.
        """
        answer = [*self.encode(question.answer), self.end_id]
        asked = self._asked(question.text, chat=chat)
        if len(asked) + len(answer) > self.block_tokens:  # capitals take many tokens
            asked = self._asked(question.text.lower(), chat=chat)
        free = self.block_tokens - len(asked) - len(answer)
        ids = [*asked, *answer, *[self.pad_id] * free]
        # The token before each answer token predicts it.
        labels = [*[IGNORE] * (len(asked) - 1), *answer, *[IGNORE] * (free + 1)]
        return ids, labels

    def fitting(self, asked: Sequence[Question], *, answer_tokens: int) -> Packer:
        """The same with blocks that hold each question and `answer_tokens` or more."""
        lengths = [
            len(self._asked(question.text, chat=True))
            + max(len(self.encode(question.answer)) + 1, answer_tokens)
            for question in asked
        ]
        fitted = copy(self)
        fitted.block_tokens = max(lengths, default=self.block_tokens)
        return fitted

    def _asked(self, text: str, *, chat: bool) -> list[int]:
        return [*self.between, *self.encode(text), *(self.after if chat else [])]

    def prefix(self, video_tokens: int) -> list[int]:
        """The ids that all questions of one clip share: the template's start and the video."""
        return [*self.before, *[self.video_id] * video_tokens]


@dataclass(frozen=True, eq=False)
class Geometry:
    """What all packed sequences of one shape share; N = prefix + blocks x block tokens.

    `positions` is int64 [3, N], or [3, B, N] if clips differ; `text_mask` is bool [blocks x
    block tokens, N], True where a text token may look; `prefix` int64 [prefix_tokens] are the ids
    that all share, plainly causal.
    """

    positions: Tensor
    text_mask: Tensor
    prefix_tokens: int
    prefix: Tensor

    def to(self, device: torch.device) -> Geometry:
        """The same on another device."""
        tensors = (self.positions, self.text_mask, self.prefix)
        positions, text_mask, prefix = (tensor.to(device) for tensor in tensors)
        return Geometry(positions, text_mask, self.prefix_tokens, prefix)


def geometry(
    packer: Packer, grid: Sequence[int], blocks: int, *, position_step: float = POSITION_STEP
) -> Geometry:
    """Positions and mask for `blocks` questions about a video of `grid` (T, H, W) merged tokens.

    `position_step` is the M-RoPE distance of two slices.
    """
    size, video_tokens = packer.block_tokens, grid[0] * grid[1] * grid[2]
    before = len(packer.before)
    types = torch.full((before + video_tokens + size,), TEXT)
    types[before : before + video_tokens] = VIDEO
    one, _ = mrope_positions(types, [grid], position_steps=[position_step])
    prefix = before + video_tokens
    positions = torch.cat([one[:, :prefix], one[:, prefix:].repeat(1, blocks)], dim=1)
    causal = torch.ones(size, size, dtype=torch.bool).tril()
    own = torch.kron(torch.eye(blocks), causal.float()).bool()
    seen = torch.ones(blocks * size, prefix, dtype=torch.bool)
    ids = torch.tensor(packer.prefix(video_tokens))
    return Geometry(positions, torch.cat([seen, own], dim=1), prefix, ids)


def answer_places(labels: Tensor) -> Tensor:
    """int64 [A]: places of the answers' tokens in the flattened labels."""
    return (labels.flatten() != IGNORE).nonzero().flatten()
