"""The recorder: hears each decision of one prompt and fills a Trace. Compute never waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.method.attention import Choice
from adaspark.method.selection import entropy
from adaspark.method.sequence import Segment, SequenceMap
from adaspark.method.tally import Tally
from adaspark.trace.meta import Meta, Word
from adaspark.trace.recorder_finish import Kept, finish
from adaspark.trace.recorder_sums import Summed, closed_forms, figures_of, settle, summed_rows
from adaspark.trace.trace import QUERY_TABLE_BYTES, Trace

if TYPE_CHECKING:
    from adaspark.model.prompt_geometry import Session


@dataclass(eq=False)
class Layer:
    """One layer's sums. Cube sums run over the queries of a cube, word lists over text tokens."""

    attended: NDArray[np.int64]  # [Q, C] (head, token) pairs that attend to a cube
    cube_sums: Tensor  # fp32 [3, C]: entropy, effective cubes, and of how many queries
    nats: list[tuple[Segment, Tensor]] = field(default_factory=list)  # not yet in `cube_sums`
    words: list[tuple[NDArray[Any], Tensor, Tensor]] = field(default_factory=list)
    ffn: list[Kept] = field(default_factory=list)
    tallies: list[Summed] = field(default_factory=list)  # still on the device
    computed_pairs: int = 0
    executed_pairs: int = 0
    causal_pairs: int = 0
    weighed_pairs: int = 0


class Recorder:
    """Collects one prompt: a new prefill starts it afresh, later parts and decoding add to it.

    Events come from whichever thread calls the model; those of another `run` than the last one
    that began are not of this prompt and pass by.
    """

    def __init__(self) -> None:
        self.trace = Trace()
        self.run: object = None
        self.is_called = False
        self.sequence: SequenceMap | None = None
        self.query_cubes = np.zeros(0, np.int64)
        self.layers: list[Layer] = []
        self.words: list[Word] = []
        self.prompt_words = 0
        self._start = 0  # of the last part of the prompt
        self._positions = np.zeros(0, np.int64)
        self._silence: str | None = None
        self._known: dict[tuple[int, ...], tuple[list[Segment], Tensor, Tensor]] = {}
        self._known_pairs: dict[tuple[int, ...], tuple[Sequence[Segment], dict[str, int]]] = {}
        self._lock = RLock()

    def begin(self, session: Session, token_ids: Tensor | None, *, meta: Meta) -> None:
        """A prompt with video starts; the ids int64 [n] of its new tokens where known."""
        with self._lock:
            first = session.rows[0][0]
            self.run, self._silence = session.run, None
            self._known.clear()
            self._known_pairs.clear()
            self.query_cubes = np.zeros(0, np.int64)
            self.layers = [_empty_layer() for _ in range(meta.shape["layers"])]
            self._set_words([])
            self.trace.meta = replace(meta)
            self._extend(session, token_ids, after=0)
            before = first.sequence.tokens_before(first.start)  # text alone, which was dense
            pairs = meta.shape["heads"] * before * (before + 1) // 2
            for layer in self.layers:
                layer.computed_pairs = layer.executed_pairs = layer.causal_pairs = pairs

    def goes_on(self, session: Session, token_ids: Tensor | None, *, meta: Meta) -> None:
        """More tokens after the first ones: another part of the prompt, or words of the answer."""
        with self._lock:
            if session.run is not self.run:
                if self.run is None:
                    self._silence = "it was prefilled before: begin to record before that"
                return
            first = session.rows[0][0]
            count = first.sequence.length - first.start
            if session.brings_video or (session.parts > 1 and count > 1 and not self._answers):
                self.trace.meta.grids = meta.grids
                return self._extend(session, token_ids, after=first.start)
            # Speculative decoding takes tokens back: what follows replaces them.
            words = [word for word in self.words if word.position < first.start]
            positions = range(first.start, first.sequence.length)
            self._set_words(words + self._spelled(positions, "answer", token_ids, first.start))

    def ran_dense(self, reason: str, *, is_said: bool) -> None:
        """A call ran dense; whether a warning has said so."""
        self._silence = None if is_said else f"it ran dense, for {reason}"

    @property
    def silence(self) -> str | None:
        """Why nothing was recorded although something was expected, as the end of a sentence."""
        if not self.is_called:
            return "this model was not called inside the block"
        return self._silence if self.run is None else None

    def attention(self, run: object, layer: int, segment: Segment, choice: Choice) -> None:
        """One segment's choice in one layer."""
        with self._lock:
            if run is not self.run:
                return
            into, probs, kept = self.layers[layer], choice.probs, choice.kept
            if segment.is_text:
                # Copies: what a backend hands over may be a part of its tables of all segments.
                into.words.append((self._places(segment), probs.clone(), kept.clone()))
            if self._answers:
                return
            attending = _heads_attending(segment, kept)
            if segment.is_text:
                totals = attending.sum(0).cpu().numpy()
            else:
                totals = self._add_cubes(into, segment, attending)
                nats = entropy(probs) if choice.entropy is None else choice.entropy
                into.nats.append((segment, nats))
            into.executed_pairs += choice.executed_pairs
            _count_pairs(into, segment, attending, totals, len(kept))

    def tally(self, run: object, layer: int, tally: Tally) -> None:
        """The choices of many segments in one layer; the device is not waited for."""
        with self._lock:
            if run is not self.run:
                return
            into = self.layers[layer]
            for segment, probs, kept in tally.words:
                into.words.append((self._places(segment), probs, kept))
            if self._answers:
                return
            video = [segment for segment in tally.segments if not segment.is_text]
            rows = summed_rows(tally, self.query_cubes)
            figures = None
            if video:
                counts, own_cube = self._choices(video)
                figures = own_cube, figures_of(tally.entropies, counts)
            into.tallies.append(Summed(*rows, figures, tally.pairs()))
            for name, pairs in self._pairs(tally.segments).items():
                setattr(into, name, getattr(into, name) + len(tally.entropies) * pairs)

    def ffn(
        self, run: object, layer: int, kept: Tensor, importance: Tensor, ratios: Tensor
    ) -> None:
        """One layer's FFN choice, bool [V] and fp32 [V], and its `inertia`, fp32 [n]."""
        with self._lock:
            if run is not self.run:
                return
            into = self.layers[layer]
            into.ffn.append(Kept(self._start, kept, importance.detach(), ratios.detach()))
            self._add_entropies(into)  # this layer's attention is over

    def finish(self) -> None:
        """Reduce, pack and copy to the host: fills the trace's arrays."""
        with self._lock:
            if self.sequence is not None:
                self._settle()
                finish(self, self.sequence)

    @property
    def _answers(self) -> bool:
        """Whether words of the answer have come: the prompt is over."""
        return len(self.words) > self.prompt_words

    def _extend(self, session: Session, token_ids: Tensor | None, *, after: int) -> None:
        """The prompt as far as it has come; its words from position `after` on are new."""
        self._settle()
        first = session.rows[0][0]
        self.sequence, self._start = first.sequence, first.start
        self._grow(first.sequence.layout.cubes)
        video = first.sequence.video_positions
        start = int(video[0]) if len(video) else -1
        new = [p for p in first.sequence.text_positions.tolist() if p >= after]
        words = [
            word
            for kind, positions in (
                ("prompt", [p for p in new if p <= start]),
                ("question", [p for p in new if p > start]),
            )
            for word in self._spelled(positions, kind, token_ids, first.start)
        ]
        self._set_words(self.words + words)
        self.prompt_words = len(self.words)

    def _settle(self) -> None:
        """Add up what is still on the device."""
        for layer in self.layers:
            self._add_entropies(layer)
        settle(self.layers)

    def _places(self, segment: Segment) -> NDArray[np.int64]:
        """Where the words of a segment stand among all: the same in all layers."""
        if (known := self._known_places.get(id(segment))) is None:
            found = np.searchsorted(self._positions, segment.positions.cpu().numpy())
            self._known_places[id(segment)] = known = segment, found  # held, so that ids stay
        return known[1]

    def _spelled(
        self, positions: Any, kind: str, token_ids: Tensor | None, offset: int
    ) -> list[Word]:
        """Words not yet named; the ids are those of the tokens from position `offset` on."""
        ids = None if token_ids is None else token_ids.tolist()
        words: list[Word] = []
        for position in positions:
            token = None if ids is None or position < offset else ids[position - offset]
            words.append(Word(kind=kind, position=position, id=token))
        return words

    def _set_words(self, words: list[Word]) -> None:
        self.words = words
        self._known_places: dict[int, tuple[Segment, NDArray[np.int64]]] = {}
        self._positions = np.array([word.position for word in words], np.int64)

    def _grow(self, cubes: int) -> None:
        """Room for so many cubes; where the table would be too large, an even sample of rows."""
        known = self.layers[0].attended.shape[1] if self.layers else 0
        rows = np.concatenate([self.query_cubes, np.arange(known, cubes)])
        most = max(1, QUERY_TABLE_BYTES // max(1, len(self.layers) * cubes))
        stay = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int))
        self.query_cubes = rows[stay].astype(np.int64)
        self.trace.meta.sampled_query_cubes = len(self.query_cubes) < cubes
        for layer in self.layers:
            old = layer.attended[stay[stay < len(layer.attended)]]
            layer.attended = np.zeros((len(stay), cubes), np.int64)
            layer.attended[: len(old), :known] = old
            more = torch.zeros(3, cubes - known)
            layer.cube_sums = torch.cat([layer.cube_sums, more], 1)

    def _add_cubes(self, into: Layer, segment: Segment, attending: Tensor) -> NDArray[np.int64]:
        """Add up who attends to which cube, by query cube; returns the sums over all, [C]."""
        first, end = segment.partial_cube, segment.end_cube
        counts = segment.query_from_own_cube @ attending.float()  # exact: they are below 2^24
        sums = counts.long().cpu().numpy()
        here = slice(*np.searchsorted(self.query_cubes, (first, end)))
        into.attended[here, :end] += sums[self.query_cubes[here] - first]
        totals: NDArray[np.int64] = sums.sum(0)
        return totals

    def _add_entropies(self, into: Layer) -> None:
        """Add what the segments' entropies have come to, all in one sum: there are many."""
        if not into.nats:
            return
        counts, own_cube = self._choices([segment for segment, _ in into.nats])
        nats = torch.cat([values for _, values in into.nats], dim=1)  # [H, n]
        into.nats.clear()
        into.cube_sums.index_add_(1, own_cube, figures_of(nats, counts).cpu())

    def _pairs(self, segments: Sequence[Segment]) -> dict[str, int]:
        """`closed_forms`, the same in all layers."""
        key = tuple(map(id, segments))
        if key not in self._known_pairs:
            self._known_pairs[key] = segments, closed_forms(segments)  # held, so that ids stay
        return self._known_pairs[key][1]

    def _choices(self, segments: list[Segment]) -> tuple[Tensor, Tensor]:
        """How many candidates each query has, and on the host its cube: the same in all layers."""
        key = tuple(map(id, segments))
        if key not in self._known:
            counts = torch.cat([segment.candidate_counts for segment in segments])
            own_cube = torch.cat([segment.own_cube for segment in segments])
            self._known[key] = segments, counts, own_cube.cpu()  # held, so that ids stay theirs
        _, counts, own_cube = self._known[key]
        return counts, own_cube


def _empty_layer() -> Layer:
    return Layer(np.zeros((0, 0), np.int64), torch.zeros(3, 0))


def _heads_attending(segment: Segment, kept: Tensor) -> Tensor:
    """uint8 [n, C]: how many heads of each query attend to each cube. (No model has 256 heads.)"""
    attended = kept | segment.own_mask
    return attended.view(torch.uint8).sum(0, dtype=torch.uint8)


def _count_pairs(
    into: Layer, segment: Segment, attending: Tensor, totals: NDArray[np.int64], heads: int
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
