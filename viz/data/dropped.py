"""What a sparse run left out of dense attention: the mass that lies on the cubes it dropped.

A dense run of the same video and question says what its attention gives each cube; the sparse run
says which of them the same query kept. A query is the same in both as long as all words before it
are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viz.data.packing import finite_or_none, packed
from viz.data.queries import Looked, heads_of, rows_of

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace


@dataclass(frozen=True, eq=False)
class Dropped:
    """Shares of a query's dense attention to the video, the mean of its words and heads.

    `mass` float32 [L, C] lies on cubes that the sparse run dropped, `held` float32 [L] on those it
    kept; NaN in a layer of which it is not known. `is_measured`: by the dense run's true keys; else
    estimated by their means, as cubes are chosen. `is_least`: long runs list some cubes alone, and
    `held` is of those. Of `asked` words `words` are the same in both runs.
    """

    mass: NDArray[np.float32]
    held: NDArray[np.float32]
    is_measured: bool
    is_least: bool
    words: int
    asked: int


def dropped(sparse: Looked, dense: Trace) -> Dropped | None:
    """Hold the query that is looked at in a sparse run against a dense one; None if they share none
    of its words, or do not have the same cubes and heads.
    """
    view, query, trace = sparse.view, sparse.query, sparse.view.trace
    asked, shared = rows_of(view, query), _shared(trace, dense)
    rows = [row for row in asked if row < shared]
    alike = trace.word_kept.shape[::2] == dense.word_kept.shape[::2]
    if not rows or not alike or not np.array_equal(trace.bounds, dense.bounds):
        return None
    is_measured = dense.dense_mass.size > 0
    of_dense = dense.dense_mass_in if is_measured else dense.word_mass_in
    heads = heads_of(view, query)
    found = []
    for layer in range(len(trace.computed_pairs)):
        mass = of_dense(layer, rows)[:, heads]
        with np.errstate(invalid="ignore"):  # 0 / 0 in a layer that has no attention to cubes
            mass = mass / mass.sum(-1, keepdims=True)
        kept = trace.word_mask_in(layer, rows)[:, heads]
        found.append((mass * ~kept).mean((0, 1)))
    left = np.asarray(found, np.float32)
    is_least = trace.word_cubes.size > 0 or dense.word_cubes.size > 0
    return Dropped(left, 1 - left.sum(-1), is_measured, is_least, len(rows), len(asked))


def dropped_table(sparse: Looked, dense: Trace) -> dict[str, Any] | None:
    """The same, JSON-ready: in layer l and cube c `table / 255 * tops[l]` u8 [L, C] was dropped."""
    found = dropped(sparse, dense)
    if found is None:
        return None
    mass = np.nan_to_num(found.mass)
    tops = mass.max(-1, initial=0)
    codes = np.rint(255 * mass / np.where(tops > 0, tops, 1)[:, None])
    return {
        "held": [finite_or_none(float(held), 6) for held in found.held],
        "tops": [finite_or_none(float(top), 6) for top in tops],
        "table": packed(codes, 8),
        "measured": found.is_measured,
        "least": found.is_least,
        "words": found.words,
        "asked": found.asked,
    }


def _shared(one: Trace, other: Trace) -> int:
    """How many of the first words are the same in both runs."""
    both = zip(one.words, other.words, strict=False)
    same = [(a.kind, a.id, a.text) == (b.kind, b.id, b.text) for a, b in both]
    return same.index(False) if False in same else len(same)
