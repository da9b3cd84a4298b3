"""Words from cached vision features, with the run recorded."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor

from adaspark.model.cache_names import cache_argument
from adaspark.model.checkpoint import Checkpoint
from adaspark.model.decode_step import step_for
from adaspark.model.decoding import Decoding
from adaspark.model.drawing import Drawing
from adaspark.model.family_prompt import family_prompt
from adaspark.model.features import Features, Report
from adaspark.model.mrope import TEXT
from adaspark.model.prefill import is_worth_keeping, prefill
from adaspark.model.prompt import Prompt, Turn
from adaspark.model.prompt_cache import PromptCache
from adaspark.model.qwen import record
from adaspark.model.streaming import Stopped
from adaspark.model.words import Step, Words
from adaspark.trace.token_text import token_texts
from adaspark.trace.trace import Trace

AHEAD = 1
"""Tokens that a fast step is given before the last one is read."""


@dataclass(frozen=True)
class Written:
    """The words of one request, what was recorded, and the seconds of prefill and generation.

    `ids` are all tokens of the answer, `cached_tokens` of the prompt were in the cache before.
    `scored_logprob` is None where nothing was to be scored.
    """

    text: str
    ids: tuple[int, ...]
    trace: Trace
    seconds: dict[str, float]
    stopped: bool
    cached_tokens: int = 0
    scored_logprob: float | None = None


@torch.inference_mode()
def generate(
    checkpoint: Checkpoint,
    features: Features,
    question: str,
    *,
    seconds_per_slice: float,
    max_new_tokens: int,
    report: Report,
    on_text: Callable[[str], None],
    drawing: Drawing | None = None,
    scored: Sequence[int] = (),
    turns: Sequence[Turn] = (),
    kept: PromptCache | None = None,
    recording: Callable[[Any], AbstractContextManager[Trace]] = record,
    is_unwanted: Callable[[], bool] = lambda: False,
) -> Written:
    """Answer `question`, greedily or as `drawing` says, then find the log-probability of the token
    ids `scored` as an answer. `report` may raise Stopped: then what there is is returned, or, in
    the prefill, Stopped goes through, soon after the answer `is_unwanted`. `recording` opens the
    trace of the run on the model.

    `turns` came before this question. `kept` is a cache for several questions about these features
    under one configuration: what it holds of the prompt is not read again.
    """
    model = checkpoint.model
    prompt = family_prompt(
        model,
        checkpoint.tokenizer,
        features,
        question,
        turns=turns,
        seconds_per_slice=seconds_per_slice,
    )
    prompt_ids = prompt.input_ids.to(checkpoint.device)
    beside = _beside(checkpoint.device)
    into = kept or PromptCache(model.config.text_config)
    ids: list[int] = []
    logprobs: list[float] = []
    shown = ""
    stopped = False
    with recording(model) as trace:
        start = time.perf_counter()
        logits, known = prefill(
            checkpoint,
            prompt,
            features,
            into,
            report,
            is_kept=kept is not None and is_worth_keeping(checkpoint.device, prompt.tokens),
            is_unwanted=is_unwanted,
        )
        decoding = _decoding(checkpoint, prompt_ids, beside, max_new_tokens, drawing)
        first = decoding.choose(logits)
        cache = into.cache
        after_prompt = copy.deepcopy(cache) if scored and checkpoint.family.mixer else cache
        prefilled: float | None = None
        places = prompt.next_position + torch.arange(max_new_tokens, device=checkpoint.device)
        fast = step_for(model, cache, places) if max_new_tokens > 1 else None
        step = fast or _step(checkpoint, prompt, cache)
        words = Words(first, step, decoding, ahead=AHEAD if fast else 0)
        try:
            for chosen in words:
                prefilled = prefilled or time.perf_counter()  # the first word waited for the device
                ids.append(chosen.token)
                logprobs.append(chosen.logprob)
                # A character may take several tokens: it is shown when it is whole.
                if not (now := _text(checkpoint, ids)).endswith("\ufffd"):
                    on_text(now[len(shown) :])
                    shown = now
                report("generate", len(ids), max_new_tokens)
        except Stopped:
            stopped = True
        if fast:
            fast.record(ids[: words.read - 1])
        end = time.perf_counter()
    prefilled = prefilled or end
    seconds = {"prefill": prefilled - start, "generate": end - prefilled}
    _name_words(checkpoint, trace, prompt, ids, logprobs)
    score = _scored(checkpoint, prompt, after_prompt, logits, scored) if scored else None
    text = _text(checkpoint, ids).strip()
    return Written(text, tuple(ids), trace, seconds, stopped, known, score)


def _decoding(
    checkpoint: Checkpoint,
    prompt_ids: Tensor,
    beside: torch.cuda.Stream | None,
    max_new_tokens: int,
    drawing: Drawing | None,
) -> Decoding:
    """What chooses the words, made on a stream of its own: its questions wait for no prefill."""
    with torch.cuda.stream(beside):
        made = Decoding(
            checkpoint.model,
            prompt_ids,
            tokenizer=checkpoint.tokenizer,
            max_new_tokens=max_new_tokens,
            drawing=drawing,
        )
    if beside is not None:
        torch.cuda.current_stream(checkpoint.device).wait_stream(beside)
    return made


def _beside(device: torch.device) -> torch.cuda.Stream | None:
    """A stream on which a GPU is asked for numbers without waiting for what it is told from now
    on: a prompt.
    """
    if device.type != "cuda":
        return None
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    return stream


def _step(checkpoint: Checkpoint, prompt: Prompt, cache: Any) -> Step:
    """A step as the model itself computes it, one call a token."""
    places = count(prompt.next_position)

    def step(token: Tensor) -> Tensor:
        written = token[None]
        output = checkpoint.model(
            input_ids=written,
            position_ids=torch.full_like(written, next(places)).expand(3, 1, 1),
            mm_token_type_ids=torch.full_like(written, TEXT),  # even where a placeholder is written
            **cache_argument(checkpoint.model, cache),
        )
        logits: Tensor = output.logits[0, -1]
        return logits

    return step


def _scored(
    checkpoint: Checkpoint, prompt: Prompt, cache: Any, logits: Tensor, ids: Sequence[int]
) -> float:
    """Log-probability of `ids` after the prompt, whose own last logits are given."""
    if (written := cache.get_seq_length() - prompt.input_ids.shape[1]) > 0:
        cache.crop(-written)
    given = torch.tensor([ids], device=checkpoint.device)
    rows = logits[None].to(checkpoint.device)
    if len(ids) > 1:
        places = prompt.next_position + torch.arange(len(ids) - 1, device=checkpoint.device)
        output = checkpoint.model(
            input_ids=given[:, :-1],
            position_ids=places.expand(3, 1, -1),
            mm_token_type_ids=torch.full_like(given[:, :-1], TEXT),
            **cache_argument(checkpoint.model, cache),
        )
        rows = torch.cat([rows, output.logits[0].to(rows)])
    return float(rows.float().log_softmax(-1).gather(-1, given.mT).sum())


def _text(checkpoint: Checkpoint, ids: list[int]) -> str:
    text: str = checkpoint.tokenizer.decode(ids, skip_special_tokens=True)
    return text


def _name_words(
    checkpoint: Checkpoint,
    trace: Trace,
    prompt: Prompt,
    answer_ids: list[int],
    logprobs: list[float],
) -> None:
    """The text and kind of each word; prefilled as embeddings, the model never saw an id.

    A recorder takes all text after the video for the question; the template's part is not asked.
    """
    ids = [*prompt.input_ids[0].tolist(), *answer_ids]
    written = [ids[word.position] for word in trace.words]
    texts = token_texts(written, checkpoint.tokenizer.decode)
    for word, token, text in zip(trace.words, written, texts, strict=True):
        word.id, word.text, word.part = token, text.text, text.part
        if word.kind == "answer":
            word.logprob = logprobs[word.position - prompt.input_ids.shape[1]]
        if word.kind == "question" and word.position not in prompt.question:
            word.kind = "prompt"
