"""A question about a video as the token ids, token types and positions that Qwen2.5-VL takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

VIDEO_PAD = "<|video_pad|>"
_QUESTION_MARK = "\ue000"  # private use: no template holds it
TEXT, VIDEO = 0, 2  # transformers' mm_token_type_ids; 1 is an image


@dataclass(frozen=True, eq=False)
class Prompt:
    """One prompt, batch of one. N tokens.

    `input_ids` and `token_types` are int64 [1, N]; `position_ids` is int64 [3, 1, N] (time, row,
    column); `next_position` is the position of the first generated token on all three axes;
    `question` are the places of the asked words among the N.
    """

    input_ids: Tensor
    token_types: Tensor
    position_ids: Tensor
    next_position: int
    question: range

    @property
    def tokens(self) -> int:
        """Number of tokens, video and text together."""
        return self.input_ids.shape[1]


def build_prompt(
    tokenizer: Any, question: str, grid: Sequence[int], *, position_step: float
) -> Prompt:
    """Ask `question` about one video through the tokenizer's own chat template.

    `grid` is (T, H, W) in merged tokens and `position_step` the M-RoPE distance of two slices
    (tokens_per_second x seconds per slice).
    """
    before, between, after = template_ids(tokenizer)
    # A question may spell special tokens: it is encoded as plain text, so it cannot forge a turn.
    asked = tokenizer.encode(question, add_special_tokens=False, split_special_tokens=True)
    video_tokens = grid[0] * grid[1] * grid[2]
    pad_id = tokenizer.convert_tokens_to_ids(VIDEO_PAD)
    ids = [*before, *[pad_id] * video_tokens, *between, *asked, *after]
    input_ids = torch.tensor([ids])
    token_types = torch.full_like(input_ids, TEXT)
    token_types[:, len(before) : len(before) + video_tokens] = VIDEO
    position_ids, next_position = mrope_positions(
        token_types[0], [grid], position_steps=[position_step]
    )
    words = range(len(ids) - len(after) - len(asked), len(ids) - len(after))
    return Prompt(input_ids, token_types, position_ids[:, None], next_position, words)


def pruned(prompt: Prompt, kept: Tensor) -> Prompt:
    """The prompt with the video tokens `kept`, int64 [V'] ascending among its own, alone.

    What is left keeps its position, and so does what is generated after it.
    """
    stays = prompt.token_types[0] != VIDEO
    video = (~stays).nonzero().flatten()
    stays[video[kept]] = True
    gone = len(video) - len(kept)
    question = range(prompt.question.start - gone, prompt.question.stop - gone)
    return Prompt(
        prompt.input_ids[:, stays],
        prompt.token_types[:, stays],
        prompt.position_ids[..., stays],
        prompt.next_position,
        question,
    )


def template_ids(tokenizer: Any) -> tuple[list[int], list[int], list[int]]:
    """The token ids of `template_parts`."""
    before, between, after = (
        tokenizer.encode(part, add_special_tokens=False) for part in template_parts(tokenizer)
    )
    return before, between, after


def template_parts(tokenizer: Any) -> tuple[str, str, str]:
    """The chat template's text before the video, between it and the question, and after that.

    Raises ValueError where it does not show each of the two once and in this order.
    """
    content = [{"type": "video"}, {"type": "text", "text": _QUESTION_MARK}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    for mark, what in ((VIDEO_PAD, "video"), (_QUESTION_MARK, "question")):
        if text.count(mark) != 1:
            raise ValueError(f"it shows the {what} {text.count(mark)} times")
    rest, after = text.split(_QUESTION_MARK)
    if VIDEO_PAD not in rest:
        raise ValueError("it shows the question before the video")
    before, between = rest.split(VIDEO_PAD)
    return before, between, after


def mrope_positions(
    token_types: Tensor, grids: Sequence[Sequence[int]], *, position_steps: Sequence[float]
) -> tuple[Tensor, int]:
    """M-RoPE positions of one sequence: int64 [3, N], and the position that follows it.

    `token_types` is [N] (0 text, 2 video); `grids` are (T, H, W) in merged tokens in order of
    appearance. Equal to transformers' `get_rope_index`, except that versions before 5.18 cut the
    seconds per slice to a whole number, which puts every slice of a fast clip at one time.
    """
    videos = iter(zip(grids, position_steps, strict=True))
    parts, position = [], 0
    kinds, counts = torch.unique_consecutive(token_types, return_counts=True)
    for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        if kind == VIDEO:
            for grid, step in _take(videos, count):
                parts.append(_grid_positions(grid, step) + position)
                position += max(grid[1], grid[2])
        else:
            parts.append(torch.arange(position, position + count).expand(3, -1))
            position += count
    positions = torch.cat(parts, dim=1)
    return positions, int(positions.max()) + 1


def _take(videos: Any, count: int) -> Any:
    """The next videos that together make up one run of `count` video tokens."""
    while count > 0:
        grid, step = next(videos)
        count -= grid[0] * grid[1] * grid[2]
        yield grid, step


def _grid_positions(grid: Sequence[int], step: float) -> Tensor:
    time = (torch.arange(grid[0]) * step).long()
    axes = torch.meshgrid(time, torch.arange(grid[1]), torch.arange(grid[2]), indexing="ij")
    return torch.stack(axes).reshape(3, -1)
