"""AdaS-Attn on tensors: choose cubes by their mean keys, attend exactly to what was chosen.

Source: the paper's cube-selective attention; where it is silent, design decisions of ours, listed
in the README. Axes: N keys, n queries, H query heads, G KV heads, R rows of a tile, C cubes
visible to a segment, M tokens of a full cube, D head dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adaspark.method import query_tiles, threads
from adaspark.method.layout import CubeLayout, mean_by_cube
from adaspark.method.rules import Rule
from adaspark.method.segment import Segment
from adaspark.method.selection import keep_cubes, masked_softmax
from adaspark.method.sequence import SequenceMap

WAVE = 32
"""Segments decided together: bounds the tables that are alive at one time."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What one segment's queries chose: the decision, and what it was taken on.

    `probs` fp32 [H, n, C] sums to one over the segment's candidates; `kept` bool [H, n, C] is the
    nucleus, the own cube not included. `executed_pairs` counts the (query, key) products the
    backend computed, over all heads. `entropy` fp32 [H, n] is that of `probs` in nats, where the
    backend knows it already.
    """

    probs: Tensor
    kept: Tensor
    executed_pairs: int = 0
    entropy: Tensor | None = None


Observer = Callable[[Segment, Choice], None]


def cube_means(keys: Tensor, sequence: SequenceMap) -> Tensor:
    """Mean key of each cube, fp32 [G, C, D], from keys [G, N, D] after rotary embedding."""
    video = keys.detach().index_select(1, sequence.video_positions)
    return mean_keys(video, sequence.layout)


def mean_keys(video: Tensor, layout: CubeLayout) -> Tensor:
    """Mean of each cube's keys, fp32 [..., C, D], from the video's keys [..., V, D].

    The means only choose: no gradient passes through them.
    """
    return mean_by_cube(video.detach(), layout.cube_from_token, layout.cube_sizes)


def choose(queries: Tensor, means: Tensor, segment: Segment, *, rule: Rule, scale: float) -> Choice:
    """The cubes that each query and head attends to, beside text and its own cube.

    `queries` [H, n, D] of the segment, `means` fp32 [G, C_all, D]. Scores, softmax and threshold
    are fp32 whatever the model's dtype; no gradient passes, for a choice has none.
    """
    candidates = segment.candidates
    probs = cube_probs(queries, means[:, : segment.end_cube], candidates, scale=scale)
    rule = rule.of_rows(segment.is_text)
    kept = keep_cubes(probs, candidates, rule, positions=segment.positions)
    return Choice(probs, kept)


def cube_probs(queries: Tensor, means: Tensor, candidates: Tensor, *, scale: float) -> Tensor:
    """Probabilities over the candidate cubes, fp32 [..., H, n, C].

    `queries` [..., H, n, D], `means` fp32 [..., G, C, D], `candidates` bool [n, C].
    """
    *batch, groups, cubes, width = means.shape
    grouped = queries.detach().float().reshape(*batch, groups, -1, width) * scale
    scores = grouped @ means.transpose(-1, -2)
    return masked_softmax(scores.reshape(*queries.shape[:-1], cubes), candidates)


DENSE_SCORES = 2**25
"""Bounds the (head, query, key) scores of dense attention that are alive at one time."""


def dense_mass(
    queries: Tensor, keys: Tensor, segment: Segment, sequence: SequenceMap, *, scale: float
) -> Tensor:
    """The share of dense attention to the video that lies on each cube, fp32 [H, n, C], of a
    segment of text: by its true keys, not by their means. It sums to one.

    `queries` [H, n, D] of the segment, `keys` [G, N, D] of the sequence.
    """
    before = int(segment.video_before[0]) if len(segment.video_before) else 0
    heads, count, width = queries.shape
    found = queries.new_zeros(heads, count, segment.end_cube, dtype=torch.float32)
    if not before:
        return found
    seen = keys.detach().index_select(1, sequence.video_positions[:before]).float()
    cubes = sequence.layout.cube_from_token[:before]
    at_once = max(1, DENSE_SCORES // (heads * before))
    for first in range(0, count, at_once):
        part = queries[:, first : first + at_once].detach().float() * scale
        scores = part.reshape(len(seen), -1, width) @ seen.mT
        mass = scores.softmax(-1).reshape(heads, -1, before)
        found[:, first : first + at_once].index_add_(-1, cubes, mass)
    return found


def decide(
    queries: Tensor, segment: Segment, means: Tensor, start: int, *, rule: Rule, scale: float
) -> tuple[Tensor, Choice]:
    """A segment's rows of `queries` [H, S, D], whose first stands at `start`, and its choice."""
    asked = queries.index_select(1, segment.positions - start)
    return asked, choose(asked, means, segment, rule=rule, scale=scale)


def by_tiles(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    sequence: SequenceMap,
    *,
    rule: Rule,
    scale: float,
    means: Tensor | None = None,
    observe: Observer | None = None,
) -> Tensor:
    """AdaS-Attn by PyTorch's operators alone: any device, any dtype, differentiable.

    Queries [H, S, D], the last of a sequence, to [H, S, D]. `keys` and `values` are [G, N, D] and
    end with the keys of the queries themselves. `means` may be given where they are known
    (decoding). `observe` hears each decision. Rows of padding are zero.
    """
    start = sequence.length - queries.shape[1]
    known = cube_means(keys, sequence) if means is None else means
    queries = queries.contiguous()  # rotary embedding leaves heads innermost: rows gather slowly

    def work(segment: Segment) -> tuple[Segment, Choice, Tensor]:
        asked, choice = decide(queries, segment, known, start, rule=rule, scale=scale)
        attended = choice.kept | segment.own_mask
        executed = query_tiles.executed_pairs(attended, segment, keys.shape[0]) if observe else 0
        mixed = query_tiles.attend(asked * scale, keys, values, attended, segment, sequence)
        return segment, replace(choice, executed_pairs=executed), mixed

    output = torch.zeros_like(queries)
    segments = sequence.segments(start)
    for first in range(0, len(segments), WAVE):
        for segment, choice, mixed in threads.run(
            work, segments[first : first + WAVE], queries.device
        ):
            if observe is not None:
                observe(segment, choice)
            output[:, segment.positions - start] = mixed
    return output
