"""The training forward: transformers' modules on equal clips, without their Python loops."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from adaspark.mini.packed.packing import Geometry
from adaspark.mini.training.model import IMAGE_MEAN, IMAGE_STD, MERGE, PATCH, TEMPORAL_PATCH

PACKED = "adaspark_mini_packed"


def patchify(pictures: Tensor) -> Tensor:
    """Normalised patches of uint8 or float (0 to 255) pictures [B, F, 3, H, W].

    Returns float32 [B, T, H/14 * W/14, 3 * 2 * 14 * 14] in transformers' order: patches of one
    merged token are neighbours.
    """
    batch, frames, _, height, width = pictures.shape
    mean = torch.tensor(IMAGE_MEAN, device=pictures.device).view(3, 1, 1)
    std = torch.tensor(IMAGE_STD, device=pictures.device).view(3, 1, 1)
    scaled = (pictures / 255 - mean) / std
    rows, columns = height // PATCH // MERGE, width // PATCH // MERGE
    cells = scaled.view(
        batch,
        frames // TEMPORAL_PATCH,
        TEMPORAL_PATCH,
        3,
        rows,
        MERGE,
        PATCH,
        columns,
        MERGE,
        PATCH,
    )
    cells = cells.permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9)
    return cells.reshape(batch, frames // TEMPORAL_PATCH, rows * columns * MERGE**2, -1)


def encode_clips(visual: Any, patches: Tensor, rows: int, columns: int) -> Tensor:
    """Vision features of equal clips: [B, T * rows * columns, out].

    `patches` is `patchify`'s result and `rows`, `columns` count merged tokens. Each slice is one
    item of a batch, because neither kind of vision layer looks past a slice.
    """
    batch, slices, count, _ = patches.shape
    weight = visual.patch_embed.proj.weight.flatten(1)
    hidden = F.linear(patches.flatten(0, 1), weight)
    same_window = _same_window(rows, columns, visual.window_size // PATCH, patches.device)
    place = _patch_places(rows, columns).to(patches.device)
    angles = (place[..., None].float() * visual.rotary_pos_emb.inv_freq.float()).flatten(1)
    angles = torch.cat([angles, angles], dim=-1)
    rotation = angles.cos()[None, None], angles.sin()[None, None]
    for index, block in enumerate(visual.blocks):
        mask = None if index in visual.fullatt_block_indexes else same_window
        hidden = hidden + _vision_attention(block.attn, block.norm1(hidden), rotation, mask)
        hidden = hidden + block.mlp(block.norm2(hidden))
    merged: Tensor = visual.merger(hidden.reshape(-1, hidden.shape[-1]))
    return merged.view(batch, slices * count // MERGE**2, -1)


def _patch_places(rows: int, columns: int) -> Tensor:
    """Row and column of each patch in merged order: int64 [P, 2]."""
    grid = torch.meshgrid(torch.arange(rows * MERGE), torch.arange(columns * MERGE), indexing="ij")
    cells = torch.stack(grid, dim=-1).view(rows, MERGE, columns, MERGE, 2)
    return cells.permute(0, 2, 1, 3, 4).reshape(-1, 2)


def _same_window(rows: int, columns: int, side: int, device: torch.device) -> Tensor | None:
    """Which patches share a window of `side` patches: bool [P, P]; None if all do."""
    window = _patch_places(rows, columns) // side
    same = (window[:, None] == window[None]).all(dim=-1)
    return None if bool(same.all()) else same.to(device)


def _vision_attention(
    module: Any, hidden: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None
) -> Tensor:
    batch, count, _ = hidden.shape
    parts = module.qkv(hidden).view(batch, count, 3, module.num_heads, -1).permute(2, 0, 3, 1, 4)
    query, key, value = parts.unbind(0)
    query, key = _rotate(query, rotation), _rotate(key, rotation)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    projected: Tensor = module.proj(out.transpose(1, 2).reshape(batch, count, -1))
    return projected


def _rotate(states: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    one, two = states.float().chunk(2, dim=-1)
    turned = torch.cat([-two, one], dim=-1)
    return (states.float() * rotation[0] + turned * rotation[1]).to(states.dtype)


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention over a causal prefix and blocks of text that cannot see each other.

    `query` is [B, H, N, D], `key` and `value` [B, G, N, D]; `attention_mask` is the geometry's
    bool [R, N] for the last R tokens. Returns [B, N, H, D].
    """
    groups = module.num_key_value_groups
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    prefix = query.shape[2] - attention_mask.shape[0]
    before = F.scaled_dot_product_attention(
        query[:, :, :prefix],
        key[:, :, :prefix],
        value[:, :, :prefix],
        is_causal=True,
        scale=scaling,
    )
    after = F.scaled_dot_product_attention(
        query[:, :, prefix:], key, value, attn_mask=attention_mask, scale=scaling
    )
    return torch.cat([before, after], dim=2).transpose(1, 2), None


def use_packed_attention(model: Any) -> None:
    """Let the language half of `model` attend by `packed_attention`."""
    from transformers import AttentionInterface

    AttentionInterface.register(PACKED, packed_attention)
    model.model.language_model.config._attn_implementation = PACKED


def packed_states(model: Any, blocks: Tensor, features: Tensor, shape: Geometry) -> Tensor:
    """Last hidden states of packed sequences: [B, blocks x block tokens, hidden], text only.

    `blocks` int64 [B, Q, L], `features` [B, V, hidden].
    """
    start = prefix_embeds(model, features, shape)
    text = model.model.language_model.embed_tokens(blocks.flatten(1))
    out = model.model.language_model(
        inputs_embeds=torch.cat([start, text], dim=1),
        position_ids=batch_positions(shape, len(blocks)),
        attention_mask={"full_attention": shape.text_mask},
        use_cache=False,
    )
    states: Tensor = out.last_hidden_state
    return states[:, shape.prefix_tokens :]


def prefix_embeds(model: Any, features: Tensor, shape: Geometry) -> Tensor:
    """Input embeddings of template and video, before the blocks: [B, P, hidden]."""
    before = shape.prefix[: shape.prefix_tokens - features.shape[1]]
    start = model.model.language_model.embed_tokens(before).expand(len(features), -1, -1)
    return torch.cat([start, features.to(start.dtype)], dim=1)


def batch_positions(shape: Geometry, clips: int) -> Tensor:
    """Positions of all clips: [3, B, N]."""
    given = shape.positions
    return given if given.ndim == 3 else given[:, None].expand(3, clips, -1)
