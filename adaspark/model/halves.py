"""The two halves of a layer, attention and FFN, on the prompts of one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from adaspark.kernels import backend
from adaspark.method import attention, ffn
from adaspark.method.attention import Choice
from adaspark.method.rules import Rule
from adaspark.method.segment import Segment
from adaspark.method.tally import Later, Tally, TallyObserver
from adaspark.method.token_positions import TokenPositions
from adaspark.model.calls import Call
from adaspark.trace.recorder import Recorder


def attend(
    call: Call, layer: int, query: Tensor, key: Tensor, value: Tensor, *, scale: float
) -> Tensor | None:
    """AdaS-Attn: queries [B, H, S, D], keys and values [B, G, S', D]; returns [B, S, H, D].

    None where every cube is kept: the stock function then computes, and recorders know already.
    """
    rule = call.patch.config.attention_in(layer, call.patch.forced)
    recorders = call.recording("attention", layer)
    if not call.session.brings_video:
        rule = rule.of_rows(is_text=True)
    observe = _observer(call, layer, recorders) if recorders else None
    if rule.keeps_all:
        if observe is not None:
            _observe_dense(call, layer, query, key, rule=rule, scale=scale, observe=observe)
            _record_dense_mass(call, recorders, layer, query, key, scale=scale)
        return None
    kind = query.device.type
    if torch.is_autocast_enabled(kind):  # as scaled_dot_product_attention does
        dtype = torch.get_autocast_dtype(kind)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    mixed: list[Tensor] = []
    with torch.autocast(kind, enabled=False):
        for i, row in enumerate(call.session.rows):
            parts: list[Tensor] = []
            for sample in (sample.on(query.device) for sample in row):
                keys = key[i, :, sample.tokens]
                done = backend.sparse_attention(
                    query[i, :, sample.new_tokens],
                    keys,
                    value[i, :, sample.tokens],
                    sample.sequence,
                    rule=_told(rule, sample.sequence),
                    scale=scale,
                    means=sample.mean_keys(layer, keys),
                    observe=observe if not mixed and not parts else None,
                )
                parts.append(done.transpose(0, 1))
            mixed.append(_joined(parts))
    return _batched(mixed)


def feed(
    call: Call, layer: int, hidden: Tensor, norms: Tensor, whole: Callable[[Tensor], Tensor]
) -> Tensor:
    """AdaS-FFN: `hidden` [B, S, h] enters `whole`, the MLP; `norms` fp32 [B, S] are those of the
    residual stream. Returns the branch's output [B, S, h].
    """
    config = call.patch.config
    rule, recorders = config.ffn_in(layer), call.recording("FFN", layer)
    weighed = norms if config.ffn_importance == "residual" else ffn.norms_of(hidden.detach())
    if rule.keeps_all or not call.session.brings_video:
        passed = whole(hidden)
        if recorders:
            _record_dense_ffn(call, recorders, layer, passed, norms, weighed)
        return passed
    outputs: list[Tensor] = []
    for i, row in enumerate(call.session.rows):
        parts: list[Tensor] = []
        for sample in (sample.on(hidden.device) for sample in row):
            tokens = sample.new_tokens
            output, kept, weights = backend.sparse_ffn(
                hidden[i, tokens],
                weighed[i, tokens],
                sample.part.video_alone,
                lambda rows: whole(rows[None])[0],
                rule=rule,
                skipped=config.ffn_skipped,
            )
            if not outputs and not parts:
                for recorder in recorders:
                    moved = ffn.norms_of(output.detach()), norms[i, tokens]
                    recorder.ffn(call.session.run, layer, kept, weights, moved)
            parts.append(output)
        outputs.append(_joined(parts))
    return _batched(outputs)


def _told(rule: Rule, sequence: TokenPositions) -> Rule:
    """The rule with its interventions by the numbers that cubes have in this sequence."""
    return replace(rule, forced=sequence.layout.spatial(rule.forced)) if rule.forced else rule


def _joined(parts: list[Tensor]) -> Tensor:
    """The samples of a row; one alone, the usual case, is not copied."""
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _batched(rows: list[Tensor]) -> Tensor:
    """The rows of a batch as one tensor; a batch of one, the usual case, is not copied."""
    return torch.stack(rows) if len(rows) > 1 else rows[0][None]


def _observer(call: Call, layer: int, recorders: list[Recorder]) -> TallyObserver:
    run = call.session.run

    def observe(segment: Segment, choice: Choice) -> None:
        with torch.no_grad():
            for recorder in recorders:
                recorder.attention(run, layer, segment, choice)

    def add(tally: Tally | Later) -> None:
        with torch.no_grad():
            for recorder in recorders:
                recorder.tally(run, layer, tally)

    return TallyObserver(observe, add)


@torch.no_grad()
def _observe_dense(
    call: Call,
    layer: int,
    query: Tensor,
    key: Tensor,
    *,
    rule: Rule,
    scale: float,
    observe: attention.Observer,
) -> None:
    """With p = 1 the stock kernel computes; only a recorder wants to know the probabilities."""
    sample = call.session.rows[0][0].on(query.device)
    rule = _told(rule, sample.sequence)
    sequence, asked = sample.sequence, query[0, :, sample.new_tokens]
    means = sample.mean_keys(layer, key[0, :, sample.tokens])
    report = backend.dense_reporter(asked, key)
    if report is not None and isinstance(observe, TallyObserver):
        report(asked, means, sequence, observe, scale=scale)
        return
    start = sequence.length - asked.shape[1]
    for segment in sequence.segments(start):
        rows, choice = attention.decide(asked, segment, means, start, rule=rule, scale=scale)
        observe(segment, replace(choice, executed_pairs=rows.shape[0] * segment.causal_pairs))


@torch.no_grad()
def _record_dense_mass(
    call: Call, recorders: list[Recorder], layer: int, query: Tensor, key: Tensor, *, scale: float
) -> None:
    """With p = 1, what the attention of the words really gives each cube: sparse runs are held
    against it.
    """
    sample = call.session.rows[0][0].on(query.device)
    sequence, asked = sample.sequence, query[0, :, sample.new_tokens]
    start = sequence.length - asked.shape[1]
    for segment in sequence.segments(start):
        if segment.is_text:
            rows = asked.index_select(1, segment.positions - start)
            keys = key[0, :, sample.tokens]
            mass = attention.dense_mass(rows, keys, segment, sequence, scale=scale)
            for recorder in recorders:
                recorder.dense_mass(call.session.run, layer, segment, mass)


@torch.no_grad()
def _record_dense_ffn(
    call: Call,
    recorders: list[Recorder],
    layer: int,
    passed: Tensor,
    norms: Tensor,
    weighed: Tensor,
) -> None:
    """With p = 1, and of text, every token passes; only a recorder wants to know the importance."""
    sample = call.session.rows[0][0].on(norms.device)
    part, at = sample.part.video_alone, norms[0, sample.new_tokens]
    weights = at.new_zeros(0)
    if len(part.video_positions):
        weights = ffn.importance(weighed[0, sample.new_tokens][part.video_positions], part.layout)
    everything = torch.ones_like(weights, dtype=torch.bool)
    moved = ffn.norms_of(passed[0, sample.new_tokens].detach()), at
    for recorder in recorders:
        recorder.ffn(call.session.run, layer, everything, weights, moved)
