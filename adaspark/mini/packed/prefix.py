"""The packed prefix by the product's own attention: what is dropped is not computed.

On a CPU the masks over every product take most of an evaluation's time; the compiled kernels need
none. The result is as exact as with masks, without gradients. Axes as for `PackedGeometry`; D is
the head dimension.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from adaspark.kernels.backend import sparse_attention
from adaspark.method.attention import Choice
from adaspark.method.rules import Rule
from adaspark.method.segment import Segment
from adaspark.mini.packed.geometry import PackedGeometry


def attend_prefix(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    means: Tensor,
    geometry: PackedGeometry,
    *,
    rule: Rule,
    pairs: Tensor | None = None,
) -> Tensor:
    """AdaS-Attn of template and video, [B, H, P, D], from `key` and `value` [B, G, P, D].

    `means` fp32 [B, G, C, D]. Into `pairs` int64 [B, N], if given, goes how many keys each row
    read, summed over heads.
    """
    heads, rows = query.shape[1:3]
    if torch.is_autocast_enabled(query.device.type):  # as scaled_dot_product_attention does
        dtype = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    if rule.keeps_all:
        if pairs is not None:
            pairs[:, :rows] = heads * geometry.visible_of_row[:rows]
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    mixed = []
    for clip in range(len(query)):

        def observe(segment: Segment, choice: Choice, clip: int = clip) -> None:
            assert pairs is not None
            attending = segment.heads_attending(choice.kept)
            pairs[clip, segment.positions] = segment.computed_pairs(attending, heads)

        with torch.autocast(query.device.type, enabled=False):
            done = sparse_attention(
                query[clip],
                key[clip],
                value[clip],
                geometry.prefix_sequence,
                rule=rule,
                scale=query.shape[-1] ** -0.5,
                means=means[clip],
                observe=None if pairs is None else observe,
            )
        mixed.append(done)
    return torch.stack(mixed)
