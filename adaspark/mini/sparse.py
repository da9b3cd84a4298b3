"""The packed forward with AdaSpark on: batched and differentiable, by masks.

It computes every product and every FFN and masks what AdaSpark leaves out, so it shows what the
method answers and lets gradients pass through what was chosen; it saves no time. Choices come from
the functions that the product uses. Axes as in `plan.py`; G KV heads, D head dimension, h hidden.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from adaspark.attention import cube_probs, mean_keys
from adaspark.config import AdaSparkConfig
from adaspark.ffn import choose_tokens, importance
from adaspark.mini.decisions import Decisions, LayerDecisions
from adaspark.mini.forward import packed_embeds
from adaspark.mini.plan import Chunk, Plan
from adaspark.selection import keep_cubes


def sparse_states(
    model: Any,
    blocks: Tensor,
    features: Tensor,
    plan: Plan,
    config: AdaSparkConfig,
    *,
    oracle: bool = False,
    decisions: Decisions | None = None,
) -> Tensor:
    """Last hidden states of the blocks' text: [B, R, h], as `packed_states` gives them dense.

    `blocks` int64 [B, Q, L], `features` [B, V, h]; the configuration's cube is not read, for
    `plan` holds the cubes. With `oracle` the rule weighs cubes by the dense attention mass that
    they hold, which nobody knows without computing it. `decisions` hears every layer.
    """
    language = model.model.language_model
    hidden, positions = packed_embeds(model, blocks, features, plan.shape)
    rotation = language.rotary_emb(hidden, positions)
    for layer in language.layers:
        query, key, value = _project(layer.self_attn, layer.input_layernorm(hidden), rotation)
        heard = decisions.begin(plan, len(blocks), query.shape[1]) if decisions else None
        mixed = _attend(query, key, value, plan, config, oracle, decisions)
        hidden = hidden + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
        branch = layer.mlp(layer.post_attention_layernorm(hidden))
        if heard is not None and decisions is not None and decisions.norms:
            heard.ffn_in, heard.ffn_out = hidden.float().norm(dim=-1), branch.float().norm(dim=-1)
        hidden = hidden + _sparse_branch(hidden, branch, plan, config, heard)
    states: Tensor = language.norm(hidden)[:, plan.shape.prefix_tokens :]
    return states


def _project(
    module: Any, hidden: Tensor, rotation: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Rotated queries [B, H, N, D] and keys, and values, [B, G, N, D]."""
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

    shape = (*hidden.shape[:2], -1, module.head_dim)
    query, key, value = (
        project(hidden).view(shape).transpose(1, 2)
        for project in (module.q_proj, module.k_proj, module.v_proj)
    )
    query, key = apply_rotary_pos_emb(query, key, *rotation)
    return query, key, value


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    plan: Plan,
    config: AdaSparkConfig,
    oracle: bool,
    decisions: Decisions | None,
) -> Tensor:
    """AdaS-Attn of all rows: [B, H, N, D]."""
    clips, heads = query.shape[:2]
    means = mean_keys(key[:, :, plan.video], plan.layout)
    share = heads // key.shape[1]
    keys, values = key.repeat_interleave(share, 1), value.repeat_interleave(share, 1)
    parts = []
    for chunk in plan.chunks(clips, heads):
        rows = query[:, :, chunk.start : chunk.end]
        with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
            probs, kept = _choose(rows, means, keys, plan, chunk, config, oracle)
            if decisions is not None:
                _tell(decisions, rows, keys, probs, kept, plan, chunk)
        # The masks are made again in the backward pass: kept for all layers they would not fit.
        seen = keys[:, :, : chunk.keys], values[:, :, : chunk.keys]
        if torch.is_grad_enabled():
            parts.append(checkpoint(_mix, rows, *seen, kept, plan, chunk, use_reentrant=False))
        else:
            parts.append(_mix(rows, *seen, kept, plan, chunk))
    return torch.cat(parts, dim=2)


def _choose(
    rows: Tensor,
    means: Tensor,
    keys: Tensor,
    plan: Plan,
    chunk: Chunk,
    config: AdaSparkConfig,
    oracle: bool,
) -> tuple[Tensor, Tensor]:
    """What a chunk's rows weigh and keep: fp32 and bool [B, H, n, C of the chunk]."""
    candidates = plan.candidates(chunk)
    if oracle:
        held = _cube_mass(rows, keys, plan, chunk, plan.visible(chunk)) * candidates
        probs = held / held.sum(-1, keepdim=True).clamp_min(torch.finfo(held.dtype).tiny)
    else:
        scale = rows.shape[-1] ** -0.5
        probs = cube_probs(rows, means[..., : chunk.cubes, :], candidates, scale=scale)
    places = plan.place_in_prompt[chunk.start : chunk.end]
    return probs, keep_cubes(probs, candidates, config.attention, positions=places)


def _cube_mass(rows: Tensor, keys: Tensor, plan: Plan, chunk: Chunk, visible: Tensor) -> Tensor:
    """Dense attention mass of each row on each cube: fp32 [B, H, n, C of the chunk]."""
    scores = rows.float() * rows.shape[-1] ** -0.5 @ keys[:, :, : chunk.keys].float().mT
    weights = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    sums: Tensor = weights.new_zeros(*weights.shape[:-1], chunk.cubes + 1)
    return sums.index_add(-1, plan.cube_from_key(chunk), weights)[..., : chunk.cubes]


def _mix(
    rows: Tensor, keys: Tensor, values: Tensor, kept: Tensor, plan: Plan, chunk: Chunk
) -> Tensor:
    """Softmax attention over what a chunk's rows may read: [B, H, n, D]."""
    return F.scaled_dot_product_attention(
        rows, keys, values, attn_mask=_token_mask(kept, plan, chunk)
    )


def _token_mask(kept: Tensor, plan: Plan, chunk: Chunk) -> Tensor:
    """bool [B, H, n, e]: text, the own cube and the kept ones, as far as order allows."""
    attended = F.pad(kept | plan.own(chunk), (0, 1), value=True)
    return attended[..., plan.cube_from_key(chunk)] & plan.visible(chunk)


def _tell(
    decisions: Decisions,
    rows: Tensor,
    keys: Tensor,
    probs: Tensor,
    kept: Tensor,
    plan: Plan,
    chunk: Chunk,
) -> None:
    """Write a chunk's choices into the layer at work."""
    into = decisions.layers[-1]
    mask = _token_mask(kept, plan, chunk)
    into.pairs[:, chunk.start : chunk.end] = mask.sum(-1).sum(1)
    places, local = decisions.places(chunk, rows.device)
    into.kept[:, :, places, : chunk.cubes] = kept[:, :, local]
    into.probs[:, :, places, : chunk.cubes] = probs[:, :, local]
    if into.mass is not None:
        visible = plan.visible(chunk)[local]
        mass = _cube_mass(rows[:, :, local], keys, plan, chunk, visible)
        into.mass[:, :, places, : chunk.cubes] = mass


def _sparse_branch(
    hidden: Tensor,
    branch: Tensor,
    plan: Plan,
    config: AdaSparkConfig,
    heard: LayerDecisions | None,
) -> Tensor:
    """The FFN's output [B, N, h] with skipped video tokens moved by their cube's mean."""
    layout, video = plan.layout, plan.video
    with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
        weights = importance(hidden[:, video].float().norm(dim=-1), layout)
        kept = choose_tokens(weights, layout, rule=config.ffn)
    if heard is not None:
        heard.ffn_kept = kept
    if config.ffn.keeps_all:
        return branch
    passed = branch[:, video].float() * kept[..., None]
    skipped = torch.zeros_like(passed)
    if config.ffn_skipped == "mean":
        sums = passed.new_zeros(len(passed), layout.cubes, passed.shape[-1])
        sums = sums.index_add(1, layout.cube_from_token, passed)
        counts = kept.new_zeros(len(kept), layout.cubes, dtype=torch.float32)
        counts = counts.index_add(1, layout.cube_from_token, kept.float())
        skipped = (sums / counts[..., None])[:, layout.cube_from_token]
    moved = torch.where(kept[..., None], passed, skipped).to(branch.dtype)
    return torch.cat([branch[:, : video.start], moved, branch[:, video.stop :]], dim=1)
