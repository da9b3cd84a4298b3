"""The recorder: hears each decision of a run and fills a Trace. Compute never waits for it.

Found through a ContextVar, so requests in other threads do not mix. (A plain thread starts with
none: run it through `contextvars.copy_context().run`.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.selection import entropy, normalised, normalised_entropy
from adaspark.sequence import Segment, SequenceMap
from adaspark.trace import QUERY_TABLE_BYTES, Trace
from adaspark.trace_meta import Counts, Meta, Word

_active: ContextVar[Recorder | None] = ContextVar("adaspark_recorder", default=None)


def active_recorder(owner: object) -> Recorder | None:
    """The recorder that listens to `owner` (a sparsified model's patch) here, or None."""
    recorder = _active.get()
    return recorder if recorder is not None and recorder.owner is owner else None


@contextmanager
def recording(owner: object) -> Iterator[Trace]:
    """Record what `owner` decides inside the block; the Trace is complete when it ends."""
    recorder = Recorder(owner)
    token = _active.set(recorder)
    try:
        yield recorder.trace
    finally:
        _active.reset(token)
        recorder.finish()


@dataclass
class _Layer:
    """One layer's sums. Cube sums run over the queries of a cube, word lists over text tokens."""

    attended: NDArray[np.int64]  # [Q, C] (head, token) pairs that attend to a cube
    cube_sums: Tensor  # fp32 [3, C]: entropy, effective cubes, and of how many queries
    nats: list[tuple[Segment, Tensor]] = field(default_factory=list)  # not yet in `cube_sums`
    words: list[tuple[NDArray[Any], Tensor, Tensor]] = field(default_factory=list)
    ffn_kept: Tensor | None = None
    importance: Tensor | None = None
    ffn_ratios: Tensor | None = None
    computed_pairs: int = 0
    executed_pairs: int = 0
    causal_pairs: int = 0
    weighed_pairs: int = 0


class Recorder:
    """Collects one prompt: a new prefill starts it afresh, decoding steps add words."""

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.trace = Trace()
        self._sequence: SequenceMap | None = None
        self._layers: list[_Layer] = []
        self._words: list[Word] = []
        self._known: dict[tuple[int, ...], tuple[list[Segment], Tensor, Tensor]] = {}

    def begin(
        self, sequence: SequenceMap, token_ids: Tensor | None, *, layers: int, meta: Meta
    ) -> None:
        """A prefill starts: `sequence` of the prompt, its ids int64 [N] where known."""
        self._sequence = sequence
        self._known.clear()
        cubes = sequence.layout.cubes
        sampled = max(1, QUERY_TABLE_BYTES // max(1, layers * cubes))
        self._query_cubes = np.unique(np.linspace(0, cubes - 1, min(cubes, sampled)).astype(int))
        self._layers = [self._empty_layer(cubes) for _ in range(layers)]
        self._words = []
        self.trace.meta = replace(meta, sampled_query_cubes=len(self._query_cubes) < cubes)
        last = int(sequence.video_positions[-1]) if cubes else -1
        first = int(sequence.video_positions[0]) if cubes else -1
        for position in sequence.text_positions.tolist():
            kind = "question" if position > last or first < position else "prompt"
            self._add_word(position, kind, token_ids)
        self._prompt_words = len(self._words)

    def decode(self, start: int, count: int, token_ids: Tensor | None) -> None:
        """`count` text tokens follow at position `start`; their ids int64 [count]."""
        if self._sequence is None:
            return  # the prompt was prefilled before the recording began
        # Speculative decoding takes tokens back: what follows replaces them.
        self._words = [word for word in self._words if word.position < start]
        for offset in range(count):
            self._add_word(start + offset, "answer", token_ids, offset=start)

    def attention(
        self,
        layer: int,
        segment: Segment,
        probs: Tensor,
        kept: Tensor,
        executed: int,
        *,
        nats: Tensor | None = None,
    ) -> None:
        """One segment's choice in one layer: `probs` and `kept` [H, n, C], and the entropy of the
        former, fp32 [H, n], where it is known.
        """
        if self._sequence is None:
            return
        into = self._layers[layer]
        attending = _heads_attending(segment, kept)
        if segment.is_text:
            index = np.searchsorted(self._positions, segment.positions.cpu().numpy())
            # Copies: what a backend hands over may be a part of its tables of all segments.
            into.words.append((index, probs.clone(), kept.clone()))
            totals = attending.sum(0).cpu().numpy()
        else:
            totals = self._add_cubes(into, segment, attending)
            into.nats.append((segment, entropy(probs) if nats is None else nats))
        if self._words[-1].kind != "answer":
            into.executed_pairs += executed
            _count_pairs(into, segment, attending, totals, len(kept))

    def ffn(self, layer: int, kept: Tensor, importance: Tensor, ratios: Tensor) -> None:
        """One layer's FFN choice, bool [V] and fp32 [V], and its `inertia`, fp32 [N]."""
        into = self._layers[layer]
        into.ffn_kept, into.importance, into.ffn_ratios = kept, importance, ratios
        self._add_entropies(into)  # this layer's attention is over

    @property
    def _positions(self) -> NDArray[np.int64]:
        return np.array([word.position for word in self._words])

    def _add_word(
        self, position: int, kind: str, token_ids: Tensor | None, *, offset: int = 0
    ) -> None:
        token = None if token_ids is None else int(token_ids[position - offset])
        self._words.append(Word(kind=kind, position=position, id=token))

    def _empty_layer(self, cubes: int) -> _Layer:
        attended = np.zeros((len(self._query_cubes), cubes), np.int64)
        return _Layer(attended, torch.zeros(3, cubes))

    def _add_cubes(self, into: _Layer, segment: Segment, attending: Tensor) -> NDArray[np.int64]:
        """Add up who attends to which cube, by query cube; returns the sums over all, [C]."""
        first, end = segment.partial_cube, segment.end_cube
        counts = segment.query_from_own_cube @ attending.float()  # exact: they are below 2^24
        sums = counts.long().cpu().numpy()
        here = slice(*np.searchsorted(self._query_cubes, (first, end)))
        into.attended[here, :end] += sums[self._query_cubes[here] - first]
        totals: NDArray[np.int64] = sums.sum(0)
        return totals

    def _add_entropies(self, into: _Layer) -> None:
        """Add what the segments' entropies have come to, all in one sum: there are many."""
        if not into.nats:
            return
        counts, own_cube = self._choices([segment for segment, _ in into.nats])
        nats = torch.cat([values for _, values in into.nats], dim=1)  # [H, n]
        into.nats.clear()
        spread = normalised(nats, counts).mean(0)  # NaN where no choice was
        figures = torch.stack([spread, nats.exp().mean(0), torch.ones_like(spread)])  # [3, n]
        into.cube_sums.index_add_(1, own_cube, figures.where(counts > 1, 0.0).cpu())

    def _choices(self, segments: list[Segment]) -> tuple[Tensor, Tensor]:
        """How many candidates each query has, and on the host its cube: the same in all layers."""
        key = tuple(map(id, segments))
        if key not in self._known:
            counts = torch.cat([segment.candidate_counts for segment in segments])
            own_cube = torch.cat([segment.own_cube for segment in segments])
            self._known[key] = segments, counts, own_cube.cpu()  # held, so that ids stay theirs
        _, counts, own_cube = self._known[key]
        return counts, own_cube

    def finish(self) -> None:
        """Reduce, pack and copy to the host: fills the trace's arrays."""
        if self._sequence is None:
            return
        for layer in self._layers:
            self._add_entropies(layer)
        layout, trace = self._sequence.layout, self.trace
        trace.meta.words = self._words
        trace.cube_from_token = layout.cube_from_token.cpu().numpy().astype(np.int32)
        trace.bounds = layout.bounds.numpy().astype(np.int32)
        trace.query_cubes = self._query_cubes.astype(np.int32)
        slices = sum(grid[0] for grid in layout.grids)
        trace.frame_times = np.full((slices, 2), np.nan)
        self._finish_attention(trace, layout.cube_sizes.cpu().numpy())
        self._finish_words(trace)
        self._finish_ffn(trace)
        trace.meta.counts = Counts(
            tokens=len(self._sequence.video_positions) + self._prompt_words,
            text_tokens=self._prompt_words,
            weighed_pairs=sum(layer.weighed_pairs for layer in self._layers),
        )
        for name in ("computed_pairs", "executed_pairs", "causal_pairs"):
            counts = [getattr(layer, name) for layer in self._layers]
            setattr(trace, name, np.array(counts, np.int64))

    def _finish_attention(self, trace: Trace, sizes: NDArray[np.int64]) -> None:
        heads = trace.meta.shape["heads"]
        pairs = heads * sizes[self._query_cubes][:, None]
        share = [np.rint(layer.attended * 255 / pairs) for layer in self._layers]
        trace.kept_share = np.array(share, np.uint8)
        sums = torch.stack([layer.cube_sums for layer in self._layers], 1)  # [3, L, C]
        # 0 / 0 where a cube's queries had no choice: NaN, undefined.
        trace.cube_entropy, trace.cube_effective = (sums[:2] / sums[2]).numpy()

    def _finish_words(self, trace: Trace) -> None:
        layers, words = len(self._layers), len(self._words)
        heads, cubes = trace.meta.shape["heads"], len(trace.bounds)
        probs = np.zeros((layers, words, heads, cubes), np.float16)
        kept = np.zeros((layers, words, heads, cubes), bool)
        trace.word_entropy = np.full((layers, words), np.nan, np.float32)
        trace.word_effective = np.full((layers, words), np.nan, np.float32)
        for i, layer in enumerate(self._layers):
            for index, mass, chosen in layer.words:
                kept_words = index < words  # the last ones may have been taken back
                index, mass, chosen = index[kept_words], mass[:, kept_words], chosen[:, kept_words]
                seen = mass.shape[-1]
                probs[i, index, :, :seen] = mass.transpose(0, 1).cpu().numpy()
                kept[i, index, :, :seen] = chosen.transpose(0, 1).cpu().numpy()
                if seen > 1:
                    nats = entropy(mass)
                    spread = normalised(nats, torch.tensor(seen)).mean(0)
                    trace.word_entropy[i, index] = spread.cpu().numpy()
                    trace.word_effective[i, index] = nats.exp().mean(0).cpu().numpy()
        trace.word_probs = probs
        trace.word_kept = np.packbits(kept, axis=-1)

    def _finish_ffn(self, trace: Trace) -> None:
        heard = [layer for layer in self._layers if layer.ffn_kept is not None]
        if len(heard) < len(self._layers):
            return
        kept = torch.stack([layer.ffn_kept for layer in heard if layer.ffn_kept is not None])
        weights = [layer.importance for layer in heard if layer.importance is not None]
        trace.ffn_kept = np.packbits(kept.cpu().numpy(), axis=-1)
        ratios = torch.stack([layer.ffn_ratios for layer in heard if layer.ffn_ratios is not None])
        self._finish_inertia(trace, ratios, kept)
        trace.ffn_importance = torch.stack(weights).cpu().numpy().astype(np.float16)
        assert self._sequence is not None
        table = self._sequence.layout.tokens_from_cube
        sizes = self._sequence.layout.cube_sizes
        rows = [w[table.clamp_min(0)].masked_fill(table < 0, 0.0) for w in weights]
        spread = [normalised_entropy(row, sizes) for row in rows]
        trace.ffn_entropy = torch.stack(spread).cpu().numpy()

    def _finish_inertia(self, trace: Trace, ratios: Tensor, kept: Tensor) -> None:
        """`ratios` fp32 [L, N] and `kept` bool [L, V]: what a skipped token would do is unknown."""
        assert self._sequence is not None
        video = ratios[:, self._sequence.video_positions].masked_fill(~kept, torch.nan)
        trace.ffn_ratio = video.cpu().numpy().astype(np.float16)
        text = ratios[:, self._sequence.text_positions]
        trace.text_ffn_ratio = text.cpu().numpy().astype(np.float16)


def _heads_attending(segment: Segment, kept: Tensor) -> Tensor:
    """uint8 [n, C]: how many heads of each query attend to each cube. (No model has 256 heads.)"""
    attended = kept | segment.own_mask
    return attended.view(torch.uint8).sum(0, dtype=torch.uint8)


def _count_pairs(
    into: _Layer, segment: Segment, attending: Tensor, totals: NDArray[np.int64], heads: int
) -> None:
    """Add a segment's (query, key) pairs: those chosen, those weighed, and all that dense has.

    `totals` [C] are the sums of `attending` over the queries.
    """
    partial = segment.partial_cube
    whole = totals[:partial] @ segment.layout.cube_sizes[:partial].cpu().numpy()
    if not segment.is_text:
        whole += int((attending[:, partial:] * segment.partly_visible_tokens).sum())
    into.computed_pairs += int(whole) + heads * segment.text_pairs
    into.weighed_pairs += heads * segment.weighed_pairs
    into.causal_pairs += heads * segment.causal_pairs
