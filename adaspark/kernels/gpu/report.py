"""Reports to recorders of what the GPU kernels chose: by segment, or of text alone.

Probabilities are computed for this alone, from the scores or anew. Axes as in `gpu.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import log

import torch
from torch import Tensor

from adaspark.kernels.gpu import decode_keys
from adaspark.kernels.gpu.bits import WORD, unpack
from adaspark.kernels.gpu.rows import Rows
from adaspark.method.attention import Choice, Observer, cube_probs
from adaspark.method.segment import Segment
from adaspark.method.sequence import SequenceMap
from adaspark.method.tally import Known, Later, Tally, TallyObserver


@dataclass(frozen=True, eq=False)
class TextWords:
    """What the text of a chunk chose, yet to be found: its queries [H, X, D], and from bit
    `first_bit` on its `bits` int32 [H or 1, W, C] of the selected-block mask.
    """

    segments: Sequence[Segment]
    queries: Tensor
    bits: Tensor
    first_bit: int
    means: Tensor
    scale: float

    @property
    def device(self) -> torch.device:
        """Of its tensors."""
        return self.means.device

    @property
    def nbytes(self) -> int:
        """Of its tensors, but for the means, which are kept anyway."""
        return self.queries.nbytes + self.bits.nbytes

    def found(self, layers: Sequence[TextWords]) -> Iterator[tuple[Segment, Tensor, Tensor]]:
        """Each segment with probabilities and choices [L, H, m, C] in these layers."""
        if not self.segments:
            return
        queries, bits, means = (
            torch.stack([getattr(of, name) for of in layers])
            for name in ("queries", "bits", "means")
        )
        first = 0
        for segment in self.segments:
            end = first + len(segment.positions)
            seen = means[..., : segment.end_cube, :]
            probs = cube_probs(
                queries[..., first:end, :], seen, segment.candidates, scale=self.scale
            )
            row = torch.arange(self.first_bit + first, self.first_bit + end, device=means.device)
            kept = unpack(bits.flatten(0, 1), row).unflatten(0, bits.shape[:2])
            yield segment, probs, kept[..., : segment.end_cube].expand_as(probs)
            first = end


def text_queries(queries: Tensor, rows: Rows) -> Tensor:
    """A copy [H, X, D] of the queries of text in a chunk, which come last in it."""
    return queries.index_select(1, rows.places[rows.video_count :])


def text_choices(
    asked: Tensor, means: Tensor, rows: Rows, selected: Tensor, scale: float
) -> TextWords:
    """Of the text in a chunk, whose queries are `asked` [H, X, D]."""
    first = rows.video_count
    word = first // WORD
    return TextWords(
        [segment for segment in rows.segments if segment.is_text],
        asked,
        selected[:, word:].clone(),
        first - word * WORD,
        means,
        scale,
    )


def report(
    observe: Observer,
    queries: Tensor,
    means: Tensor,
    start: int,
    rows: Rows,
    selected: Tensor,
    executed: Tensor,
    scale: float,
) -> None:
    """Report each segment's choice: what the kernels read, and probabilities computed for this.

    `selected` int32 [H, W, C] as `block_selection` has, or [G, W, C] of grouped rows; `executed`
    int64 of the same rows: the keys that were multiplied with each.
    """
    heads = queries.shape[0]
    executed = executed.view(heads, -1)
    share = heads // len(selected)
    first_rows = torch.arange(share, device=means.device)[:, None] * executed.shape[1]
    first = 0
    for segment in rows.segments:
        end = first + len(segment.positions)
        own = torch.arange(first, end, device=means.device)
        attended = unpack(selected, (first_rows + own).flatten())[..., : segment.end_cube]
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
    pairs = partial(decode_keys.pairs, selected, groups, sequence)
    if isinstance(observe, TallyObserver):
        later = partial(_new_text, segment, scores, selected, pairs)
        return observe.add(Later(later, scores.nbytes + selected.nbytes))
    words = _words(segment, scores, selected)
    return observe(segment, Choice(words.probs, words.kept, int(pairs()[1])))


def _words(segment: Segment, scores: Tensor, selected: Tensor) -> Known:
    return Known([segment], (scores * log(2)).softmax(-1), selected.view(torch.bool))


def _new_text(
    segment: Segment, scores: Tensor, selected: Tensor, pairs: Callable[[], Tensor]
) -> Tally:
    none = selected.new_zeros(0, selected.shape[2], dtype=torch.int32)
    nothing = scores.new_zeros(len(scores), 0)
    return Tally([segment], 0, none, nothing, pairs, _words(segment, scores, selected))
