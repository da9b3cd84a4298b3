"""The packed forward with AdaSpark on: batched and differentiable, by masks.

It computes every product and every FFN and masks what AdaSpark leaves out, so it shows what the
method answers and lets gradients pass through what was chosen; it saves no time. Choices come from
the functions that the product uses. Axes as in `plan.py`; P = X + V tokens of the prefix, G KV
heads, D head dimension, h hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from adaspark.attention import cube_probs, mean_keys
from adaspark.config import AdaSparkConfig
from adaspark.ffn import choose_tokens, importance
from adaspark.mini.decisions import Decisions, LayerDecisions
from adaspark.mini.forward import batch_positions, prefix_embeds
from adaspark.mini.plan import Chunk, Plan
from adaspark.selection import keep_cubes


@dataclass(frozen=True)
class LayerKeys:
    """What a layer's later rows read: keys and values [B, G, P, D], mean keys fp32 [B, G, C, D]."""

    keys: Tensor
    values: Tensor
    means: Tensor


@dataclass(frozen=True)
class SparseForward:
    """A model with a plan and a configuration, whose cube is not read: `plan` holds the cubes.

    With `oracle` the rule weighs cubes by the dense attention mass that they hold, which nobody
    knows without computing it. `decisions` hears every layer.
    """

    model: Any
    plan: Plan
    config: AdaSparkConfig
    oracle: bool = False
    decisions: Decisions | None = None

    def states(self, blocks: Tensor, features: Tensor) -> Tensor:
        """Last hidden states of the blocks' text: [B, R, h], as `packed_states` gives them dense.

        `blocks` int64 [B, Q, L], `features` [B, V, h].
        """
        return self.text(blocks, self.prefix(features))

    def prefix(self, features: Tensor) -> list[LayerKeys]:
        """Read template and video once; what each layer's text will read of them."""
        embeds = prefix_embeds(self.model, features, self.plan.shape)
        past: list[LayerKeys] = []
        self._layers(embeds, 0, past)
        return past

    def text(self, blocks: Tensor, past: list[LayerKeys]) -> Tensor:
        """Last hidden states [B, R, h] of blocks behind a prefix that was read."""
        table = self.model.model.language_model.embed_tokens
        return self._layers(table(blocks.flatten(1)), self.plan.shape.prefix_tokens, list(past))

    def _layers(self, hidden: Tensor, start: int, past: list[LayerKeys]) -> Tensor:
        """Rows from `start` on through all layers; a prefix adds its keys to `past`."""
        language = self.model.model.language_model
        end = start + hidden.shape[1]
        positions = batch_positions(self.plan.shape, len(hidden))[..., start:end]
        rotation = language.rotary_emb(hidden, positions)
        for index, layer in enumerate(language.layers):
            query, key, value = _project(layer.self_attn, layer.input_layernorm(hidden), rotation)
            if start == 0:
                means = mean_keys(key[:, :, self.plan.video], self.plan.layout)
                past.append(LayerKeys(key, value, means))
            else:
                key = torch.cat([past[index].keys, key], dim=2)
                value = torch.cat([past[index].values, value], dim=2)
            heard = self._heard(index, query)
            mixed = self._attend(query, key, value, past[index].means, start, heard)
            hidden = hidden + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
            branch = layer.mlp(layer.post_attention_layernorm(hidden))
            if heard is not None and heard.ffn_in is not None and heard.ffn_out is not None:
                heard.ffn_in[:, start:end] = hidden.float().norm(dim=-1)
                heard.ffn_out[:, start:end] = branch.float().norm(dim=-1)
            hidden = hidden + (branch if start else self._skip(hidden, branch, heard))
        states: Tensor = language.norm(hidden)
        return states

    def _heard(self, index: int, query: Tensor) -> LayerDecisions | None:
        if self.decisions is None:
            return None
        return self.decisions.layer(index, self.plan, *query.shape[:2])

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        means: Tensor,
        start: int,
        heard: LayerDecisions | None,
    ) -> Tensor:
        """AdaS-Attn of the rows from `start` on: [B, H, rows, D]."""
        clips, heads, count, _ = query.shape
        share = heads // key.shape[1]
        keys, values = key.repeat_interleave(share, 1), value.repeat_interleave(share, 1)
        parts = []
        for chunk in self.plan.chunks(clips, heads):
            if not start <= chunk.start < start + count:
                continue
            rows = query[:, :, chunk.start - start : chunk.end - start]
            seen = keys[:, :, : chunk.keys], values[:, :, : chunk.keys]
            with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
                probs, kept = self._choose(rows, means, seen[0], chunk)
                if heard is not None:
                    self._tell(heard, rows, seen[0], probs, kept, chunk)
            chosen = None if self.config.attention.keeps_all else kept
            parts.append(_mixed(rows, *seen, chosen, self.plan, chunk))
        return torch.cat(parts, dim=2)

    def _choose(
        self, rows: Tensor, means: Tensor, keys: Tensor, chunk: Chunk
    ) -> tuple[Tensor, Tensor]:
        """What a chunk's rows weigh and keep: fp32 and bool [B, H, n, C of the chunk]."""
        candidates = self.plan.candidates(chunk)
        if self.oracle:
            held = _cube_mass(rows, keys, self.plan, chunk, self.plan.visible(chunk)) * candidates
            probs = held / held.sum(-1, keepdim=True).clamp_min(torch.finfo(held.dtype).tiny)
        else:
            scale = rows.shape[-1] ** -0.5
            probs = cube_probs(rows, means[..., : chunk.cubes, :], candidates, scale=scale)
        places = self.plan.place_in_prompt[chunk.start : chunk.end]
        return probs, keep_cubes(probs, candidates, self.config.attention, positions=places)

    def _tell(
        self,
        heard: LayerDecisions,
        rows: Tensor,
        keys: Tensor,
        probs: Tensor,
        kept: Tensor,
        chunk: Chunk,
    ) -> None:
        """Write down a chunk's choices."""
        assert self.decisions is not None
        heard.pairs[:, chunk.start : chunk.end] = _pairs(kept, self.plan, chunk)
        places, local = self.decisions.places(chunk, rows.device)
        heard.kept[:, :, places, : chunk.cubes] = kept[:, :, local]
        heard.probs[:, :, places, : chunk.cubes] = probs[:, :, local]
        if heard.mass is not None:
            visible = self.plan.visible(chunk)[local]
            mass = _cube_mass(rows[:, :, local], keys, self.plan, chunk, visible)
            heard.mass[:, :, places, : chunk.cubes] = mass

    def _skip(self, hidden: Tensor, branch: Tensor, heard: LayerDecisions | None) -> Tensor:
        """The prefix's FFN output [B, P, h] with skipped tokens moved by their cube's mean."""
        layout, video = self.plan.layout, self.plan.video
        with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
            weights = importance(hidden[:, video].float().norm(dim=-1), layout)
            kept = choose_tokens(weights, layout, rule=self.config.ffn)
        if heard is not None:
            heard.ffn_kept = kept
        if self.config.ffn.keeps_all:
            return branch
        passed = branch[:, video].float() * kept[..., None]
        skipped = torch.zeros_like(passed)
        if self.config.ffn_skipped == "mean":
            sums = passed.new_zeros(len(passed), layout.cubes, passed.shape[-1])
            sums = sums.index_add(1, layout.cube_from_token, passed)
            counts = sums.new_zeros(len(kept), layout.cubes)
            counts = counts.index_add(1, layout.cube_from_token, kept.float())
            skipped = (sums / counts[..., None])[:, layout.cube_from_token]
        moved = torch.where(kept[..., None], passed, skipped).to(branch.dtype)
        return torch.cat([branch[:, : video.start], moved], dim=1)


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


def _cube_mass(rows: Tensor, keys: Tensor, plan: Plan, chunk: Chunk, visible: Tensor) -> Tensor:
    """Dense attention mass of each row on each cube: fp32 [B, H, n, C of the chunk]."""
    scores = rows.float() * rows.shape[-1] ** -0.5 @ keys[:, :, : chunk.keys].float().mT
    weights = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    sums: Tensor = weights.new_zeros(*weights.shape[:-1], chunk.cubes + 1)
    return sums.index_add(-1, plan.cube_from_key(chunk), weights)[..., : chunk.cubes]


def _mixed(
    rows: Tensor, keys: Tensor, values: Tensor, kept: Tensor | None, plan: Plan, chunk: Chunk
) -> Tensor:
    """Softmax attention over what a chunk's rows may read: [B, H, n, D]; None keeps all.

    For gradients the mask is made again in the backward pass: those of all layers would not fit.
    """
    if not torch.is_grad_enabled():
        return _mix(rows, keys, values, kept, plan, chunk)
    mixed: Tensor = checkpoint(
        _mix, rows, keys, values, kept, plan, chunk, use_reentrant=False, preserve_rng_state=False
    )
    return mixed


def _mix(
    rows: Tensor, keys: Tensor, values: Tensor, kept: Tensor | None, plan: Plan, chunk: Chunk
) -> Tensor:
    mask = plan.visible(chunk)
    if kept is not None:
        attended = F.pad(kept | plan.own(chunk), (0, 1), value=True)  # text is always read
        mask = attended[..., plan.cube_from_key(chunk)] & mask
    return F.scaled_dot_product_attention(rows, keys, values, attn_mask=mask)


def _pairs(kept: Tensor, plan: Plan, chunk: Chunk) -> Tensor:
    """Keys that each row reads, summed over heads: int64 [B, n]."""
    visible = plan.visible(chunk).float()
    in_cube = visible.new_zeros(len(visible), chunk.cubes + 1)
    in_cube = in_cube.index_add(1, plan.cube_from_key(chunk), visible)
    attended = F.pad(kept | plan.own(chunk), (0, 1), value=True).sum(1)
    return (attended * in_cube).sum(-1).long()
