"""AdaS-Attn on tensors: choose cubes by their mean keys, attend exactly to what was chosen.

Source: the paper's cube-selective attention; where it is silent, design decisions of ours, listed
in the README. Axes: N keys, n queries, H query heads, G KV heads, R rows of a tile, C cubes
visible to a segment, M tokens of a full cube, D head dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adaspark import merge, tiles
from adaspark.selection import masked_softmax, nucleus
from adaspark.sequence import Segment, SequenceMap

MERGE_COST = 0.8
"""Time of a (query, key) product by key cubes against one by query tiles, measured on a CPU."""
PAIR_PRODUCTS = 55.0
"""A (row, cube) pair's own cost by key cubes (its row, its partial result), in products."""


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
    """Mean key of each cube, fp32 [G, C, D], from keys [G, N, D] after rotary embedding.

    The means only choose: no gradient passes through them.
    """
    layout = sequence.layout
    video = keys.detach().index_select(1, sequence.video_positions).float()
    sums = video.new_zeros(keys.shape[0], layout.cubes, keys.shape[2])
    sums = sums.index_add(1, layout.cube_from_token, video)
    return sums / layout.cube_sizes[:, None]


def choose(
    queries: Tensor, means: Tensor, segment: Segment, *, top_p: float, scale: float
) -> Choice:
    """The cubes that each query and head attends to, beside text and its own cube.

    `queries` [H, n, D] of the segment, `means` fp32 [G, C_all, D]. Scores, softmax and threshold
    are fp32 whatever the model's dtype; no gradient passes, for a choice has none.
    """
    heads, count, width = queries.shape
    means = means[:, : segment.end_cube]
    grouped = queries.detach().float().reshape(means.shape[0], -1, width) * scale
    scores = (grouped @ means.transpose(1, 2)).reshape(heads, count, segment.end_cube)
    probs = masked_softmax(scores, segment.candidates)
    return Choice(probs, nucleus(probs, top_p, candidates=segment.candidates))


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
    work = _Work(queries, keys, values, sequence)
    for segment, asked, choice in decisions(queries, sequence, means, top_p=top_p, scale=scale):
        attended = choice.kept | segment.own_mask
        backend, executed = work.route(attended, segment)
        if observe is not None:
            observe(segment, replace(choice, executed_pairs=executed))
        for done, mixed in backend(asked * scale, attended, segment):
            output[:, done.positions - start] = mixed
    for done, mixed in work.flush():
        output[:, done.positions - start] = mixed
    return output


Mixed = Iterable[tuple[Segment, Tensor]]


class _Work:
    """Runs each segment through the cheaper backend; key cubes wait for a full batch."""

    def __init__(
        self, queries: Tensor, keys: Tensor, values: Tensor, sequence: SequenceMap
    ) -> None:
        tensors = (queries, keys, values)
        self._keys, self._values, self._sequence = keys, values, sequence
        self._waiting: list[tuple[Tensor, Tensor, Segment]] = []
        self._pairs = 0
        self._differentiable = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        self._cubes: merge.CubeKeys | None = None

    def route(
        self, attended: Tensor, segment: Segment
    ) -> tuple[Callable[[Tensor, Tensor, Segment], Mixed], int]:
        """The backend of a segment, and the (query, key) pairs that it will compute."""
        by_tiles = tiles.executed_pairs(attended, segment, self._keys.shape[0])
        by_cubes = merge.executed_pairs(attended, segment)
        cost = MERGE_COST * (by_cubes + PAIR_PRODUCTS * int(attended.sum()))
        if segment.is_text or self._differentiable or by_tiles < cost:
            return self._by_tiles, by_tiles
        return self._by_cubes, by_cubes

    def _by_tiles(self, queries: Tensor, attended: Tensor, segment: Segment) -> Mixed:
        mixed = tiles.attend(queries, self._keys, self._values, attended, segment, self._sequence)
        yield segment, mixed

    def _by_cubes(self, queries: Tensor, attended: Tensor, segment: Segment) -> Mixed:
        self._waiting.append((queries, attended, segment))
        self._pairs += int(attended.sum())
        if self._pairs >= merge.PAIRS_AT_ONCE:
            yield from self.flush()

    def flush(self) -> Mixed:
        """Compute what waits."""
        if not self._waiting:
            return
        if self._cubes is None:
            self._cubes = merge.CubeKeys.gather(self._keys, self._values, self._sequence)
        queries, attended, segments = zip(*self._waiting, strict=True)
        self._waiting, self._pairs = [], 0
        mixed = merge.attend(queries, attended, segments, self._cubes)
        yield from zip(segments, mixed, strict=True)
