"""What a recording was told of all layers: it waits where it is until there is much of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.method.attention import Choice
from adaspark.method.segment import Segment
from adaspark.method.selection import entropy
from adaspark.method.tally import Later, Tally, Words
from adaspark.trace.recorder_known import ByIdentity
from adaspark.trace.recorder_later import LaterTallies
from adaspark.trace.recorder_layer import Choices, Layer, Summed
from adaspark.trace.recorder_sums import (
    choices_of,
    reduce_entropies,
    settle,
    summed_rows,
)
from adaspark.trace.recorder_table import add_cubes, grown
from adaspark.trace.word_rows import Told, WordRows, reduced, word_rows

TOGETHER_BYTES = 2**27
"""Bounds the probabilities that are found together."""
Places = Callable[[Segment], NDArray[np.int64]]
"""Where the words of a segment stand among all."""
WAITING_ENTROPY_BYTES = 2**26
"""Bounds the entropies that wait on the device for those of other layers."""
WAITING_HOST_BYTES = 2**23
"""Bounds the sums on the host that wait for those of other layers: small ones are added up in fewer
calls, and a large one's memory is used again for the next.
"""


class LayerSums:
    """What was chosen in the layers of one prompt: `layers`, with a row of their tables by cube for
    each of `query_cubes`. Sums of many segments wait for no device until they `settle`.
    """

    def __init__(self, layers: int) -> None:
        self.layers = [Layer.empty() for _ in range(layers)]
        self.query_cubes: NDArray[np.int64] = np.zeros(0, np.int64)
        self.word_bytes = 0
        self._entropy_bytes = 0
        self._host_bytes = 0
        self._later = LaterTallies()
        self._forget_known()

    def _forget_known(self) -> None:
        self._known_choices: ByIdentity[Choices] = ByIdentity()

    @property
    def nbytes(self) -> int:
        """Of what is held of the layers, and of what is yet to be added to them."""
        held = sum(layer.nbytes for layer in self.layers)
        return held + self._later.nbytes + self.word_bytes

    def forked(self) -> LayerSums:
        """The same, to be added to apart from these."""
        made = copy(self)
        made._forget_known()
        made.layers = [layer.forked() for layer in self.layers]
        made._later = self._later.forked()
        return made

    def grow(self, cubes: int, coming: int) -> None:
        """Make room for so many cubes, of `coming` that are announced."""
        self.settle()
        self.query_cubes = grown(self.layers, self.query_cubes, cubes, coming)

    def add_words(self, layer: int, places: NDArray[np.int64], probs: Tensor, kept: Tensor) -> None:
        """Keep what words chose as it comes, [H, m, C] each: to reduce takes longer."""
        self.layers[layer].words.append((places, probs, kept))
        self.word_bytes += probs.nbytes + kept.nbytes

    def words_reduced(self, places: Places, of: Told, heads: int) -> list[WordRows]:
        """All that words chose, small; none of it is held here any more."""
        self.word_bytes = 0
        rows = [*_later(self.layers, places, of, heads)]
        for number, layer in enumerate(self.layers):
            rows.extend(reduced(layer.words, number, of=of))
            layer.words.clear()
            layer.later.clear()
        return rows

    def add_choice(self, layer: int, segment: Segment, choice: Choice) -> None:
        """Add one segment's."""
        into, heads = self.layers[layer], len(choice.kept)
        attending = segment.heads_attending(choice.kept)
        if not segment.is_text:
            add_cubes(into, self.query_cubes, segment.runs, attending)
            nats = entropy(choice.probs) if choice.entropy is None else choice.entropy
            into.nats.append((segment, nats))
            self._wait(nats)
        into.executed_pairs += choice.executed_pairs
        into.computed_pairs += int(segment.computed_pairs(attending, heads).sum())
        into.weighed_pairs += heads * segment.weighed_pairs
        into.causal_pairs += heads * segment.causal_pairs

    def add_tally(self, layer: int, tally: Tally | Later, *, words_alone: bool) -> None:
        """Add what many segments chose, of an answer its words alone. What may be summed later does
        not keep the next layer waiting.
        """
        if isinstance(tally, Tally):
            return self._add(layer, tally, words_alone)
        self._later.add(layer, tally, words_alone)
        if self._later.are_many:
            self.sum_later()

    def sum_later(self) -> None:
        """What was told to be summed later is."""
        for layer, tally, words_alone in self._later.taken():
            self._add(layer, tally, words_alone)

    def _add(self, layer: int, tally: Tally, words_alone: bool) -> None:
        into = self.layers[layer]
        if tally.words is not None:
            into.later.append(tally.words)
            self.word_bytes += tally.words.nbytes
        if words_alone:
            return
        rows = summed_rows(tally, self.query_cubes)
        into.tallies.append(Summed(*rows, tally.pairs))
        choices = self._known_choices.get(tally.segments, choices_of)
        if len(choices.counts):
            into.entropies.append((choices, tally.entropies))
            self._wait(tally.entropies)
        into.forms.append((len(tally.entropies), choices.pairs))
        if tally.attended.device.type == "cpu":  # no device to wait for
            self._host_bytes += rows[1].nbytes + tally.entropies.nbytes
            if self._host_bytes > WAITING_HOST_BYTES:
                self.settle()

    def _wait(self, entropies: Tensor) -> None:
        """Entropies may wait for those of other layers, as long as there is room for them."""
        self._entropy_bytes += entropies.nbytes
        if self._entropy_bytes > WAITING_ENTROPY_BYTES:
            self._reduce_entropies()

    def _reduce_entropies(self) -> None:
        self._entropy_bytes = 0
        for layer in self.layers:
            if layer.nats:
                segments = [segment for segment, _ in layer.nats]
                choices = self._known_choices.get(segments, choices_of)
                nats = torch.cat([values for _, values in layer.nats], dim=1)  # [H, n]
                layer.entropies.append((choices, nats))
                layer.nats.clear()
        reduce_entropies(self.layers)

    def settle(self) -> None:
        """Add up all that waits."""
        self.sum_later()
        self._reduce_entropies()
        settle(self.layers)
        self._host_bytes = 0


def _later(layers: Sequence[Layer], places: Places, of: Told, heads: int) -> Iterator[WordRows]:
    """Words that are yet to be found, by their turn in each layer."""
    for turn in range(max((len(layer.later) for layer in layers), default=0)):
        there = [
            (i, layer.later[turn]) for i, layer in enumerate(layers) if turn < len(layer.later)
        ]
        for _, run in groupby(enumerate(there), lambda at: _kind(at[0], *at[1])):
            alike = [words for _, words in run]
            first, words = alike[0]
            at_once = _at_once(words, heads)
            for start in range(0, len(alike), at_once):
                part = [words for _, words in alike[start : start + at_once]]
                for segment, probs, kept in words.found(part):
                    if not segment.end_cube:
                        continue  # it stands before all video: nothing to tell
                    tables = probs.transpose(1, 2), kept.transpose(1, 2)
                    yield word_rows(places(segment), first + start, *tables, of=of)


def _kind(turn: int, layer: int, words: Words) -> tuple[Any, ...]:
    """What consecutive layers must share so that their words can be found together."""
    return layer - turn, type(words), words.device, *map(id, words.segments)


def _at_once(words: Words, heads: int) -> int:
    """How many layers' words may be found together."""
    largest = max((len(s.positions) * s.end_cube for s in words.segments), default=1)
    return max(1, TOGETHER_BYTES // (4 * heads * max(largest, 1)))
