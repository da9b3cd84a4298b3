"""The packed forward with AdaSpark on: batched and differentiable, by masks.

It computes every product and every FFN and masks what AdaSpark drops, so it gives the method's
answers and lets gradients pass through what was chosen. Choices come from the product's own
functions. It saves time only for a prefix on a CPU without gradients. Axes as for `PackedGeometry`;
P = X + V tokens of the prefix, G KV heads, D head dimension, h hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from adaspark.method.attention import cube_probs, mean_keys
from adaspark.method.config import AdaSparkConfig
from adaspark.method.ffn import choose_tokens, importance
from adaspark.method.rules import Rule
from adaspark.method.selection import keep_cubes
from adaspark.mini.packed.decisions import Decisions, LayerDecisions
from adaspark.mini.packed.dense_forward import batch_positions, prefix_embeds
from adaspark.mini.packed.geometry import Chunk, PackedGeometry
from adaspark.mini.packed.masks import cube_mass, mixed_rows, read_pairs
from adaspark.mini.packed.prefix import attend_prefix

BY_CALL = "adaspark_mini_sparse"


@dataclass(frozen=True, eq=False)
class LayerKeys:
    """What a layer's later rows read: keys and values [B, G, P, D], mean keys fp32 [B, G, C, D]."""

    keys: Tensor
    values: Tensor
    means: Tensor


@dataclass(frozen=True)
class SparseForward:
    """A model with a geometry and a configuration; the cubes are those of `geometry`, not of
    `config`.

    With `oracle` the rule weighs cubes by their dense attention mass, which only dense attention
    can compute. `decisions` records every layer.
    """

    model: Any
    geometry: PackedGeometry
    config: AdaSparkConfig
    oracle: bool = False
    decisions: Decisions | None = None

    def __post_init__(self) -> None:
        self.config.check_layers(len(self.model.model.language_model.layers))

    def states(self, blocks: Tensor, features: Tensor) -> Tensor:
        """Last hidden states of the blocks' text: [B, R, h], as `packed_states` gives them dense.

        `blocks` int64 [B, Q, L], `features` [B, V, h].
        """
        return self.text(blocks, self.prefix(features))

    def prefix(self, features: Tensor) -> list[LayerKeys]:
        """Read template and video once; returns the keys and values that each layer's text will
        read.
        """
        embeds = prefix_embeds(self.model, features, self.geometry.shape)
        past: list[LayerKeys] = []
        self._layers(embeds, 0, past)
        return past

    def text(self, blocks: Tensor, past: list[LayerKeys]) -> Tensor:
        """Last hidden states [B, R, h] of blocks behind a prefix that was read."""
        table = self.model.model.language_model.embed_tokens
        return self._layers(table(blocks.flatten(1)), self.geometry.shape.prefix_tokens, list(past))

    def _layers(self, hidden: Tensor, start: int, past: list[LayerKeys]) -> Tensor:
        """Rows from `start` on through all layers; a prefix adds its keys to `past`."""
        language = self.model.model.language_model
        end = start + hidden.shape[1]
        positions = batch_positions(self.geometry.shape, len(hidden))[..., start:end]
        rotation = language.rotary_emb(hidden, positions)
        with _attention_by_call(language.config):
            for layer in language.layers:
                mixed, _ = layer.self_attn(
                    hidden_states=layer.input_layernorm(hidden),
                    attention_mask=partial(self._attend, start=start, past=past),
                    position_embeddings=rotation,
                )
                hidden = hidden + mixed
                normed = layer.post_attention_layernorm(hidden)
                weighed = hidden if self.config.ffn_importance == "residual" else normed
                branch = self._skip(
                    layer.self_attn.layer_idx, hidden, weighed, layer.mlp(normed), start
                )
                hidden = hidden + branch
        states: Tensor = language.norm(hidden)
        return states

    def _attend(
        self,
        index: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        start: int,
        past: list[LayerKeys],
    ) -> Tensor:
        """AdaS-Attn of layer `index` for the rows from `start` on: [B, H, rows, D].

        `query` [B, H, rows, D], `key` and `value` [B, G, rows, D] after rotary embedding.
        """
        clips, heads, count, _ = query.shape
        if start == 0:
            means = mean_keys(key[:, :, self.geometry.video], self.geometry.layout)
            past.append(LayerKeys(key, value, means))
        else:
            key = torch.cat([past[index].keys, key], dim=2)
            value = torch.cat([past[index].values, value], dim=2)
        means, recorded = past[index].means, None
        rule = self.config.attention_in(index).of_rows(is_text=start > 0)
        if self.decisions is not None:
            recorded = self.decisions.layer(index, self.geometry, clips, heads)
        share = heads // key.shape[1]
        keys, values = key.repeat_interleave(share, 1), value.repeat_interleave(share, 1)
        if start == 0 and _needs_no_masks(query) and not self.oracle:
            pairs = None if recorded is None else recorded.pairs
            if recorded is not None:
                self._record_rows(recorded, query, means, keys, rule)
            return attend_prefix(query, key, value, means, self.geometry, rule=rule, pairs=pairs)
        parts = []
        for chunk in self.geometry.chunks(clips, heads):
            if not start <= chunk.start < start + count:
                continue
            rows = query[:, :, chunk.start - start : chunk.end - start]
            seen = keys[:, :, : chunk.keys], values[:, :, : chunk.keys]
            with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
                probs, kept = self._choose(rows, means, seen[0], chunk, rule)
                if recorded is not None:
                    self._record(recorded, rows, seen[0], probs, kept, chunk)
            chosen = None if rule.keeps_all else kept
            parts.append(mixed_rows(rows, *seen, chosen, self.geometry, chunk))
        return torch.cat(parts, dim=2)

    def _choose(
        self, rows: Tensor, means: Tensor, keys: Tensor, chunk: Chunk, rule: Rule
    ) -> tuple[Tensor, Tensor]:
        """What a chunk's rows weigh and keep: fp32 and bool [B, H, n, C of the chunk]."""
        candidates = self.geometry.candidates(chunk)
        if self.oracle:
            visible = self.geometry.visible(chunk)
            held = cube_mass(rows, keys, self.geometry, chunk, visible) * candidates
            probs = held / held.sum(-1, keepdim=True).clamp_min(torch.finfo(held.dtype).tiny)
        else:
            scale = rows.shape[-1] ** -0.5
            probs = cube_probs(rows, means[..., : chunk.cubes, :], candidates, scale=scale)
        places = self.geometry.place_in_prompt[chunk.start : chunk.end]
        return probs, keep_cubes(probs, candidates, rule, positions=places)

    def _record_rows(
        self, recorded: LayerDecisions, query: Tensor, means: Tensor, keys: Tensor, rule: Rule
    ) -> None:
        """Choose again for the recorded rows of a prefix, which are few, and write that down."""
        assert self.decisions is not None and self.decisions.rows is not None
        for row in self.decisions.rows:
            if row < query.shape[2]:
                chunk, asked = self.geometry.chunk(row, row + 1), query[:, :, row : row + 1]
                seen = keys[:, :, : chunk.keys]
                probs, kept = self._choose(asked, means, seen, chunk, rule)
                self._record(recorded, asked, seen, probs, kept, chunk)

    def _record(
        self,
        recorded: LayerDecisions,
        rows: Tensor,
        keys: Tensor,
        probs: Tensor,
        kept: Tensor,
        chunk: Chunk,
    ) -> None:
        """Write down a chunk's choices."""
        assert self.decisions is not None
        recorded.pairs[:, chunk.start : chunk.end] = read_pairs(kept, self.geometry, chunk)
        places, local = self.decisions.places(chunk, rows.device)
        recorded.kept[:, :, places, : chunk.cubes] = kept[:, :, local]
        recorded.probs[:, :, places, : chunk.cubes] = probs[:, :, local]
        if recorded.mass is not None:
            visible = self.geometry.visible(chunk)[local]
            mass = cube_mass(rows[:, :, local], keys, self.geometry, chunk, visible)
            recorded.mass[:, :, places, : chunk.cubes] = mass

    def _skip(
        self, index: int, hidden: Tensor, weighed: Tensor, branch: Tensor, start: int
    ) -> Tensor:
        """The FFN's output [B, rows, h], skipped video tokens moved by their cube's mean; the norms
        of `weighed` [B, rows, h] choose them.
        """
        layout, video, end = self.geometry.layout, self.geometry.video, start + hidden.shape[1]
        recorded = None if self.decisions is None else self.decisions.layers[index]
        if recorded is not None and recorded.ffn_in is not None and recorded.ffn_out is not None:
            recorded.ffn_in[:, start:end] = hidden.float().norm(dim=-1)
            recorded.ffn_out[:, start:end] = branch.float().norm(dim=-1)
        if start:
            return branch  # text always passes
        rule = self.config.ffn_in(index)
        with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
            weights = importance(weighed[:, video].float().norm(dim=-1), layout)
            kept = choose_tokens(weights, layout, rule=rule)
        if recorded is not None:
            recorded.ffn_kept = kept
        if rule.keeps_all:
            return branch
        values = branch[:, video].float()
        skipped = torch.zeros_like(values)
        if self.config.ffn_skipped == "mean":
            skipped = layout.kept_means(values, kept)[:, layout.cube_from_token]
        moved = torch.where(kept[..., None], values, skipped).to(branch.dtype)
        return torch.cat([branch[:, : video.start], moved], dim=1)


def _needs_no_masks(query: Tensor) -> bool:
    """Whether the product's kernels are the faster way: on a CPU, without gradients."""
    return query.device.type == "cpu" and not torch.is_grad_enabled()


@contextmanager
def _attention_by_call(config: Any) -> Iterator[None]:
    """Inside, an attention module calls what it is given as its mask."""
    from transformers import AttentionInterface

    AttentionInterface.register(BY_CALL, _call)
    usual, config._attn_implementation = config._attn_implementation, BY_CALL
    try:
        yield
    finally:
        config._attn_implementation = usual


def _call(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **_: Any
) -> tuple[Tensor, None]:
    return attention_mask(module.layer_idx, query, key, value).transpose(1, 2), None
