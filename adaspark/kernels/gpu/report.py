"""Reports to recorders of what the GPU kernels chose: by segment, or of text alone.

Probabilities are computed for this alone, from the scores or anew. Axes as in `gpu.py`.
"""

from __future__ import annotations

from functools import partial
from math import log

import torch
from torch import Tensor

from adaspark.kernels.gpu import decode_attention
from adaspark.kernels.gpu import dispatch as gpu_dispatch
from adaspark.kernels.gpu.rows import Rows
from adaspark.kernels.gpu.tables import KeyBlocks, unpack
from adaspark.method.attention import Choice, Observer, cube_probs
from adaspark.method.sequence import Segment, SequenceMap
from adaspark.method.tally import Tally, TallyObserver


def text_choices(
    queries: Tensor, means: Tensor, start: int, rows: Rows, selected: Tensor, scale: float
) -> list[tuple[Segment, Tensor, Tensor]]:
    """What each segment of text chose, and the probabilities, computed for this: text is short."""
    found, first = [], 0
    for segment in rows.segments:
        end = first + len(segment.positions)
        if segment.is_text:
            own = torch.arange(first, end, device=means.device)
            kept = unpack(selected, own)[..., : segment.end_cube]
            asked = queries.index_select(1, segment.positions - start)
            seen = means[:, : segment.end_cube]
            probs = cube_probs(asked, seen, segment.candidates, scale=scale)
            found.append((segment, probs, kept.expand_as(probs)))
        first = end
    return found


def report(
    observe: Observer,
    queries: Tensor,
    means: Tensor,
    start: int,
    blocks: KeyBlocks,
    rows: Rows,
    work: gpu_dispatch.Work,
    scale: float,
) -> None:
    """Report each segment's choice: what the kernels read, and probabilities computed for this."""
    heads = queries.shape[0]
    executed = work.executed(blocks, rows).view(heads, -1)
    share = heads // len(work.plan.selected)
    first_rows = torch.arange(share, device=means.device)[:, None] * executed.shape[1]
    first = 0
    for segment in rows.segments:
        end = first + len(segment.positions)
        own = torch.arange(first, end, device=means.device)
        attended = unpack(work.plan.selected, (first_rows + own).flatten())[..., : segment.end_cube]
        kept = attended.view(heads, end - first, segment.end_cube) & ~segment.own_mask
        asked = queries.index_select(1, segment.positions - start)
        probs = cube_probs(asked, means[:, : segment.end_cube], segment.candidates, scale=scale)
        observe(segment, Choice(probs, kept, int(executed[:, first:end].sum())))
        first = end


def report_new_text(
    observe: Observer, scores: Tensor, selected: Tensor, sequence: SequenceMap, groups: int
) -> None:
    """Report the choice of new text: one segment, whose candidates are all the cubes."""
    (segment,) = sequence.segments(sequence.length - scores.shape[1])
    probs, kept = (scores * log(2)).softmax(-1), selected.view(torch.bool)
    pairs = partial(decode_attention.pairs, selected, groups, sequence)
    if isinstance(observe, TallyObserver):
        none = selected.new_zeros(0, selected.shape[2], dtype=torch.int32)
        nothing = scores.new_zeros(len(scores), 0)
        return observe.add(Tally([segment], 0, none, nothing, pairs, [(segment, probs, kept)]))
    return observe(segment, Choice(probs, kept, int(pairs()[1])))
