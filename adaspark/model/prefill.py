"""The prompt into the cache: what an earlier question has not left there, slab by slab if long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from adaspark.method.interruption import Interrupted, interruptible
from adaspark.model.cache_names import cache_argument
from adaspark.model.checkpoint import Checkpoint
from adaspark.model.deepstack import deepstack_given
from adaspark.model.features import Features, Report
from adaspark.model.freed_memory import give_back
from adaspark.model.mrope import VIDEO
from adaspark.model.patch import base_of, patch_of
from adaspark.model.prompt import Prompt
from adaspark.model.prompt_cache import PromptCache
from adaspark.model.slabs import part_ends, part_tokens
from adaspark.model.streaming import Stopped
from adaspark.trace.listening import listening
from adaspark.trace.recorder import Recorder

KEPT_FROM = {"cuda": 8192}
"""Tokens of a prompt from which on its end is worth being read apart, so that another question need
not read the video. On an H200 and its host, a 7B: 142 ms to the first word of 4,158 tokens where it
is, 94 in one; of 25,344 tokens 488 and 442."""


def is_worth_keeping(device: torch.device, tokens: int) -> bool:
    """Whether a cache of a prompt of so many tokens is to serve other questions."""
    return tokens >= KEPT_FROM.get(device.type, 0)


def prefill(
    checkpoint: Checkpoint,
    prompt: Prompt,
    features: Features,
    into: PromptCache,
    report: Report,
    *,
    is_kept: bool,
    is_unwanted: Callable[[], bool] = lambda: False,
) -> tuple[Tensor, int]:
    """Logits [vocabulary] after the prompt, and how many of its tokens were in the cache before.

    If the cache `is_kept` for other questions, what all of them share is read in a call of its own
    and marked, and so is the end of this prompt. A long prompt is read in parts that cut no cube,
    so that what a layer computes at one time is bounded.

    `report` may raise Stopped. One layer of one part may take seconds: once the answer
    `is_unwanted`, Stopped is raised between a layer's halves, and within compiled attention.
    """
    recorders = _recorders(checkpoint)
    ids = prompt.input_ids[0].tolist()
    known = at = into.back_to(ids, recorders)
    marks = [prompt.fixed, prompt.tokens] if is_kept else []
    ends = [end for end in sorted({*_parts(checkpoint, prompt, features), *marks}) if end > at]
    counted = len(ends) - (is_kept and len(ends) > 1)  # text after the video is soon read
    logits = torch.empty(0)
    for number, end in enumerate(ends):
        into.expect(prompt.tokens)
        telling = _share(report, number, counted) if number < counted else None
        with _stopped_once(checkpoint, is_unwanted):
            logits = _read(checkpoint, prompt, slice(at, end), features, into.cache, telling)
        if end in marks:
            into.mark(ids[:end], recorders)
        if len(ends) > 2:
            give_back()
        at = end
    return logits, known


def _parts(checkpoint: Checkpoint, prompt: Prompt, features: Features) -> list[int]:
    """Where its parts end."""
    patch = patch_of(base_of(checkpoint.model))
    text = checkpoint.model.config.text_config
    layers = range(text.num_hidden_layers)
    is_dense = patch is None or any(patch.config.attention_in(i).keeps_all for i in layers)
    return part_ends(
        prompt.token_types[0],
        features.grid,
        patch.config.cube[0] if patch is not None else 1,
        part_tokens(checkpoint.device, prompt.tokens, text.intermediate_size, is_dense=is_dense),
        in_one=features.kept is not None or checkpoint.family.frames_apart,
    )


def _share(report: Report, number: int, parts: int) -> Report:
    """Tells the layers of one part among those of all."""
    return lambda name, done, total: report(name, number * total + done, parts * total)


def _recorders(checkpoint: Checkpoint) -> list[Recorder]:
    patch = patch_of(base_of(checkpoint.model))
    return listening(patch.recorders) if patch is not None else []


def _read(
    checkpoint: Checkpoint,
    prompt: Prompt,
    part: slice,
    features: Features,
    cache: Any,
    report: Report | None,
) -> Tensor:
    """Logits [vocabulary] after the tokens of `part`: of the video, or text alone."""
    model, device = checkpoint.model, checkpoint.device
    embeds = model.get_input_embeddings()(prompt.input_ids[:, part].to(device))
    is_video = (prompt.token_types[:, part] == VIDEO).to(embeds.device)
    first = int((prompt.token_types[:, : part.start] == VIDEO).sum())
    video = slice(first, first + int(is_video.sum()))
    levels, given = [], {}
    if first < video.stop:
        embeds[is_video] = features.embeddings[video].to(embeds)
        levels = [level[video] for level in features.deepstack]
    if part.start == 0:
        merge = checkpoint.sampling.merge
        slices, rows, columns = features.shown_grid
        given["video_grid_thw"] = torch.tensor([[slices, rows * merge, columns * merge]])
    text = getattr(model.model, checkpoint.family.text)
    with (
        _layers_reported(text.layers, report),
        deepstack_given(text, is_video, levels if first < video.stop else ()),
    ):
        output = model(
            inputs_embeds=embeds,
            position_ids=prompt.position_ids[..., part].to(device),
            mm_token_type_ids=prompt.token_types[:, part].to(device),
            **given,
            **cache_argument(model, cache),
            logits_to_keep=1,
        )
    last: Tensor = output.logits[0, -1]
    return last


@contextmanager
def _stopped_once(checkpoint: Checkpoint, is_unwanted: Callable[[], bool]) -> Iterator[None]:
    """Around a part: Stopped once it `is_unwanted`, within a layer too."""

    def look(*_: Any) -> None:
        if is_unwanted():
            raise Stopped

    layers = getattr(checkpoint.model.model, checkpoint.family.text).layers
    halves = [half for layer in layers for half in layer.children()]
    handles = [half.register_forward_pre_hook(look) for half in halves]
    try:
        with interruptible(is_unwanted):
            yield
    except Interrupted:
        raise Stopped from None
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _layers_reported(layers: Any, report: Report | None) -> Iterator[None]:
    handles = []
    if report is not None:
        handles = [
            layer.register_forward_hook(lambda *_, done=i: report("prefill", done, len(layers)))
            for i, layer in enumerate(layers, start=1)
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
