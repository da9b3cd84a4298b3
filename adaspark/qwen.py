"""Where the method meets Qwen2.5-VL: the only file that knows transformers' modules.

One attention function is registered, stateless; what it needs hangs on the model it runs in. The
FFN's live instances change class, never the shared class, so parameter names stay. A pre-hook on
`Qwen2_5_VLModel` takes the geometry of each prompt, kept for as long as its cache lives.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2MLP

from adaspark import attention, backend, ffn
from adaspark.attention import Choice
from adaspark.config import AdaSparkConfig, Cube
from adaspark.errors import UserError
from adaspark.recorder import active_recorder, recording
from adaspark.rules import Rule
from adaspark.sequence import Segment
from adaspark.session import CannotPlace, Session, read_prompt, video_tokens
from adaspark.trace import Trace
from adaspark.trace_meta import Meta

IMPLEMENTATION = "adaspark"  # a name with "flash" in it would be taken for flash attention
_SESSION = "_adaspark_session"  # on a cache: it goes where the cache goes, copies too


@dataclass(eq=False)
class _Patch:
    """What sparsify() hangs on a model: the configuration, the prompt at work, the way back."""

    config: AdaSparkConfig
    previous_implementation: str
    shape: dict[str, Any]
    forced: tuple[tuple[int, bool], ...] = ()
    session: Session | None = None
    handles: list[Any] = field(default_factory=list)
    warned: set[str] = field(default_factory=set)

    def rule(self, layer: int) -> Rule:
        """How a layer's cubes are chosen, interventions included."""
        return replace(self.config.attention_in(layer), forced=self.forced)

    def fall_back(self, reason: str) -> None:
        """Run this call dense, and say why, once."""
        self.session = None
        if reason not in self.warned:
            self.warned.add(reason)
            warnings.warn(f"AdaSpark runs this call dense: {reason}.", stacklevel=3)


def sparsify(
    model: Any, config: AdaSparkConfig | None = None, *, forced: Mapping[int, bool] | None = None
) -> Any:
    """Make a `Qwen2_5_VLForConditionalGeneration` run AdaSpark, in place; returns the model.

    `forced` intervenes: a cube (by its index in the prompt) is attended to by every query of every
    layer that may see it (True), or by none beyond its own tokens (False).
    Calling it again only changes configuration and interventions. Weights and parameter names are
    untouched; `restore` undoes it. Raises UserError for any other model, and for thresholds of
    another number of layers.
    """
    config = config or AdaSparkConfig()
    interventions = tuple(sorted((forced or {}).items()))
    text = _text_model(model)
    config.check_layers(len(text.layers))
    if (patch := _patch_of(model)) is not None:
        patch.config, patch.forced = config, interventions
        return model
    AttentionInterface.register(IMPLEMENTATION, _attention)
    AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
    previous = text.config._attn_implementation
    patch = _Patch(config, previous, language_shape(text.config), interventions)
    text.set_attn_implementation(IMPLEMENTATION)
    for layer in text.layers:
        layer.self_attn.__dict__["_adaspark"] = patch
        layer.mlp.__dict__["_adaspark"] = patch
        layer.mlp.__class__ = _SparseMLP
        norm = layer.post_attention_layernorm
        norm.__dict__["_adaspark_mlp"] = layer.mlp
        patch.handles.append(norm.register_forward_pre_hook(_take_norms))
    for index, layer in enumerate(text.layers):
        layer.mlp.__dict__["_layer"] = index
    patch.handles += [
        model.model.register_forward_pre_hook(_begin, with_kwargs=True),
        model.model.register_forward_hook(_end, with_kwargs=True),
    ]
    model.__dict__["_adaspark"] = model.model.__dict__["_adaspark"] = patch
    return model


def restore(model: Any) -> Any:
    """Undo `sparsify`: the model is again what it was, to the bit. Returns it."""
    patch = _patch_of(model)
    if patch is None:
        return model
    text = _text_model(model)
    for handle in patch.handles:
        handle.remove()
    for layer in text.layers:
        del layer.self_attn.__dict__["_adaspark"]
        del layer.post_attention_layernorm.__dict__["_adaspark_mlp"]
        layer.mlp.__class__ = Qwen2MLP
        for name in ("_adaspark", "_layer", "_norms"):
            layer.mlp.__dict__.pop(name, None)
    text.set_attn_implementation(patch.previous_implementation)
    del model.__dict__["_adaspark"], model.model.__dict__["_adaspark"]
    return model


@contextmanager
def record(model: Any) -> Iterator[Trace]:
    """Record what a sparsified model decides: `with record(model) as trace: model.generate(...)`.

    The trace is complete when the block ends and holds the last prompt that was prefilled in it
    (of a batch, its first row). Outputs do not change by a bit.
    """
    patch = _patch_of(model)
    if patch is None:
        raise UserError("This model runs dense: call sparsify(model, config) before record(model).")
    with recording(patch) as trace:
        yield trace


def _patch_of(model: Any) -> _Patch | None:
    patch: _Patch | None = getattr(model, "__dict__", {}).get("_adaspark")
    return patch


def _text_model(model: Any) -> Any:
    text = getattr(getattr(model, "model", None), "language_model", None)
    kind = getattr(getattr(model, "config", None), "model_type", None)
    if kind != "qwen2_5_vl" or text is None:
        raise UserError(
            f"AdaSpark runs on Qwen2_5_VLForConditionalGeneration, not on {type(model).__name__}."
        )
    return text


def language_shape(config: Any) -> dict[str, Any]:
    """The numbers of the language model that a trace and the FLOP counts need."""
    heads = config.num_attention_heads
    return {
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "intermediate": config.intermediate_size,
        "heads": heads,
        "kv_heads": config.num_key_value_heads,
        "head_dim": config.hidden_size // heads,
    }


def _begin(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Before `Qwen2_5_VLModel`: take the geometry of the prompt, or find it again by its cache."""
    patch: _Patch = model.__dict__["_adaspark"]
    ids = kwargs.get("input_ids", args[0] if args else None)
    cache = kwargs.get("past_key_values")
    past = 0 if cache is None else int(cache.get_seq_length())
    shown: Tensor = ids if ids is not None else kwargs["inputs_embeds"]
    try:
        if past == 0:
            patch.session = _read(model, ids, kwargs, patch.config.cube)
        else:
            patch.session = _continue(model, ids, kwargs, past, shown.shape[1])
    except CannotPlace as reason:
        return patch.fall_back(str(reason))
    if patch.session is not None:
        _remember(patch, cache, ids, past, shown.shape[1])
    return None


def _read(model: Any, ids: Tensor | None, call: dict[str, Any], cube: Cube) -> Session | None:
    """The session of a prefill."""
    config = model.config
    merge = config.vision_config.spatial_merge_size
    session = read_prompt(ids, call, video_id=config.video_token_id, merge=merge, cube=cube)
    layers = [layer.self_attn for layer in model.language_model.layers]
    if session is not None and any(layer.sliding_window is not None for layer in layers):
        raise CannotPlace("this model has sliding-window layers")
    if session is not None and any(
        layer.training and layer.attention_dropout > 0 for layer in layers
    ):
        raise CannotPlace("attention dropout is on in training")
    return session


def _continue(
    model: Any, ids: Tensor | None, call: dict[str, Any], past: int, count: int
) -> Session | None:
    """The session of `count` tokens after `past` cached ones."""
    is_video = video_tokens(ids, call, video_id=model.config.video_token_id)
    if is_video is not None and bool(is_video.any()):
        raise CannotPlace("a video came after cached tokens (chunked prefill or a later turn)")
    known: Session | None = getattr(call["past_key_values"], _SESSION, None)
    return None if known is None else known.continued(past, count)


def _remember(patch: _Patch, cache: Any, ids: Tensor | None, past: int, count: int) -> None:
    """The session goes with its cache, and a recorder hears of it."""
    assert patch.session is not None
    if cache is not None:
        setattr(cache, _SESSION, patch.session)
    recorder = active_recorder(patch)
    if recorder is None:
        return
    first, row_ids = patch.session.rows[0], None if ids is None else ids[0]
    if past:
        return recorder.decode(past, count, row_ids)
    meta = Meta(
        config=patch.config,
        grids=list(first.layout.grids),
        shape=patch.shape,
        forced=list(patch.forced),
    )
    return recorder.begin(first, row_ids, layers=patch.shape["layers"], meta=meta)


def _end(model: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
    """After it: a cache made inside the call is where this prompt will be found again."""
    cache = getattr(output, "past_key_values", None)
    session = model.__dict__["_adaspark"].session
    if cache is not None and session is not None:
        setattr(cache, _SESSION, session)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **kwargs: Any
) -> tuple[Tensor, None]:
    """AdaS-Attn as transformers calls it: [B, H, S, D] in, [B, S, H, D] out."""
    patch: _Patch = module._adaspark
    session = patch.session
    if session is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)  # type: ignore[no-any-return]
    rule = patch.rule(module.layer_idx)
    if rule.keeps_all:
        _observe_dense(patch, module.layer_idx, query, key, scale=kwargs["scaling"])
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)  # type: ignore[no-any-return]
    kind = query.device.type
    if torch.is_autocast_enabled(kind):  # as scaled_dot_product_attention does
        dtype = torch.get_autocast_dtype(kind)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    mixed = []
    for row, sequence in enumerate(session.rows):
        keys, values = key[row, :, : sequence.length], value[row, :, : sequence.length]
        with torch.autocast(kind, enabled=False):
            done = backend.sparse_attention(
                query[row],
                keys,
                values,
                sequence,
                rule=rule,
                scale=kwargs["scaling"],
                means=session.mean_keys(module.layer_idx, row, keys),
                observe=_observer(patch, module.layer_idx) if row == 0 else None,
            )
            mixed.append(done.transpose(0, 1))
    return _batched(mixed), None


def _batched(rows: list[Tensor]) -> Tensor:
    """The rows of a batch as one tensor; a batch of one, the usual case, is not copied."""
    return torch.stack(rows) if len(rows) > 1 else rows[0][None]


def _observe_dense(patch: _Patch, layer: int, query: Tensor, key: Tensor, *, scale: float) -> None:
    """With p = 1 the stock kernel computes; only a recorder wants to know the probabilities."""
    session, observe = patch.session, _observer(patch, layer)
    if session is None or observe is None:
        return
    sequence = session.rows[0]
    means = session.mean_keys(layer, 0, key[0, :, : sequence.length])
    start, rule = sequence.length - query.shape[2], patch.rule(layer)
    for segment in sequence.segments(start):
        asked, choice = attention.decide(query[0], segment, means, start, rule=rule, scale=scale)
        observe(segment, replace(choice, executed_pairs=asked.shape[0] * segment.causal_pairs))


def _observer(patch: _Patch, layer: int) -> attention.Observer | None:
    recorder = active_recorder(patch)
    if recorder is None:
        return None

    def observe(segment: Segment, choice: Choice) -> None:
        recorder.attention(
            layer, segment, choice.probs, choice.kept, choice.executed_pairs, nats=choice.entropy
        )

    return observe


def _take_norms(norm: Any, args: tuple[Tensor, ...]) -> None:
    """The FFN's importance is the residual's norm, which its own input no longer shows."""
    mlp = norm.__dict__["_adaspark_mlp"]
    if mlp._adaspark.session is not None:
        mlp.__dict__["_norms"] = ffn.norms_of(args[0])


class _SparseMLP(Qwen2MLP):  # type: ignore[misc]
    """Differs from Qwen2MLP only where a prompt with video is at work."""

    def forward(self, hidden: Tensor) -> Tensor:
        patch: _Patch = self._adaspark
        session = patch.session
        # Decoding brings text alone, which always passes.
        if session is None or hidden.shape[1] < session.rows[0].length:
            return super().forward(hidden)  # type: ignore[no-any-return]
        norms = self.__dict__.pop("_norms")
        recorder = active_recorder(patch)
        rule = patch.config.ffn_in(self._layer)
        if rule.keeps_all:
            passed: Tensor = super().forward(hidden)
            if recorder is not None:
                sequence = session.rows[0]
                weights = ffn.importance(norms[0, sequence.video_positions], sequence.layout)
                everything = torch.ones_like(weights, dtype=torch.bool)
                ratios = ffn.inertia(passed[0], norms[0])
                recorder.ffn(self._layer, everything, weights, ratios)
            return passed
        outputs = []
        for row, sequence in enumerate(session.rows):
            output, kept, weights = backend.sparse_ffn(
                hidden[row],
                norms[row],
                sequence,
                super().forward,
                rule=rule,
                skipped=patch.config.ffn_skipped,
            )
            outputs.append(output)
            if row == 0 and recorder is not None:
                recorder.ffn(self._layer, kept, weights, ffn.inertia(output, norms[0]))
        return _batched(outputs)
