"""A question about a video as the token ids, token types and positions that the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaspark.errors import UserError
from adaspark.model.mrope import TEXT, VIDEO, mrope_positions

VIDEO_PAD = "<|video_pad|>"
VISION_MARKS = ("<|vision_start|>", "<|vision_end|>")
_MARKS = ("\ue000", "\ue001", "\ue002")  # private use: no template holds them


@dataclass(frozen=True, eq=False)
class Prompt:
    """One prompt, batch of one. N tokens.

    `input_ids` and `token_types` are int64 [1, N]; `position_ids` is int64 [3, 1, N] (time, row,
    column); `next_position` is the position of the first generated token on all three axes;
    `question` are the places of the asked words among the N; the first `fixed` tokens, the video
    among them, are the same whatever is asked.
    """

    input_ids: Tensor
    token_types: Tensor
    position_ids: Tensor
    next_position: int
    question: range
    fixed: int

    @property
    def tokens(self) -> int:
        """Number of tokens, video and text together."""
        return self.input_ids.shape[1]


@dataclass(frozen=True)
class Turn:
    """An earlier question about the video, and the token ids of its answer."""

    question: str
    answer_ids: tuple[int, ...]


def text_tokens(
    tokenizer: Any,
    question: str,
    *,
    turns: Sequence[Turn] = (),
    stamps: tuple[int, float] | None = None,
) -> int:
    """Tokens of a prompt with this question that are not of the video, at most.

    `stamps`: how many times stand between its frames, and the longest of them in seconds.
    """
    around = sum(len(part) for part in template_ids(tokenizer))
    around += len(_earlier(tokenizer, turns))
    if stamps is not None:
        around += stamps[0] * (len(_time(tokenizer, stamps[1])) + len(VISION_MARKS))
    return around + len(_encoded(tokenizer, question))


def _time(tokenizer: Any, time_secs: float, before: str = "") -> list[int]:
    """The time of a slice as Qwen3-VL's processor writes it, after other text."""
    text = f"{before}<{time_secs:.1f} seconds>"
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _encoded(tokenizer: Any, question: str) -> list[int]:
    """A question may spell special tokens: as plain text, it cannot forge a turn."""
    ids: list[int] = tokenizer.encode(question, add_special_tokens=False, split_special_tokens=True)
    return ids


def _earlier(tokenizer: Any, turns: Sequence[Turn]) -> list[int]:
    """What stands between the video and the last question: earlier ones, and their answers."""
    if not turns:
        return []
    said, asked = (tokenizer.encode(t, add_special_tokens=False) for t in turn_parts(tokenizer))
    ids: list[int] = []
    for turn in turns:
        ids += [*_encoded(tokenizer, turn.question), *said, *turn.answer_ids, *asked]
    return ids


def build_prompt(
    tokenizer: Any,
    question: str,
    grid: Sequence[int],
    *,
    turns: Sequence[Turn] = (),
    position_step: float = 1.0,
    slice_times: Sequence[float] | None = None,
) -> Prompt:
    """Ask `question` about one video through the tokenizer's own chat template.

    `grid` is (T, H, W) in merged tokens and `position_step` the M-RoPE distance of two slices
    (tokens_per_second x seconds per slice). Where `slice_times` are given, in seconds, each slice
    is a run of its own with its time before it, as Qwen3-VL's processor writes them. `turns` are
    the questions before this one, with the words that the model itself said.
    """
    before, between, after = template_parts(tokenizer)
    video, kinds = _video_ids(tokenizer, before, grid, slice_times)
    asked = _encoded(tokenizer, question)
    rest, end = (tokenizer.encode(part, add_special_tokens=False) for part in (between, after))
    fixed = [*video, *rest]
    known = [*fixed, *_earlier(tokenizer, turns)]
    input_ids = _tensor([*known, *asked, *end])[None]
    token_types = torch.full_like(input_ids, TEXT)
    token_types[:, : len(video)] = _tensor(kinds)
    grids, steps = [grid], [position_step]
    if slice_times is not None:
        grids, steps = [(1, *grid[1:])] * grid[0], [1.0] * grid[0]
    positions, next_position = mrope_positions(token_types[0], grids, position_steps=steps)
    words = range(len(known), len(known) + len(asked))
    return Prompt(input_ids, token_types, positions[:, None], next_position, words, len(fixed))


def _tensor(numbers: list[int]) -> Tensor:
    """int64 [n]; of a long list in a fifth of the time that torch takes."""
    return torch.from_numpy(np.array(numbers, np.int64))


def _video_ids(
    tokenizer: Any, before: str, grid: Sequence[int], slice_times: Sequence[float] | None
) -> tuple[list[int], list[int]]:
    """The ids up to the end of the video, and the type of each token."""
    pad = tokenizer.convert_tokens_to_ids(VIDEO_PAD)
    per_slice = grid[1] * grid[2]
    if slice_times is None:
        ids = tokenizer.encode(before, add_special_tokens=False)
        return [*ids, *[pad] * (grid[0] * per_slice)], _types(len(ids), grid[0] * per_slice)
    start, end = (tokenizer.convert_tokens_to_ids(mark) for mark in VISION_MARKS)
    ids, kinds = [], []
    for i, time_secs in enumerate(slice_times):
        words = _time(tokenizer, time_secs, "" if i else before)
        ids += [*words, start, *[pad] * per_slice, end]
        kinds += [*_types(len(words) + 1, per_slice), TEXT]
    return ids, kinds


def _types(text: int, video: int) -> list[int]:
    return [TEXT] * text + [VIDEO] * video


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
        prompt.fixed - gone,
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
    text = _rendered(tokenizer, 1)
    for mark, what in ((VIDEO_PAD, "video"), (_MARKS[0], "question")):
        if text.count(mark) != 1:
            raise ValueError(f"it shows the {what} {text.count(mark)} times")
    rest, after = text.split(_MARKS[0])
    if VIDEO_PAD not in rest:
        raise ValueError("it shows the question before the video")
    before, between = rest.split(VIDEO_PAD)
    return before, between, after


def turn_parts(tokenizer: Any) -> tuple[str, str]:
    """The chat template's text between a question and its answer, and from there to the next one.

    Raises UserError where it does not show two turns in their order.
    """
    question, answer, following = _MARKS
    text = _rendered(tokenizer, 3)
    places = [text.find(mark) for mark in _MARKS]
    if -1 in places or places != sorted(places):
        raise UserError("This model's chat template holds no conversation: ask one question.")
    return (
        text[text.index(question) + 1 : text.index(answer)],
        text[text.index(answer) + 1 : text.index(following)],
    )


def _rendered(tokenizer: Any, messages: int) -> str:
    """A video and so many messages, user's and assistant's in turn, each of one mark."""
    said: list[dict[str, Any]] = [
        {"role": role, "content": [{"type": "text", "text": mark}]}
        for role, mark in zip(("user", "assistant", "user"), _MARKS[:messages], strict=False)
    ]
    said[0]["content"].insert(0, {"type": "video"})
    text: str = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    return text
