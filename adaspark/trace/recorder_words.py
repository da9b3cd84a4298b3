"""What a recorder was told of words, made small: of many layers together where they are alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaspark.method.segment import Segment
from adaspark.method.tally import Words
from adaspark.trace.recorder_layer import Layer
from adaspark.trace.word_rows import Told, WordRows, reduced, word_rows

TOGETHER_BYTES = 2**27
"""Bounds the probabilities that are found together."""
Places = Callable[[Segment], NDArray[np.int64]]
"""Where the words of a segment stand among all."""


def reduce_words(layers: Sequence[Layer], places: Places, of: Told, heads: int) -> list[WordRows]:
    """All words that the layers hold, which then hold none."""
    rows = [*_later(layers, places, of, heads)]
    for number, layer in enumerate(layers):
        rows.extend(reduced(layer.words, number, of=of))
        layer.words.clear()
        layer.later.clear()
    return rows


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
                    tables = probs.transpose(1, 2), kept.transpose(1, 2)
                    yield word_rows(places(segment), first + start, *tables, of=of)


def _kind(turn: int, layer: int, words: Words) -> tuple[Any, ...]:
    """What consecutive layers must share so that their words can be found together."""
    return layer - turn, type(words), words.device, *map(id, words.segments)


def _at_once(words: Words, heads: int) -> int:
    """How many layers' words may be found together."""
    largest = max((len(s.positions) * s.end_cube for s in words.segments), default=1)
    return max(1, TOGETHER_BYTES // (4 * heads * max(largest, 1)))
