"""One word of the answer as a single computation on the device: a step that can be captured.

The layers of Qwen2-VL, Qwen2.5-VL or Qwen3-VL for one text token, on the kernels of a GPU, over
buffers that never move. It serves the engine's own loop; `generate` of a model goes on as it always
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adaspark.kernels import backend
from adaspark.model.cached_geometry import recall
from adaspark.model.captured import Captured
from adaspark.model.patch import Patch, base_of, patch_of
from adaspark.model.prompt_geometry import Sample, Session
from adaspark.model.step_modules import is_own, modules_of
from adaspark.trace.listening import listening

GROWING = ("dynamic", "longrope")
"""Rotary embeddings whose angles change as a text grows."""


class DecodeStep:
    """The next token's logits from the last token, after a prompt that `cache` holds.

    `places` int64 [room] are the positions of the tokens to come. Recordings that are open are
    handed the choices by `record`.
    """

    def __init__(self, model: Any, cache: Any, session: Session, places: Tensor) -> None:
        base = base_of(model)
        text, patch = base.language_model, _patch(base)
        self._model, self._text, self._session = model, text, session
        self._recorders = listening(patch.recorders)
        self._cache = _step_cache(text, cache, _sample(session), patch, len(places), self._records)
        embedding = model.get_input_embeddings()
        self._token = places.new_zeros(1, 1)
        self._rotation = _rotation(text, embedding(self._token), places)
        self._run = Captured(
            self._compute,
            places.device,
            lambda why: patch.warn(f"AdaSpark writes words without a CUDA graph: {why}."),
        )
        self._written = 0
        self._parts: list[tuple[Tensor, Tensor]] = []

    @property
    def _records(self) -> bool:
        return bool(self._recorders)

    def __call__(self, token: Tensor) -> Tensor:
        """Logits [vocabulary] after `token` int64 [1]; the device is not waited for."""
        self._token.copy_(token[None])
        logits = self._run()
        self._written += 1
        if self._records and self._written % self._cache.slots == 0:
            self._parts.append(self._cache.drained(self._cache.slots))
        return logits

    def record(self, ids: Sequence[int]) -> None:
        """Hand the choices of the tokens `ids`, the first that were written, to the recordings."""
        if not self._records or not ids:
            return
        if left := self._written % self._cache.slots:
            self._parts.append(self._cache.drained(left))
        probs, kept = (torch.cat(part, 1)[:, : len(ids)] for part in zip(*self._parts, strict=True))
        sample = _sample(self._session)
        session = self._session.with_words(sample.sequence.length, len(ids))
        for recorder in self._recorders:
            recorder.answer(session, ids, probs, kept)

    def _compute(self) -> Tensor:
        kernels, step = backend.decoding(), self._cache
        stream, moved = self._model.get_input_embeddings()(self._token), None
        for index, layer in enumerate(self._text.layers):
            attention, mlp = layer.self_attn, layer.mlp
            hidden = kernels.normed(stream, moved, *_norm(layer.input_layernorm))
            queries = step.store(
                index,
                *(_product(project, hidden) for project in _projections(attention)),
                self._rotation,
                _head_norms(attention),
            )
            mixed = step.attend(index, queries)
            moved = _product(attention.o_proj, mixed.view(1, 1, -1))
            hidden = kernels.normed(stream, moved, *_norm(layer.post_attention_layernorm))
            gate, up = _product(mlp.gate_proj, hidden), _product(mlp.up_proj, hidden)
            moved = _product(mlp.down_proj, kernels.gated(gate, up))
        step.advance()
        hidden = kernels.normed(stream, moved, *_norm(self._text.norm))
        return _product(self._model.lm_head, hidden)[0, 0]


def step_for(model: Any, cache: Any, places: Tensor) -> DecodeStep | None:
    """A step after the prompt in `cache`; None where only the model itself can compute one."""
    session = recall(cache)
    if session is None or session.reason is not None or not session.has_video:
        return None
    if modules_of(model) is None or not _fits(model, session):
        return None
    try:
        return DecodeStep(model, cache, session, places)
    except torch.cuda.OutOfMemoryError:  # the keys stand there twice
        return None


def _fits(model: Any, session: Session) -> bool:
    """Whether the kernels can compute the part of each module."""
    base = base_of(model)
    text, samples = base.language_model, list(session.samples)
    if len(samples) != 1 or not samples[0].sequence.is_unpadded or samples[0].first:
        return False
    config, patch = text.config, _patch(base)
    rules = [patch.config.attention_in(layer, patch.forced) for layer in range(len(text.layers))]
    weights = {(weight.device, weight.dtype) for weight in text.parameters()}
    heads = config.num_attention_heads
    return (
        len(weights) == 1
        and backend.decodes(
            next(text.parameters()),
            heads=heads,
            groups=config.num_key_value_heads,
            width=text.layers[0].self_attn.head_dim,
            cubes=samples[0].sequence.layout.cubes,
        )
        and all(rule.name == "top_p" for rule in rules)
        and config.hidden_act == "silu"
        and config.rope_parameters["rope_type"] not in GROWING
        and all(getattr(layer.self_attn, "sliding_window", None) is None for layer in text.layers)
        and not text.training
    )


def _step_cache(
    text: Any, cache: Any, sample: Sample, patch: Patch, room: int, records: bool
) -> Any:
    kernels, attention = backend.decoding(), text.layers[0].self_attn
    layers = []
    for index, held in enumerate(cache.layers[: len(text.layers)]):
        rule = patch.config.attention_in(index, patch.forced).of_rows(is_text=True)
        keys = held.keys[0]
        needed = records or not rule.keeps_all
        means = sample.mean_keys(index, keys) if needed else None
        tables = keys, held.values[0], means
        layers.append(kernels.LayerKeys(*tables, rule.amount, rule.forced, rule.keeps_all))
    return kernels.StepCache(
        sample.sequence,
        layers,
        heads=text.config.num_attention_heads,
        scale=attention.scaling,
        room=room,
        records=records,
    )


def _rotation(text: Any, like: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Cos and sin [room, D] of text at `places`: there all three axes turn alike."""
    cos, sin = text.rotary_emb(like, places.expand(3, 1, -1))
    count = len(places)
    return tuple(t.reshape(-1, count, t.shape[-1])[0].contiguous() for t in (cos, sin))


def _product(module: Any, hidden: Tensor) -> Tensor:
    """What a linear module computes of one row [1, 1, h]; quantised ones, adapters and hooks do it
    their own way.
    """
    if is_own(module, "Linear", nn.Linear.__module__) and module.weight.is_contiguous():
        found: Tensor = backend.decoding().product(hidden, module.weight, module.bias)
    else:
        found = module(hidden)
    return found


def _projections(attention: Any) -> tuple[Any, Any, Any]:
    return attention.q_proj, attention.k_proj, attention.v_proj


def _norm(module: Any) -> tuple[Tensor, float]:
    return module.weight, module.variance_epsilon


def _head_norms(attention: Any) -> tuple[Tensor, Tensor, float] | None:
    """Weights of the norms of a head's query and key, and their epsilon, where there are any."""
    if not hasattr(attention, "q_norm"):
        return None
    (queries, eps), (keys, _) = _norm(attention.q_norm), _norm(attention.k_norm)
    return queries, keys, eps


def _sample(session: Session) -> Sample:
    return session.rows[0][0]


def _patch(base: Any) -> Patch:
    patch = patch_of(base)
    assert patch is not None, "a session is known to sparsified models alone"
    return patch
