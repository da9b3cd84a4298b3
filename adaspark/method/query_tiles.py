"""Attention by query tiles: gather the union of what a tile's rows want, mask what a row did not.

Best where neighbours agree, and for the few rows of text and decoding. Differentiable. Axes as in
`attention.py`, K gathered keys of a tile, share = H / G query heads of a KV head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaspark.method.segment import Segment
from adaspark.method.token_positions import TokenPositions

TILE_QUERIES = 64


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    attended: Tensor,
    segment: Segment,
    sequence: TokenPositions,
) -> Tensor:
    """Exact softmax attention of one segment over text and the attended cubes.

    `queries` [H, n, D] already scaled, `keys` and `values` [G, N, D] of the sequence, `attended`
    bool [H, n, C], the own cube included. Returns [H, n, D].
    """
    heads, count, width = queries.shape
    groups = keys.shape[0]
    share = heads // groups
    rows = queries.reshape(groups, share, count, width)
    tiled = attended.reshape(groups, share, count, -1)
    output = queries.new_empty(groups, share, count, width)
    for start in range(0, count, TILE_QUERIES):
        tile = slice(start, min(start + TILE_QUERIES, count))
        for group in range(groups):
            index, bias = _tile_keys(tiled[group, :, tile], tile, segment, sequence, rows.dtype)
            tile_rows = rows[group, :, tile].reshape(-1, width)
            scores = torch.addmm(bias, tile_rows, keys[group].index_select(0, index).T)
            mixed = scores.softmax(-1) @ values[group].index_select(0, index)
            output[group, :, tile] = mixed.reshape(share, -1, width)
    return output.reshape(heads, count, width)


def _tile_keys(
    tiled: Tensor, tile: slice, segment: Segment, sequence: TokenPositions, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Sequence positions of a tile's keys [K], and the additive mask [R, K] of its rows."""
    share, count, _ = tiled.shape
    cubes = tiled.flatten(0, 1).any(0).nonzero().flatten()
    tokens = sequence.layout.tokens_from_cube[cubes]  # [U, M], -1 pads ragged cubes
    allowed = tiled[..., cubes, None] & (tokens >= 0)
    if segment.is_partial:
        allowed = allowed & (tokens < segment.video_before[tile, None, None])
    text = torch.arange(segment.end_text, device=cubes.device)
    text_allowed = (text < segment.text_before[tile, None]).expand(share, count, -1)
    mask = torch.cat([text_allowed, allowed.reshape(share, count, -1)], -1).flatten(0, 1)
    bias = torch.zeros((), dtype=dtype, device=cubes.device).where(mask, -torch.inf)
    video = sequence.video_positions[tokens.clamp_min(0).flatten()]
    return torch.cat([sequence.text_positions[: segment.end_text], video]), bias


def executed_pairs(attended: Tensor, segment: Segment, groups: int) -> int:
    """(query, key) products that `attend` computes for one segment, over all heads."""
    heads, count, cubes = attended.shape
    full = segment.layout.tokens_from_cube.shape[1]
    by_group = attended.reshape(groups, heads // groups, count, cubes).any(1)
    pairs = 0
    for tile in torch.split(by_group, TILE_QUERIES, dim=1):
        keys = int(tile.any(1).sum()) * full + groups * segment.end_text
        pairs += heads // groups * tile.shape[1] * keys
    return pairs
