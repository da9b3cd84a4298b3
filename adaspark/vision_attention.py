"""Qwen2.5-VL's vision windows attended in batches instead of one by one.

Without flash-attn, transformers calls its attention once for each window in a Python loop: a clip
of 64 frames has hundreds. Windows of one length are one batch here. Source: ours; same results.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_MARK = "BatchedWindows"


def use_batched_windows(model: Any) -> int:
    """Attend all windows of one length at once, in every vision layer of `model`.

    Only the class of the live attention modules changes; parameters and their names stay. Returns
    how many modules were changed: 0 where it was done before or there is no vision tower.
    """
    changed = 0
    for module in _vision_attentions(model):
        if not type(module).__name__.startswith(_MARK):
            module.__class__ = _batched(type(module))
            changed += 1
    return changed


def use_stock_windows(model: Any) -> int:
    """Undo `use_batched_windows`; returns how many modules were changed back."""
    changed = 0
    for module in _vision_attentions(model):
        if type(module).__name__.startswith(_MARK):
            module.__class__ = type(module).__bases__[0]
            changed += 1
    return changed


def _vision_attentions(model: Any) -> list[Any]:
    inner = getattr(model, "model", model)
    return [block.attn for block in getattr(getattr(inner, "visual", None), "blocks", [])]


def _batched(stock: type) -> type:
    return type(_MARK + stock.__name__, (stock,), {"forward": _forward})


def _forward(
    self: Any,
    hidden_states: Tensor,
    cu_seqlens: Tensor,
    position_embeddings: tuple[Tensor, Tensor],
    **_: Any,
) -> Tensor:
    """The stock forward of [S, hidden]; windows are the runs between `cu_seqlens`."""
    count = hidden_states.shape[0]
    parts = self.qkv(hidden_states).view(count, 3, self.num_heads, -1)
    query, key, value = parts.unbind(1)
    cos, sin = (part.unsqueeze(1).float() for part in position_embeddings)
    query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)
    mixed = window_attention(query, key, value, cu_seqlens, scaling=self.scaling)
    projected: Tensor = self.proj(mixed.reshape(count, -1))
    return projected


def window_attention(
    query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor, *, scaling: float
) -> Tensor:
    """Full attention within each window: [S, H, D] from three of [S, H, D].

    `cu_seqlens` holds the windows' borders, 0 and S included; windows may differ in length.
    """
    starts, lengths = cu_seqlens[:-1].long(), cu_seqlens.diff().long()
    sizes = sorted(set(lengths.tolist()))
    if len(sizes) == 1:
        windows = (len(lengths), sizes[0], *query.shape[1:])
        batched = _attend(query.view(windows), key.view(windows), value.reshape(windows), scaling)
        return batched.reshape(query.shape)
    out = torch.empty_like(query)
    for size in sizes:
        rows = starts[lengths == size, None] + torch.arange(size, device=starts.device)
        out[rows] = _attend(query[rows], key[rows], value[rows], scaling)
    return out


def _attend(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Attention of [W, L, H, D]: windows are the batch."""
    query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    return F.scaled_dot_product_attention(query, key, value, scale=scaling).transpose(1, 2)


def _rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    wide = states.float()
    one, two = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat([-two, one], dim=-1) * sin).to(states.dtype)
