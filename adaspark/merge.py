"""Attention by key cubes: each cube meets exactly the rows that want it, partial results merge.

No row computes a product that it did not choose, however much its neighbours differ; the price is
one partial output a (row, cube) pair, merged by its log-sum-exp. Inference only. Axes as in
`attention.py`: R rows are the (query, head) pairs of one KV group, P chosen (row, cube) pairs, X
text keys.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from adaspark import parallel
from adaspark.sequence import Segment, SequenceMap

PAIRS_AT_ONCE = 2**18  # bounds the partial outputs that are alive at one time


@dataclass(frozen=True)
class CubeKeys:
    """Keys [D, m] and values [m, D] of each cube, by KV head, contiguous; text keys likewise."""

    keys: list[Tensor]
    values: list[Tensor]
    tokens: list[Tensor]
    text_keys: Tensor
    text_values: Tensor

    @classmethod
    def gather(cls, keys: Tensor, values: Tensor, sequence: SequenceMap) -> CubeKeys:
        """Copy `keys` and `values` [G, N, D] cube by cube, once for a layer."""
        sizes = sequence.layout.cube_sizes.tolist()
        order = sequence.layout.cube_from_token.argsort(stable=True)
        places = sequence.video_positions[order]
        text = sequence.text_positions
        by_cube = keys.index_select(1, places).transpose(1, 2).contiguous()
        return cls(
            keys=list(torch.split(by_cube, sizes, dim=2)),
            values=list(torch.split(values.index_select(1, places), sizes, dim=1)),
            tokens=list(torch.split(order, sizes)),
            text_keys=keys.index_select(1, text).transpose(1, 2),
            text_values=values.index_select(1, text),
        )


def attend(
    queries: Sequence[Tensor],
    attended: Sequence[Tensor],
    segments: Sequence[Segment],
    cubes: CubeKeys,
) -> list[Tensor]:
    """Exact softmax attention of consecutive segments over text and the attended cubes.

    One entry a segment: `queries` [H, n, D] already scaled, `attended` bool [H, n, C] with the own
    cube. Returns [H, n, D] each, in the dtype of the queries.
    """
    groups = cubes.text_keys.shape[0]

    def work(group: int) -> Tensor:
        batch = _Batch.join(queries, attended, segments, group, groups=groups)
        return _attend_group(batch, cubes, group)

    mixed = parallel.run(work, range(groups), queries[0].device)
    heads, width = queries[0].shape[0], queries[0].shape[2]
    # [G, n x share, D] -> [H, n, D]
    output = torch.stack(mixed).reshape(len(mixed), -1, heads // len(mixed), width)
    output = output.transpose(1, 2).reshape(heads, -1, width).to(queries[0].dtype)
    return list(torch.split(output, [q.shape[1] for q in queries], dim=1))


@dataclass(frozen=True)
class _Batch:
    """One KV group's rows [R, D] in sequence order, heads of a query together, and what they want,
    bool [C, R]. `video_before`, `text_before` and `partial_cube` are the segments' values of rows.
    """

    rows: Tensor
    wanted: Tensor
    video_before: Tensor
    text_before: Tensor
    partial_cube: Tensor

    @classmethod
    def join(
        cls,
        queries: Sequence[Tensor],
        attended: Sequence[Tensor],
        segments: Sequence[Segment],
        group: int,
        *,
        groups: int,
    ) -> _Batch:
        share = queries[0].shape[0] // groups
        mine = slice(group * share, (group + 1) * share)
        count = max(segment.end_cube for segment in segments)
        rows = torch.cat([q[mine] for q in queries], 1).transpose(0, 1)  # [n, share, D]
        wanted = [pad(a[mine], (0, count - a.shape[2])) for a in attended]
        by_cube = torch.cat(wanted, 1).permute(2, 1, 0)  # [C, n, share]
        partial = [torch.full_like(s.own_cube, s.partial_cube) for s in segments]
        return cls(
            rows=rows.flatten(0, 1),
            wanted=by_cube.flatten(1),
            video_before=torch.cat([s.video_before for s in segments]).repeat_interleave(share),
            text_before=torch.cat([s.text_before for s in segments]).repeat_interleave(share),
            partial_cube=torch.cat(partial).repeat_interleave(share),
        )


_kept = threading.local()


def _scratch(rows: int, width: int, device: torch.device) -> Tensor:
    """fp32 [rows, width], uninitialised: this thread's own memory, used again by its next batch.

    Fresh memory of this size costs the kernel more than the products that fill it.
    """
    held: Tensor | None = getattr(_kept, "memory", None)
    if held is None or held.device != device or held.numel() < rows * width:
        with torch.inference_mode(False):
            held = torch.empty(rows * width, device=device)
        _kept.memory = held
    return held[: rows * width].view(rows, width)


def _attend_group(batch: _Batch, cubes: CubeKeys, group: int) -> Tensor:
    """fp32 [R, D] of one KV group."""
    rows, wanted = batch.rows, batch.wanted
    row_from_pair = wanted.nonzero()[:, 1]  # cube by cube, rows ascending
    by_text = [
        (seen, (batch.text_before == seen).nonzero().flatten())
        for seen in torch.unique(batch.text_before).tolist()
        if seen > 0
    ]
    row_from_pair = torch.cat([row_from_pair, *(texted for _, texted in by_text)])
    pairs = len(row_from_pair)
    partial = _scratch(pairs, rows.shape[1], rows.device)
    log_sums = rows.new_empty(pairs, dtype=torch.float32)
    cube = torch.arange(len(wanted), device=rows.device)[:, None]
    masked = (wanted & (batch.partial_cube <= cube)).sum(1).tolist()
    start = 0
    for index, count in enumerate(wanted.sum(1).tolist()):
        if count == 0:
            continue
        mine = row_from_pair[start : start + count]
        scores = rows.index_select(0, mine) @ cubes.keys[index][group]
        if hidden := masked[index]:
            # Rows of the cube's own slab come first: no earlier slab can see it.
            later = cubes.tokens[index] >= batch.video_before[mine[:hidden], None]
            scores[:hidden].masked_fill_(later, -torch.inf)
        into = slice(start, start + count)
        _softmax_mix(scores, cubes.values[index][group], partial[into], log_sums[into])
        start += count
    for seen, texted in by_text:
        scores = rows.index_select(0, texted) @ cubes.text_keys[group, :, :seen]
        into = slice(start, start + len(texted))
        _softmax_mix(scores, cubes.text_values[group, :seen], partial[into], log_sums[into])
        start += len(texted)
    return _merge(partial, log_sums, row_from_pair, len(rows))


def _softmax_mix(scores: Tensor, values: Tensor, mixed: Tensor, log_sums: Tensor) -> None:
    """Write softmax(scores) @ values and the log-sum-exp of each row into the last two."""
    scores = scores.float()
    top = scores.amax(-1)
    weights = torch.softmax(scores, -1, out=scores)
    # The largest weight is exp(top - logsumexp): one pass fewer than computing it anew.
    torch.sub(top, weights.amax(-1).log_(), out=log_sums)
    if values.dtype == torch.float32:
        torch.mm(weights, values, out=mixed)
    else:
        mixed.copy_(weights.to(values.dtype) @ values)


def _merge(partial: Tensor, log_sums: Tensor, row_from_pair: Tensor, rows: int) -> Tensor:
    """Weigh each row's partial outputs by their share of its softmax: fp32 [R, D]."""
    top = log_sums.new_full((rows,), -torch.inf).scatter_reduce(0, row_from_pair, log_sums, "amax")
    share = (log_sums - top[row_from_pair]).exp()
    total = torch.zeros_like(top).index_add(0, row_from_pair, share)
    share = share / total[row_from_pair]
    # A bag of embeddings is a weighted sum of rows: one pass, many times faster than index_add.
    by_row = row_from_pair.argsort(stable=True)
    counts = torch.bincount(row_from_pair, minlength=rows)
    starts = counts.cumsum(0) - counts
    return embedding_bag(by_row, partial, starts, mode="sum", per_sample_weights=share[by_row])


def executed_pairs(attended: Tensor, segment: Segment) -> int:
    """(query, key) products that `attend` computes for one segment, over all heads."""
    heads, count, cubes = attended.shape
    chosen = attended.sum((0, 1)) * segment.layout.cube_sizes[:cubes]
    return int(chosen.sum()) + heads * count * segment.end_text
