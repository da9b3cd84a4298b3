"""Attention of a chunk's rows by masks: which cubes they weigh, what they read, how much of it.

Axes as for `PackedGeometry`; n rows of the chunk, C cubes that it may choose, D head dimension.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from adaspark.mini.packed.geometry import Chunk, PackedGeometry


def cube_mass(
    rows: Tensor, keys: Tensor, geometry: PackedGeometry, chunk: Chunk, visible: Tensor
) -> Tensor:
    """Dense attention mass of each row on each cube: fp32 [B, H, n, C of the chunk]."""
    scores = rows.float() * rows.shape[-1] ** -0.5 @ keys[:, :, : chunk.keys].float().mT
    weights = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    sums: Tensor = weights.new_zeros(*weights.shape[:-1], chunk.cubes + 1)
    return sums.index_add(-1, geometry.cube_from_key(chunk), weights)[..., : chunk.cubes]


def mixed_rows(
    rows: Tensor,
    keys: Tensor,
    values: Tensor,
    kept: Tensor | None,
    geometry: PackedGeometry,
    chunk: Chunk,
) -> Tensor:
    """Softmax attention over what a chunk's rows may read: [B, H, n, D]; None keeps all.

    For gradients the mask is made again in the backward pass: those of all layers would not fit.
    """
    if not torch.is_grad_enabled():
        return _mix(rows, keys, values, kept, geometry, chunk)
    mixed: Tensor = checkpoint(
        _mix,
        rows,
        keys,
        values,
        kept,
        geometry,
        chunk,
        use_reentrant=False,
        preserve_rng_state=False,
    )
    return mixed


def _mix(
    rows: Tensor,
    keys: Tensor,
    values: Tensor,
    kept: Tensor | None,
    geometry: PackedGeometry,
    chunk: Chunk,
) -> Tensor:
    mask = geometry.visible(chunk)
    if kept is not None:
        attended = F.pad(kept | geometry.own(chunk), (0, 1), value=True)  # text is always read
        cubes = geometry.cube_from_key(chunk).expand(*attended.shape[:-1], -1)
        # Added, because scaled_dot_product_attention turns truth values into summands, more slowly.
        mask = _summand(attended, rows.dtype).gather(-1, cubes) + _summand(mask, rows.dtype)
    return F.scaled_dot_product_attention(rows, keys, values, attn_mask=mask)


def _summand(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """0 if reading is allowed, minus infinity elsewhere."""
    return torch.where(allowed, 0.0, -torch.inf).to(dtype)


def read_pairs(kept: Tensor, geometry: PackedGeometry, chunk: Chunk) -> Tensor:
    """Keys that each row reads, summed over heads: int64 [B, n]."""
    visible = geometry.visible(chunk).float()
    in_cube = visible.new_zeros(len(visible), chunk.cubes + 1)
    in_cube = in_cube.index_add(1, geometry.cube_from_key(chunk), visible)
    attended = F.pad(kept | geometry.own(chunk), (0, 1), value=True).sum(1)
    return (attended * in_cube).sum(-1).long()
