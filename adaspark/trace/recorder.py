"""The recorder: hears each decision of one prompt and fills a Trace. Compute never waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.method.attention import Choice
from adaspark.method.segment import Segment
from adaspark.method.tally import Later, Tally
from adaspark.method.token_positions import TokenPositions
from adaspark.trace.meta import Meta, Word
from adaspark.trace.recorder_finish import finish
from adaspark.trace.recorder_known import ByIdentity
from adaspark.trace.recorder_layer import Kept
from adaspark.trace.recorder_layers import LayerSums
from adaspark.trace.recorder_mass import DenseMass
from adaspark.trace.recorder_table import coming_cubes
from adaspark.trace.trace import Trace
from adaspark.trace.word_rows import Told, WordRows, word_rows

if TYPE_CHECKING:
    from adaspark.model.prompt_geometry import Session

WAITING_WORD_BYTES = 2**27
"""Bounds what words chose before it is reduced."""


class Recorder:
    """Collects one prompt: a new prefill starts it afresh, later parts and decoding add to it.

    Events come from whichever thread calls the model; those of another `run` than the last one
    that began are not of this prompt and pass by.
    """

    def __init__(self) -> None:
        self.trace = Trace()
        self.run: object = None
        self.is_called = False
        self.sequence: TokenPositions | None = None
        self.sums = LayerSums(0)
        self.words: list[Word] = []
        self.prompt_words = 0
        self.word_rows: list[WordRows] = []
        self.dense = DenseMass()
        self._start = 0  # of the last part of the prompt
        self._positions = np.zeros(0, np.int64)
        self._coming = 0  # cubes of the videos that the prompt's first part announced
        self._silence: str | None = None
        self._lock = RLock()

    def begin(self, session: Session, token_ids: Tensor | None, *, meta: Meta) -> None:
        """A prompt with video starts; the ids int64 [n] of its new tokens where known."""
        with self._lock:
            first = session.rows[0][0]
            self.run, self._silence = session.run, None
            self.sums = LayerSums(meta.shape["layers"])
            self.word_rows, self.dense = [], DenseMass()
            self._set_words([])
            self.trace.meta = replace(meta)
            self._coming = coming_cubes(meta)
            self._extend(session, token_ids, after=0)
            before = first.sequence.tokens_before(first.start)  # text alone, which was dense
            pairs = meta.shape["heads"] * before * (before + 1) // 2
            for i in meta.attention_layers or range(len(self.sums.layers)):
                layer = self.sums.layers[i]
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
            if session.is_prompt or (session.parts > 1 and count > 1 and not self._answers):
                self.trace.meta.grids = meta.grids
                return self._extend(session, token_ids, after=first.start)
            self.sums.sum_later()  # not before the first word: it may take long
            # Speculative decoding takes tokens back: what follows replaces them.
            words = [word for word in self.words if word.position < first.start]
            positions = range(first.start, first.sequence.length)
            self._set_words(words + Word.unnamed("answer", positions, _ids(token_ids), first.start))

    def ran_dense(self, reason: str, *, is_said: bool) -> None:
        """A call ran dense; whether a warning has said so."""
        self._silence = None if is_said else f"it ran dense, for {reason}"

    @property
    def nbytes(self) -> int:
        """Of what is held of the layers, and of what is yet to be added to them."""
        with self._lock:
            return self.sums.nbytes

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
            if segment.is_text:
                # Copies: what a backend hands over may be a part of its tables of all segments.
                told = choice.probs.clone(), choice.kept.clone()
                self.sums.add_words(layer, self._places(segment), *told)
                self._bound_words()
            if not self._answers:
                self.sums.add_choice(layer, segment, choice)

    def tally(self, run: object, layer: int, tally: Tally | Later) -> None:
        """The choices of many segments in one layer; what may be summed later does not keep the
        next layer waiting, nor is a device waited for unless there are many words.
        """
        with self._lock:
            if run is not self.run:
                return
            self.sums.add_tally(layer, tally, words_alone=self._answers)
            self._bound_words()

    def dense_mass(self, run: object, layer: int, segment: Segment, mass: Tensor) -> None:
        """What dense attention gives each cube, fp32 [H, m, C], of one segment of text."""
        with self._lock:
            if run is self.run:
                self.dense.add(layer, self._places(segment), self._told.spatial(mass))

    def ffn(
        self,
        run: object,
        layer: int,
        kept: Tensor,
        importance: Tensor,
        moved: tuple[Tensor, Tensor],
    ) -> None:
        """One layer's FFN choice, bool [V] and fp32 [V], and what its `inertia` is of, fp32 [n]:
        the norms of its output, and of the stream.
        """
        with self._lock:
            if run is not self.run:
                return
            part = Kept(self._start, kept, importance.detach(), *map(torch.detach, moved))
            self.sums.layers[layer].ffn.append(part)

    def answer(self, session: Session, ids: Sequence[int], probs: Tensor, kept: Tensor) -> None:
        """Words of the answer at once: all that follow the prompt of `session`, with their
        probabilities fp32 and choices bool [L, n, H, C] in all layers.
        """
        with self._lock:
            if session.run is not self.run:
                return
            self.goes_on(session, torch.tensor(ids), meta=self.trace.meta)
            start = session.rows[0][0].start
            index = np.searchsorted(self._positions, np.arange(start, start + len(ids)))
            self.word_rows.append(word_rows(index, 0, probs, kept, of=self._told))

    def forked(self) -> Recorder:
        """The same so far, to be added to apart from this; the device is not waited for."""
        made = Recorder()
        with self._lock:
            made._copy(self)
        return made

    def take_up(self, other: Recorder) -> None:
        """Go on from where `other` stands; what either is told from now on the other is not."""
        with other._lock, self._lock:
            other.sums.settle()
            other._reduce_words()
            self._copy(other)

    def _copy(self, other: Recorder) -> None:
        own = {"trace": self.trace, "_lock": self._lock}
        vars(self).update({**vars(other), **own})
        self.sums = other.sums.forked()
        self.word_rows, self.dense = list(other.word_rows), other.dense.forked()
        self._set_words([replace(word) for word in other.words])
        self.trace.meta = replace(other.trace.meta)

    def finish(self) -> None:
        """Reduce, pack and copy to the host: fills the trace's arrays."""
        with self._lock:
            if self.sequence is not None:
                self.sums.settle()
                self._reduce_words()
                finish(self, self.sequence)

    @property
    def _answers(self) -> bool:
        """Whether words of the answer have come: the prompt is over."""
        return len(self.words) > self.prompt_words

    def _extend(self, session: Session, token_ids: Tensor | None, *, after: int) -> None:
        """The prompt as far as it has come; its words from position `after` on are new."""
        first = session.rows[0][0]
        self.sequence, self._start = first.sequence, first.start
        if session.brings_video:
            cubes = first.sequence.layout.cubes
            self.sums.grow(cubes, self._coming)
            self.trace.meta.sampled_query_cubes = len(self.sums.query_cubes) < cubes
        video = first.sequence.video_positions
        start = int(video[0]) if len(video) else -1
        new = [p for p in first.sequence.text_positions.tolist() if p >= after]
        words = [
            word
            for kind, positions in (
                ("prompt", [p for p in new if p <= start]),
                ("question", [p for p in new if p > start]),
            )
            for word in Word.unnamed(kind, positions, _ids(token_ids), first.start)
        ]
        self._set_words(self.words + words)
        self.prompt_words = len(self.words)

    @property
    def _told(self) -> Told:
        layout = None if self.sequence is None else self.sequence.layout
        shown = layout.is_spatial if layout is not None and layout.has_stamps else None
        return Told(len(self.sums.layers), shown)

    def _bound_words(self) -> None:
        if self.sums.word_bytes > WAITING_WORD_BYTES:
            self._reduce_words()

    def _reduce_words(self) -> None:
        heads = self.trace.meta.shape["heads"]
        self.word_rows += self.sums.words_reduced(self._places, self._told, heads)

    def _places(self, segment: Segment) -> NDArray[np.int64]:
        """Where the words of a segment stand among all: the same in all layers."""
        return self._known_places.get([segment], self._found_places)

    def _found_places(self, segments: Sequence[Segment]) -> NDArray[np.int64]:
        return np.searchsorted(self._positions, segments[0].positions.cpu().numpy())

    def _set_words(self, words: list[Word]) -> None:
        self.words = words
        self._known_places: ByIdentity[NDArray[np.int64]] = ByIdentity()
        self._positions = np.array([word.position for word in words], np.int64)


def _ids(tokens: Tensor | None) -> list[int] | None:
    return None if tokens is None else tokens.tolist()
