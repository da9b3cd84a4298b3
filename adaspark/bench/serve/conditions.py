"""One whole request, timed by phase: transformers' own pipeline, and the studio's.

Phases: `decode` and `vision`, which overlap in ours, `prefill` to the first word, `words` to the
last, `trace` until it is complete, `scene` until the viewer could draw it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adaspark.bench.serve.models import QUESTION, Served
from adaspark.method.config import AdaSparkConfig
from adaspark.model import features, generation
from adaspark.model.family_prompt import family_prompt
from adaspark.model.features import Features
from adaspark.model.mrope import VIDEO
from adaspark.model.prompt import build_prompt
from adaspark.model.prompt_cache import PromptCache
from adaspark.model.qwen import record, restore, sparsify
from adaspark.trace import summary
from adaspark.trace.trace import Trace
from adaspark.video.clip import patchify, probe, read_clip, token_grid
from viz.data.scene import scene

PHASES = ("decode", "vision", "prefill", "words", "trace", "scene")


@dataclass(eq=False)
class Ran:
    """What one request took: seconds by phase; and what came of it.

    `logits` fp32 [words, vocabulary] are of stock's requests alone, if asked for.
    """

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    text: str = ""
    features: Features | None = None
    trace: Trace | None = None
    peak_bytes: int = 0
    ids: list[int] = field(default_factory=list)
    logits: Tensor | None = None


@dataclass(frozen=True)
class Request:
    """A clip shown in about `tokens` video tokens, and how many words are to be written."""

    served: Served
    path: Path
    tokens: int
    words: int

    def stock(self, *, with_logits: bool = False) -> Ran:
        """transformers' model and `generate`, SDPA, all patches of the clip in one call."""
        loaded, ran = self.served.checkpoint, Ran()
        model = restore(loaded.model)
        with _peak(ran, loaded.device):
            with _spent(ran, "decode", loaded.device):
                clip = read_clip(self.path, self.served.sampling(self.path, self.tokens))
                pixels = patchify(clip.frames, loaded.sampling, loaded.mean, loaded.std)
            shown = Features(torch.empty(0), clip.grid, clip.times_secs)
            seconds = clip.seconds_per_slice
            prompt = family_prompt(
                model, loaded.tokenizer, shown, QUESTION, seconds_per_slice=seconds
            )
            timed = {"second_per_grid_ts": [seconds]} if loaded.family.counts_seconds else {}
            merge = loaded.sampling.merge
            shape = [[clip.grid[0], clip.grid[1] * merge, clip.grid[2] * merge]]
            stamps, start = _Stamps(), _now(loaded.device)
            with torch.inference_mode(), _tower_timed(model.model.visual, ran, loaded.device):
                found = model.generate(
                    input_ids=prompt.input_ids.to(loaded.device),
                    mm_token_type_ids=prompt.token_types.to(loaded.device),
                    pixel_values_videos=pixels.to(loaded.device, model.dtype),
                    video_grid_thw=torch.tensor(shape, device=loaded.device),
                    **timed,
                    do_sample=False,
                    eos_token_id=-1,  # no token: every answer is as long
                    max_new_tokens=self.words,
                    return_dict_in_generate=True,
                    output_logits=with_logits,
                    streamer=stamps,
                )
        first, last = stamps.times[1], stamps.times[-1]  # the first of all is the prompt's
        ran.seconds["prefill"] = first - start - ran.seconds["vision"]
        ran.seconds["words"] = last - first
        ran.logits = torch.cat(found.logits) if with_logits else None
        ran.ids = found.sequences[0, prompt.input_ids.shape[1] :].tolist()
        ran.text = loaded.tokenizer.decode(ran.ids, skip_special_tokens=True).strip()
        return ran

    def ours(
        self,
        *,
        recorded: bool,
        config: AdaSparkConfig | None = None,
        known: Features | None = None,
    ) -> Ran:
        """The studio's own way, which keeps a prompt that is worth it for other questions; `known`
        features are those of an earlier request.
        """
        loaded, ran = self.served.checkpoint, Ran()
        sampling = self.served.sampling(self.path, self.tokens)
        info = probe(self.path)
        grid = token_grid(info, sampling)
        sparsify(loaded.model, config or self.served.config)
        with _peak(ran, loaded.device):
            if known is None:
                known, spent = features.encode(loaded, self.path, grid, sampling, _nobody)
                ran.seconds |= spent
            stamps: list[float] = []
            start = time.perf_counter()
            written = generation.generate(
                loaded,
                known,
                QUESTION,
                seconds_per_slice=info.duration_secs / grid[0],
                max_new_tokens=self.words,
                report=lambda name, done, total: _stamp(stamps, name),
                on_text=_ignored,
                kept=PromptCache(loaded.model.config.text_config),
                recording=record if recorded else _unrecorded,
            )
            end = time.perf_counter()
            ran.seconds["prefill"] = stamps[0] - start
            ran.seconds["words"] = stamps[-1] - stamps[0]
            ran.seconds["trace"] = end - stamps[-1]
            if recorded:
                _draw(ran, written.trace, known)
        ran.features, ran.text, ran.ids = known, written.text, list(written.ids)
        return ran

    def follow_ups(self, known: Features, count: int) -> list[float]:
        """Seconds to the first word of a question about `known` features, and then of `count` more,
        whose prompt the cache holds but for themselves if it is worth keeping; all are recorded.
        """
        loaded = self.served.checkpoint
        sparsify(loaded.model, self.served.config)
        kept = PromptCache(loaded.model.config.text_config)
        found = []
        for question in (QUESTION, *(f"{QUESTION} {number}" for number in range(count))):
            _now(loaded.device)
            written = generation.generate(
                loaded,
                known,
                question,
                seconds_per_slice=probe(self.path).duration_secs / known.grid[0],
                max_new_tokens=1,
                report=_nobody,
                on_text=_ignored,
                kept=kept,
            )
            found.append(written.seconds["prefill"])
        return found


def _draw(ran: Ran, trace: Trace, known: Features) -> None:
    """As the app does: FLOPs and versions into the trace, then the viewer's JSON."""
    start = time.perf_counter()
    summary.finish(trace, known.times_secs)
    middle = time.perf_counter()
    json.dumps(scene(trace))
    ran.seconds["trace"] += middle - start
    ran.seconds["scene"] = time.perf_counter() - middle
    ran.trace = trace


@torch.inference_mode()
def first_logits(served: Served, known: Features, config: AdaSparkConfig | None) -> Tensor:
    """fp32 logits [vocabulary] after the prompt; None is the stock model."""
    loaded = served.checkpoint
    model = restore(loaded.model) if config is None else sparsify(loaded.model, config)
    prompt = build_prompt(loaded.tokenizer, QUESTION, known.grid, position_step=1.0)
    embeds = model.get_input_embeddings()(prompt.input_ids.to(loaded.device))
    embeds[prompt.token_types == VIDEO] = known.embeddings.to(embeds.dtype)
    merge = loaded.sampling.merge
    logits: Tensor = model(
        inputs_embeds=embeds,
        position_ids=prompt.position_ids.to(loaded.device),
        mm_token_type_ids=prompt.token_types.to(loaded.device),
        video_grid_thw=torch.tensor([[known.grid[0], *(merge * side for side in known.grid[1:])]]),
        logits_to_keep=1,
    ).logits
    return logits[0, -1].float()


class _Stamps:
    """A streamer of transformers' that keeps when each token came."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, _: Tensor) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


def _stamp(stamps: list[float], name: str) -> None:
    if name == "generate":
        stamps.append(time.perf_counter())


def _ignored(_: str) -> None:
    pass


def _nobody(name: str, done: int, total: int) -> None:
    pass


def _unrecorded(_: Any) -> AbstractContextManager[Trace]:
    """A trace that stays empty: nobody records."""
    return nullcontext(Trace())


@contextmanager
def _spent(ran: Ran, phase: str, device: torch.device) -> Iterator[None]:
    start = _now(device)
    yield
    ran.seconds[phase] += _now(device) - start


@contextmanager
def _tower_timed(visual: Any, ran: Ran, device: torch.device) -> Iterator[None]:
    start: list[float] = []
    handles = [
        visual.register_forward_pre_hook(lambda *_: start.append(_now(device))),
        visual.register_forward_hook(
            lambda *_: ran.seconds.update(vision=_now(device) - start[-1]),
        ),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _peak(ran: Ran, device: torch.device) -> Iterator[None]:
    """Memory of the device at its peak, the model included; 0 on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    yield
    if device.type == "cuda":
        ran.peak_bytes = torch.cuda.max_memory_allocated(device)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
