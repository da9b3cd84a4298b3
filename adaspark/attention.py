"""AdaS-Attn on tensors: choose cubes by their mean keys, attend exactly to what was chosen.

Source: the paper's cube-selective attention; where it is silent, design decisions of ours, listed
in the README. Axes: N keys, n queries, H query heads, G KV heads, R rows of a tile, C cubes
visible to a segment, M tokens of a full cube, D head dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adaspark.selection import masked_softmax, nucleus
from adaspark.sequence import Segment, SequenceMap

TILE_QUERIES = 64


@dataclass(frozen=True)
class Choice:
    """What one segment's queries chose: the decision, and what it was taken on.

    `probs` fp32 [H, n, C] sums to one over the segment's candidates; `kept` bool [H, n, C] is the
    nucleus, the own cube not included. `executed_pairs` counts the (query, key) products the
    backend computed, over all heads.
    """

    probs: Tensor
    kept: Tensor
    executed_pairs: int = 0


Observer = Callable[[Segment, Choice], None]


def cube_means(keys: Tensor, sequence: SequenceMap) -> Tensor:
    """Mean key of each cube, fp32 [G, C, D], from keys [G, N, D] after rotary embedding."""
    layout = sequence.layout
    video = keys.index_select(1, sequence.video_positions).float()
    sums = video.new_zeros(keys.shape[0], layout.cubes, keys.shape[2])
    sums = sums.index_add(1, layout.cube_from_token, video)
    return sums / layout.cube_sizes[:, None]


def choose(
    queries: Tensor, means: Tensor, segment: Segment, *, top_p: float, scale: float
) -> Choice:
    """The cubes that each query and head attends to, beside text and its own cube.

    `queries` [H, n, D] of the segment, `means` fp32 [G, C_all, D]. Scores, softmax and threshold
    are fp32 whatever the model's dtype.
    """
    heads, count, width = queries.shape
    means = means[:, : segment.end_cube]
    grouped = queries.float().reshape(means.shape[0], -1, width) * scale
    scores = (grouped @ means.transpose(1, 2)).reshape(heads, count, segment.end_cube)
    probs = masked_softmax(scores, segment.candidates)
    return Choice(probs, nucleus(probs, top_p, candidates=segment.candidates))


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    kept: Tensor,
    segment: Segment,
    sequence: SequenceMap,
    *,
    scale: float,
) -> tuple[Tensor, int]:
    """Exact softmax attention over visible text, the own cube and the kept cubes.

    `queries` [H, n, D] of the segment, `keys` and `values` [G, N, D] of the sequence, `kept` bool
    [H, n, C]. Returns [H, n, D] and the executed (query, key) pairs. Queries that lie together
    make a tile; the cubes that any of its rows wants are gathered once, so what no row of a tile
    wants is never read or multiplied.
    """
    heads, count, width = queries.shape
    groups = keys.shape[0]
    share = heads // groups
    attended = kept | segment.own_mask
    rows = (queries * scale).reshape(groups, share, count, width)
    wanted = attended.reshape(groups, share, count, -1)
    output = queries.new_empty(groups, share, count, width)
    executed = 0
    for start in range(0, count, TILE_QUERIES):
        tile = slice(start, min(start + TILE_QUERIES, count))
        for group in range(groups):
            cubes = wanted[group, :, tile].flatten(0, 1).any(0).nonzero().flatten()
            index, bias = _tile_keys(
                wanted[group, :, tile], cubes, tile, segment, sequence, rows.dtype
            )
            scores = torch.addmm(
                bias, rows[group, :, tile].reshape(-1, width), keys[group].index_select(0, index).T
            )
            mixed = scores.softmax(-1) @ values[group].index_select(0, index)
            output[group, :, tile] = mixed.reshape(share, -1, width)
            executed += scores.numel()
    return output.reshape(heads, count, width), executed


def _tile_keys(
    wanted: Tensor,
    cubes: Tensor,
    tile: slice,
    segment: Segment,
    sequence: SequenceMap,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Sequence positions of a tile's keys [K], and the additive mask [R, K] of its rows.

    `wanted` bool [share, r, C] of one KV group; `cubes` the union of what its rows want.
    """
    share, count, _ = wanted.shape
    tokens = sequence.layout.tokens_from_cube[cubes]  # [U, M], -1 pads ragged cubes
    allowed = wanted[..., cubes, None] & (tokens >= 0)
    if not segment.is_text:
        allowed = allowed & (tokens < segment.video_before[tile, None, None])
    text = torch.arange(segment.end_text, device=cubes.device)
    text_allowed = text < segment.text_before[tile, None]
    allowed = torch.cat(
        [text_allowed.expand(share, count, -1), allowed.reshape(share, count, -1)], -1
    ).reshape(share * count, -1)
    bias = torch.zeros((), dtype=dtype, device=cubes.device).where(allowed, -torch.inf)
    video = sequence.video_positions[tokens.clamp_min(0).flatten()]
    return torch.cat([sequence.text_positions[: segment.end_text], video]), bias


def decisions(
    queries: Tensor, sequence: SequenceMap, means: Tensor, *, top_p: float, scale: float
) -> Iterator[tuple[Segment, Tensor, Choice]]:
    """Each segment of the last queries [H, S, D], with its rows of `queries` and its choice."""
    start = sequence.length - queries.shape[1]
    for segment in sequence.segments(start):
        asked = queries.index_select(1, segment.positions - start)
        yield segment, asked, choose(asked, means, segment, top_p=top_p, scale=scale)


def sparse_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    sequence: SequenceMap,
    *,
    top_p: float,
    scale: float,
    means: Tensor | None = None,
    observe: Observer | None = None,
) -> Tensor:
    """AdaS-Attn for the last queries of a sequence: [H, S, D] in, [H, S, D] out.

    `keys` and `values` are [G, N, D] and end with the keys of the queries themselves. `means` may
    be given where they are known (decoding). `observe` hears each decision. Rows of padding are
    zero.
    """
    start = sequence.length - queries.shape[1]
    means = cube_means(keys, sequence) if means is None else means
    output = torch.zeros_like(queries)
    for segment, asked, choice in decisions(queries, sequence, means, top_p=top_p, scale=scale):
        mixed, executed = attend(asked, keys, values, choice.kept, segment, sequence, scale=scale)
        output[:, segment.positions - start] = mixed
        if observe is not None:
            observe(segment, replace(choice, executed_pairs=executed))
    return output
