"""What a recorder holds of one layer until the prompt ends: sums, and what is yet to be summed."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from adaspark.method.segment import Segment
from adaspark.method.tally import Words


class Summed(NamedTuple):
    """What is left of a `Tally`: `attended` int32 [Q, C] belongs to `rows` of the layer's table.

    `pairs()` is that of the tally.
    """

    rows: slice
    attended: Tensor
    pairs: Callable[[], Tensor]


class Choices(NamedTuple):
    """Of the video queries of some segments: how many cubes each may choose from, int64 [n], and
    its own cube, int64 [n]. One for all layers.

    `pairs` int64 [3] of one head follow from where all the segments' queries stand: with text keys
    attended to, with cubes weighed, and (query, key) pairs of dense attention.
    """

    counts: Tensor
    own_cube: Tensor
    pairs: Tensor


class Kept(NamedTuple):
    """The FFN choice of one layer in one part of the prompt, whose tokens begin at `start`.

    `kept` bool [V], `importance` fp32 [V]; fp32 [n] are the norms of what was `moved` by, and of
    the `stream` before.
    """

    start: int
    kept: Tensor
    importance: Tensor
    moved: Tensor
    stream: Tensor


@dataclass(eq=False)
class Layer:
    """One layer's sums. Cube sums run over the queries of a cube, word lists over text tokens."""

    attended: NDArray[np.int32]  # [Q, C] (head, token) pairs that attend to a cube
    cube_sums: NDArray[np.float64]  # [3, C]: entropy, effective cubes, and of how many queries
    nats: list[tuple[Segment, Tensor]] = field(default_factory=list)  # not yet in `entropies`
    entropies: list[tuple[Choices, Tensor]] = field(default_factory=list)  # fp32 [H, n]
    figures: list[tuple[Choices, Tensor]] = field(default_factory=list)  # not yet in `cube_sums`
    words: list[tuple[NDArray[Any], Tensor, Tensor]] = field(default_factory=list)  # as they came
    later: list[Words] = field(default_factory=list)  # words that are yet to be found
    ffn: list[Kept] = field(default_factory=list)
    tallies: list[Summed] = field(default_factory=list)  # yet to be added
    forms: list[tuple[int, Tensor]] = field(default_factory=list)  # heads, and pairs of each
    computed_pairs: int = 0
    executed_pairs: int = 0
    causal_pairs: int = 0
    weighed_pairs: int = 0
    is_blank: bool = False  # whether nothing was added to `attended` yet
    is_shared: bool = False  # whether a fork, or who counted, has these tables by cube too

    def forked(self) -> Layer:
        """The same sums, to be added to apart from these; tables by cube are shared until then."""
        self.is_shared = True
        made = copy(self)
        lists = {name: list(held) for name, held in vars(self).items() if isinstance(held, list)}
        vars(made).update(lists)
        return made

    def own_tables(self) -> None:
        """Before a table by cube is added to: none of a fork's is."""
        if self.is_shared:
            self.attended, self.cube_sums = self.attended.copy(), self.cube_sums.copy()
            self.is_shared = False

    def add_attended(self, rows: slice, table: NDArray[np.int32]) -> None:
        """Add int32 [Q', C'] to some rows of its table; the first that is as large becomes it."""
        if self.is_blank and table.shape == self.attended.shape:
            self.attended, self.is_shared = table, True
        else:
            self.own_tables()
            self.attended[rows, : table.shape[1]] += table
        self.is_blank = False

    @property
    def nbytes(self) -> int:
        """Of the tables by cube, of what is to be added to them, and of what is kept of the FFN:
        most of it.
        """
        waiting = [entropies for _, entropies in self.entropies]
        waiting += [summed.attended for summed in self.tallies]
        of_ffn = [tensor for part in self.ffn for tensor in part[1:]]
        tables = self.attended.nbytes + self.cube_sums.nbytes
        return tables + sum(tensor.nbytes for tensor in (*waiting, *of_ffn))

    @classmethod
    def empty(cls) -> Layer:
        """Of no cube yet."""
        return cls(np.zeros((0, 0), np.int32), np.zeros((3, 0)), is_blank=True)
