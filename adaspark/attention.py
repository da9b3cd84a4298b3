"""AdaS-Attn on tensors: choose cubes by their mean keys, attend exactly to what was chosen.

Source: the paper's cube-selective attention; where it is silent, design decisions of ours, listed
in the README. Axes: N keys, n queries, H query heads, G KV heads, R rows of a tile, C cubes
visible to a segment, M tokens of a full cube, D head dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adaspark import merge, parallel, tiles
from adaspark.layout import CubeLayout
from adaspark.rules import Rule
from adaspark.selection import keep_cubes, masked_softmax
from adaspark.sequence import Segment, SequenceMap

MERGE_COST = 0.8
"""Time of a (query, key) product by key cubes against one by query tiles, measured on a CPU."""
WAVE = 32
"""Segments decided together: bounds the tables that are alive at one time."""
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
    """Mean key of each cube, fp32 [G, C, D], from keys [G, N, D] after rotary embedding."""
    return mean_keys(keys.index_select(1, sequence.video_positions), sequence.layout)


def mean_keys(video: Tensor, layout: CubeLayout) -> Tensor:
    """Mean of each cube's keys, fp32 [..., C, D], from the video's keys [..., V, D].

    The means only choose: no gradient passes through them.
    """
    video = video.detach().float()
    sums = video.new_zeros(*video.shape[:-2], layout.cubes, video.shape[-1])
    return sums.index_add(-2, layout.cube_from_token, video) / layout.cube_sizes[:, None]


def choose(queries: Tensor, means: Tensor, segment: Segment, *, rule: Rule, scale: float) -> Choice:
    """The cubes that each query and head attends to, beside text and its own cube.

    `queries` [H, n, D] of the segment, `means` fp32 [G, C_all, D]. Scores, softmax and threshold
    are fp32 whatever the model's dtype; no gradient passes, for a choice has none.
    """
    probs = cube_probs(queries, means[:, : segment.end_cube], segment.candidates, scale=scale)
    kept = keep_cubes(probs, segment.candidates, rule, positions=segment.positions)
    return Choice(probs, kept)


def cube_probs(queries: Tensor, means: Tensor, candidates: Tensor, *, scale: float) -> Tensor:
    """Probabilities over the candidate cubes, fp32 [..., H, n, C].

    `queries` [..., H, n, D], `means` fp32 [..., G, C, D], `candidates` bool [n, C].
    """
    *batch, groups, cubes, width = means.shape
    grouped = queries.detach().float().reshape(*batch, groups, -1, width) * scale
    scores = grouped @ means.transpose(-1, -2)
    return masked_softmax(scores.reshape(*queries.shape[:-1], cubes), candidates)


def decide(
    queries: Tensor, segment: Segment, means: Tensor, start: int, *, rule: Rule, scale: float
) -> tuple[Tensor, Choice]:
    """A segment's rows of `queries` [H, S, D], whose first stands at `start`, and its choice."""
    asked = queries.index_select(1, segment.positions - start)
    return asked, choose(asked, means, segment, rule=rule, scale=scale)


def sparse_attention(
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
    """AdaS-Attn for the last queries of a sequence: [H, S, D] in, [H, S, D] out.

    `keys` and `values` are [G, N, D] and end with the keys of the queries themselves. `means` may
    be given where they are known (decoding). `observe` hears each decision. Rows of padding are
    zero.
    """
    start = sequence.length - queries.shape[1]
    means = cube_means(keys, sequence) if means is None else means
    queries = queries.contiguous()  # rotary embedding leaves heads innermost: rows gather slowly
    tensors = (queries, keys, values)
    differentiable = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)

    def work(segment: Segment) -> _Piece:
        asked, choice = decide(queries, segment, means, start, rule=rule, scale=scale)
        attended = choice.kept | segment.own_mask
        by_tiles, executed = _route(attended, segment, keys.shape[0], differentiable)
        piece = _Piece(segment, replace(choice, executed_pairs=executed), asked * scale, attended)
        if not by_tiles:
            return piece
        mixed = tiles.attend(piece.queries, keys, values, attended, segment, sequence)
        return replace(piece, mixed=mixed)

    output = torch.zeros_like(queries)
    batch = _KeyCubes(keys, values, sequence)
    segments = sequence.segments(start)
    for first in range(0, len(segments), WAVE):
        pieces = parallel.run(work, segments[first : first + WAVE], queries.device)
        for piece in pieces:
            if observe is not None:
                observe(piece.segment, piece.choice)
        batch.add([piece for piece in pieces if piece.mixed is None])
        for done in (*pieces, *batch.mixed(last=first + WAVE >= len(segments))):
            if done.mixed is not None:
                output[:, done.segment.positions - start] = done.mixed
    return output


@dataclass(frozen=True)
class _Piece:
    """One segment at work: its choice, scaled queries [H, n, D], what they attend to, result."""

    segment: Segment
    choice: Choice
    queries: Tensor
    attended: Tensor
    mixed: Tensor | None = None


def _route(
    attended: Tensor, segment: Segment, groups: int, differentiable: bool
) -> tuple[bool, int]:
    """Whether query tiles are the cheaper backend, and the pairs that the chosen one computes."""
    by_tiles = tiles.executed_pairs(attended, segment, groups)
    by_cubes = merge.executed_pairs(attended, segment)
    cost = MERGE_COST * (by_cubes + PAIR_PRODUCTS * int(attended.sum()))
    if segment.is_text or differentiable or by_tiles < cost:
        return True, by_tiles
    return False, by_cubes


class _KeyCubes:
    """Pieces that wait for a batch large enough to go by key cubes together."""

    def __init__(self, keys: Tensor, values: Tensor, sequence: SequenceMap) -> None:
        self._keys, self._values, self._sequence = keys, values, sequence
        self._waiting: list[_Piece] = []
        self._cubes: merge.CubeKeys | None = None

    def add(self, pieces: Sequence[_Piece]) -> None:
        """Let these wait."""
        self._waiting += pieces

    def mixed(self, *, last: bool) -> list[_Piece]:
        """Compute the full batches that wait; at the `last` call, whatever waits."""
        done: list[_Piece] = []
        batch: list[_Piece] = []
        pairs = 0
        for piece in self._waiting:
            batch.append(piece)
            pairs += int(piece.attended.sum())
            if pairs >= merge.PAIRS_AT_ONCE:
                done += self._attend(batch)
                batch, pairs = [], 0
        self._waiting = [] if last else batch
        return [*done, *self._attend(batch)] if last and batch else done

    def _attend(self, batch: Sequence[_Piece]) -> list[_Piece]:
        if self._cubes is None:
            self._cubes = merge.CubeKeys.gather(self._keys, self._values, self._sequence)
        mixed = merge.attend(
            [piece.queries for piece in batch],
            [piece.attended for piece in batch],
            [piece.segment for piece in batch],
            self._cubes,
        )
        return [replace(piece, mixed=m) for piece, m in zip(batch, mixed, strict=True)]
