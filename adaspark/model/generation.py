"""Words from cached vision features, with the run recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from adaspark.model.checkpoint import Checkpoint
from adaspark.model.decoding import Decoding
from adaspark.model.features import Features, Report
from adaspark.model.prompt import TEXT, VIDEO, Prompt, build_prompt, pruned
from adaspark.model.qwen import record
from adaspark.model.request import Drawing
from adaspark.model.streaming import Stopped
from adaspark.trace.token_text import token_texts
from adaspark.trace.trace import Trace


@dataclass(frozen=True)
class Written:
    """The words of one request, what was recorded, and the seconds of prefill and generation.

    `scored_logprob` is None where nothing was to be scored.
    """

    text: str
    trace: Trace
    seconds: dict[str, float]
    stopped: bool
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
    recording: Callable[[Any], AbstractContextManager[Trace]] = record,
) -> Written:
    """Answer `question`, greedily or as `drawing` says, then find the log-probability of the token
    ids `scored` as an answer. `report` may raise Stopped: then what there is is returned, or, in
    the prefill, Stopped goes through. `recording` opens the trace of the run on the model.
    """
    model = checkpoint.model
    rate = model.config.vision_config.tokens_per_second
    prompt = build_prompt(
        checkpoint.tokenizer, question, features.grid, position_step=rate * seconds_per_slice
    )
    if features.kept is not None:
        prompt = pruned(prompt, features.kept)
    decoding = Decoding(
        model,
        prompt.input_ids.to(checkpoint.device),
        tokenizer=checkpoint.tokenizer,
        max_new_tokens=max_new_tokens,
        drawing=drawing,
    )
    cache = DynamicCache(config=model.config.text_config)
    ids: list[int] = []
    logprobs: list[float] = []
    shown = ""
    stopped = False
    with recording(model) as trace:
        start = time.perf_counter()
        logits = _prefill(checkpoint, prompt, features, cache, report)
        prefilled = time.perf_counter()
        try:
            for token, logprob in _words(checkpoint, prompt, cache, logits, decoding):
                ids.append(token)
                logprobs.append(logprob)
                # A character may take several tokens: it is shown when it is whole.
                if not (now := _text(checkpoint, ids)).endswith("\ufffd"):
                    on_text(now[len(shown) :])
                    shown = now
                report("generate", len(ids), max_new_tokens)
        except Stopped:
            stopped = True
    seconds = {"prefill": prefilled - start, "generate": time.perf_counter() - prefilled}
    _name_words(checkpoint, trace, prompt, ids, logprobs)
    score = _scored(checkpoint, prompt, cache, logits, scored) if scored else None
    return Written(_text(checkpoint, ids).strip(), trace, seconds, stopped, score)


def _prefill(
    checkpoint: Checkpoint, prompt: Prompt, features: Features, cache: Any, report: Report
) -> Tensor:
    """Logits [vocabulary] after the prompt."""
    model, device = checkpoint.model, checkpoint.device
    embeds = model.get_input_embeddings()(prompt.input_ids.to(device))
    embeds[prompt.token_types == VIDEO] = features.embeddings.to(embeds.dtype)
    merge = checkpoint.sampling.merge
    slices, rows, columns = features.shown_grid
    with _layers_reported(model, report):
        output = model(
            inputs_embeds=embeds,
            position_ids=prompt.position_ids.to(device),
            mm_token_type_ids=prompt.token_types.to(device),
            video_grid_thw=torch.tensor([[slices, rows * merge, columns * merge]]),
            past_key_values=cache,
            logits_to_keep=1,
        )
    last: Tensor = output.logits[0, -1]
    return last


def _words(
    checkpoint: Checkpoint, prompt: Prompt, cache: Any, logits: Tensor, decoding: Decoding
) -> Iterator[tuple[int, float]]:
    """The tokens and their log-probabilities under the model itself."""
    for step in count():
        token = decoding.next_token(logits)
        if decoding.is_end:
            return
        yield token, float(logits.float().log_softmax(-1)[token])
        if decoding.is_over:
            return
        written = torch.tensor([[token]], device=checkpoint.device)
        output = checkpoint.model(
            input_ids=written,
            position_ids=torch.full_like(written, prompt.next_position + step).expand(3, 1, 1),
            mm_token_type_ids=torch.full_like(written, TEXT),  # even where a placeholder is written
            past_key_values=cache,
        )
        logits = output.logits[0, -1]


def _scored(
    checkpoint: Checkpoint, prompt: Prompt, cache: Any, logits: Tensor, ids: Sequence[int]
) -> float:
    """Log-probability of `ids` after the prompt, whose own last logits are given."""
    if (written := cache.get_seq_length() - prompt.input_ids.shape[1]) > 0:
        cache.crop(-written)
    given = torch.tensor([ids], device=checkpoint.device)
    rows = logits[None]
    if len(ids) > 1:
        places = prompt.next_position + torch.arange(len(ids) - 1, device=checkpoint.device)
        output = checkpoint.model(
            input_ids=given[:, :-1],
            position_ids=places.expand(3, 1, -1),
            mm_token_type_ids=torch.full_like(given[:, :-1], TEXT),
            past_key_values=cache,
        )
        rows = torch.cat([rows, output.logits[0]])
    return float(rows.float().log_softmax(-1).gather(-1, given.mT).sum())


def _text(checkpoint: Checkpoint, ids: list[int]) -> str:
    text: str = checkpoint.tokenizer.decode(ids, skip_special_tokens=True)
    return text


@contextmanager
def _layers_reported(model: Any, report: Report) -> Iterator[None]:
    layers = model.model.language_model.layers
    handles = [
        layer.register_forward_hook(lambda *_, done=i: report("prefill", done, len(layers)))
        for i, layer in enumerate(layers, start=1)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
