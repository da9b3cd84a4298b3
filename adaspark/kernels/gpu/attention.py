"""AdaS-Attn on a GPU: choose, plan, attend, in chunks of queries that bound the memory in use.

The same signature and result as `backend.sparse_attention`, for inference. The scores of all
queries against all cubes are never in memory together, and the host waits for the device at most
once a chunk: to learn how much is to be gathered. Axes as in `attention.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from adaspark.kernels.gpu import block_selection, decode_attention, decode_selection, dispatch
from adaspark.kernels.gpu.bits import WORD, pack
from adaspark.kernels.gpu.cube_means import mean_terms, means_by_slot
from adaspark.kernels.gpu.decode_keys import StepKeys
from adaspark.kernels.gpu.ffn import sparse_ffn
from adaspark.kernels.gpu.plan import count_attending
from adaspark.kernels.gpu.report import report, report_new_text, text_choices, text_queries
from adaspark.kernels.gpu.rows import Rows, chunks
from adaspark.kernels.gpu.tables import KeyBlocks, Source
from adaspark.kernels.gpu.tally import tally, write_entropies
from adaspark.kernels.gpu.thresholds import MEASURED, Thresholds
from adaspark.method.attention import Observer, cube_probs
from adaspark.method.rules import Rule
from adaspark.method.selection import entropy, keep_cubes
from adaspark.method.sequence import SequenceMap
from adaspark.method.tally import Later, Tally, TallyObserver

ROWS_AT_ONCE = 1024
"""Rows that rules other than top-p choose for at a time."""

__all__ = ["cube_means", "report_dense", "sparse_attention", "sparse_ffn", "try_one"]

Choose = Callable[..., Tensor]
"""The signature of `choose_cubes`."""
_known: WeakKeyDictionary[SequenceMap, dict[tuple[int, ...], list[Rows]]] = WeakKeyDictionary()


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
    thresholds: Thresholds = MEASURED,
    choose: Choose | None = None,
) -> Tensor:
    """AdaS-Attn for the last queries of a sequence, [H, S, D] in and out, without gradients.

    `choose` may stand for `choose_cubes` (except in decoding), as benchmarks plant selections.
    """
    choose = choose or choose_cubes
    with torch.cuda.device_of(queries):  # Triton launches on torch's device
        queries, keys, values = (
            t if t.stride(-1) == 1 else t.contiguous() for t in (queries, keys, values)
        )
        means = cube_means(keys, sequence) if means is None else means
        of_text = rule.of_rows(is_text=True)
        chooses = of_text.is_plain_nucleus and of_text.amount > 0
        if chooses and _is_step(queries, len(keys), sequence):
            scores = decode_selection.score(queries, means, scale=scale)
            selected = decode_selection.kept(scores, p=of_text.amount)
            if observe is not None:
                report_new_text(observe, scores, selected, sequence, len(means))
            known = StepKeys.of(keys, values, sequence)
            return decode_attention.attend(
                queries, known, selected, scale=scale, splits=thresholds.splits
            )
        heads, count, width = queries.shape
        share = heads // keys.shape[0]
        grouped = count * share <= thresholds.grouped_rows
        row_queries = queries.reshape(-1, share * count, width) if grouped else queries
        make = torch.empty_like if sequence.is_unpadded else torch.zeros_like
        output = make(row_queries)
        blocks = KeyBlocks.of(sequence, thresholds.block_costs)
        source = Source.of(keys, values, blocks, copied=count >= thresholds.copy_queries)
        start = sequence.length - count
        observer = observe if isinstance(observe, TallyObserver) and not grouped else None
        grouping = share if grouped else 1
        for rows in row_chunks(sequence, start, heads, grouping, thresholds.selection_bytes):
            entropies = None if observer is None else means.new_zeros(heads, rows.count)
            selected = choose(row_queries, means, blocks, rows, rule, scale, entropies, thresholds)
            work = dispatch.attend(
                row_queries, source, output, blocks, rows, selected, scale, thresholds
            )
            if observer is not None and entropies is not None:
                asked, found = text_queries(queries, rows), work.summed(blocks, rows)
                chosen = asked, means, rows, selected, scale
                later = partial(_tallied, chosen, entropies, found)
                observer.add(Later(later, selected.nbytes + entropies.nbytes))
            elif observe is not None:
                executed = work.executed(blocks, rows)
                report(observe, queries, means, start, rows, selected, executed, scale)
        return output.reshape(queries.shape)


def _tallied(
    chosen: tuple[Tensor, Tensor, Rows, Tensor, float],
    entropies: Tensor,
    executed: Callable[[], Tensor],
) -> Tally:
    """The sums of a chunk; `chosen` are what `text_choices` takes."""
    _, _, rows, selected, _ = chosen
    with torch.cuda.device_of(selected):
        return tally(selected, rows, entropies, executed, text_choices(*chosen))


def _is_step(queries: Tensor, groups: int, sequence: SequenceMap) -> bool:
    """Whether these are a few new text tokens, which the kernels of decoding serve."""
    cubes = sequence.layout.cubes
    return decode_selection.fits(queries, groups, added=sequence.added, cubes=cubes)


def cube_means(keys: Tensor, sequence: SequenceMap) -> Tensor:
    """Mean key of each cube, fp32 [G, C, D], from keys [G, N, D]."""
    blocks = KeyBlocks.of_video(sequence)
    return means_by_slot(keys, blocks.positions, blocks.tokens, slots=blocks.slots)


def row_chunks(
    sequence: SequenceMap,
    start: int,
    heads: int,
    share: int,
    selection_bytes: int = MEASURED.selection_bytes,
) -> list[Rows]:
    """The queries from `start` on, a chunk at a time, made once for all layers.

    With a `share` above 1, the heads of a KV group are rows, as in queries [G, share * S, D].
    """
    count = sequence.length - start
    found = _known.setdefault(sequence, {})
    key = start, heads, share, selection_bytes
    if key not in found:
        parts = chunks(sequence.segments(start), heads=heads, max_bytes=selection_bytes)
        found[key] = [Rows.of(part, start).grouped_heads(share, count) for part in parts]
    return found[key]


def choose_cubes(
    queries: Tensor,
    means: Tensor,
    blocks: KeyBlocks,
    rows: Rows,
    rule: Rule,
    scale: float,
    entropies: Tensor | None = None,
    thresholds: Thresholds = MEASURED,
) -> Tensor:
    """int32 [H, W, C]: the cubes that each row attends to, its own too (`block_selection`)."""
    cubes = rows.end_cube
    if rule.is_plain_nucleus and cubes <= block_selection.MAX_CUBES:
        terms = mean_terms(means, queries.dtype)
        return block_selection.choose(
            *(queries, terms, rows),
            p=rule.amount,
            text_p=rule.text_amount,
            scale=scale,
            entropies=entropies,
            thresholds=thresholds,
        )
    found = []
    for start in range(0, rows.count, ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        own = torch.arange(cubes, device=means.device) == rows.own_cube[part, None]
        candidates = (blocks.first_tokens[:cubes] < rows.video_before[part, None]) & ~own
        row_queries = queries.index_select(1, rows.places[part])
        mass = cube_probs(row_queries, means[:, :cubes], candidates, scale=scale)
        kept = _kept(mass, candidates, rule, rows, part)
        if entropies is not None:
            entropies[:, part] = entropy(mass)
        found.append(pack(kept | own))
    return torch.cat(found, 1)


def _kept(mass: Tensor, candidates: Tensor, rule: Rule, rows: Rows, part: slice) -> Tensor:
    """bool [H, n, C]: what a part of the rows keeps by any rule."""
    positions = rows.positions[part]
    kept = keep_cubes(mass, candidates, rule.of_rows(is_text=False), positions=positions)
    if rule.text_amount is None:
        return kept
    of_text = keep_cubes(mass, candidates, rule.of_rows(is_text=True), positions=positions)
    return torch.where(rows.own_cube[part, None] < 0, of_text, kept)


def report_dense(
    queries: Tensor,
    means: Tensor,
    sequence: SequenceMap,
    observer: TallyObserver,
    *,
    scale: float,
    thresholds: Thresholds = MEASURED,
) -> None:
    """Report the last queries of a sequence, [H, S, D], that attend to whatever they see: `means`
    fp32 [G, C, D] say how evenly they would.
    """
    heads, count, _ = queries.shape
    with torch.cuda.device_of(queries):
        if _is_step(queries, len(means), sequence):
            scores = decode_selection.score(queries, means, scale=scale)
            every = torch.ones_like(scores, dtype=torch.uint8)
            return report_new_text(observer, scores, every, sequence, len(means))
        start, terms = sequence.length - count, mean_terms(means, queries.dtype)
        blocks = KeyBlocks.of(sequence)
        for rows in row_chunks(sequence, start, heads, 1, thresholds.selection_bytes):
            entropies = means.new_zeros(heads, rows.count)
            for scores, first, cubes in block_selection.scored(
                queries, terms, rows, scale=scale, thresholds=thresholds
            ):
                write_entropies(scores, first, cubes, entropies)
            seen = blocks.first_tokens[: rows.end_cube] < rows.video_before[:, None]
            every = pack(seen[None])
            words = text_choices(text_queries(queries, rows), means, rows, every, scale)
            visible = (rows.video_before + rows.text_before).long()
            observer.add(tally(every, rows, entropies, visible.sum, words))


def try_one(device: torch.device) -> None:
    """Compile and run a small kernel; raises whatever keeps it from running."""
    everything = pack(torch.ones(1, WORD, 1, dtype=torch.bool, device=device))
    if int(count_attending(everything, size=WORD)) != WORD:
        raise RuntimeError(f"a kernel that counts {WORD} rows counts otherwise")
