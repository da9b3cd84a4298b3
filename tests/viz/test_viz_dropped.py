"""What a sparse run dropped of dense attention, against a slow reading of both traces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from trace_factory import make_trace

from adaspark.trace.trace import Trace
from viz.data.dropped import dropped, dropped_table
from viz.data.packing import unpacked
from viz.data.queries import Looked, Query
from viz.data.statistics import TraceView

SPARSE = make_trace(grids=((8, 8, 8),), attn_top_p=0.6)
DENSE = make_trace(grids=((8, 8, 8),), attn_top_p=1.0)
QUERIES = [Query(kind="question"), Query(kind="answer"), Query(row=3), Query(row=3, head=1)]


def looked(query: Query, trace: Trace = SPARSE) -> Looked:
    return Looked(TraceView(trace), query=query)


def slow(query: Query, layer: int, cube: int) -> float:
    """Mean over words and heads of the mass on a cube where it is not kept."""
    view = TraceView(SPARSE)
    rows = [query.row] if query.row is not None else view.word_rows(str(query.kind))
    heads = range(SPARSE.word_kept.shape[2]) if query.head is None else [query.head]
    kept = SPARSE.word_mask()
    found = []
    for row in rows:
        for head in heads:
            mass = DENSE.dense_mass[layer, row, head].astype(float)
            found.append(0.0 if kept[layer, row, head, cube] else mass[cube] / mass.sum())
    return float(np.mean(found))


@pytest.mark.parametrize("query", QUERIES)
def test_it_is_the_mass_on_cubes_that_the_same_query_dropped(query: Query) -> None:
    found = dropped(looked(query), DENSE)
    assert found is not None and found.is_measured and not found.is_least
    layers, cubes = found.mass.shape
    expected = [[slow(query, layer, cube) for cube in range(cubes)] for layer in range(layers)]
    np.testing.assert_allclose(found.mass, expected, atol=1e-6)
    np.testing.assert_allclose(found.held, 1 - np.sum(expected, -1), atol=1e-5)
    assert found.held.min() < 1


def test_the_table_says_the_same_within_half_a_step() -> None:
    found, sent = dropped(looked(QUERIES[0]), DENSE), dropped_table(looked(QUERIES[0]), DENSE)
    assert found is not None and sent is not None
    tops = np.array(sent["tops"])[:, None]
    read = unpacked(sent["table"]) / 255 * tops
    assert (abs(read - found.mass) <= tops / 509).all()
    np.testing.assert_allclose(sent["held"], found.held, atol=1e-6)


def test_without_a_measurement_it_is_the_estimate_and_says_so() -> None:
    old = replace(DENSE, dense_mass=np.zeros((0, 0, 0, 0), np.float16))
    found = dropped(looked(Query(row=3)), old)
    assert found is not None and not found.is_measured
    mass = DENSE.word_probs[2, 3].astype(float)
    kept = SPARSE.word_mask()[2, 3]
    np.testing.assert_allclose(found.held[2], (mass * kept).sum(-1).mean(), atol=2e-3)


def test_words_count_as_long_as_all_before_them_are_the_same() -> None:
    other = make_trace(
        grids=((8, 8, 8),), attn_top_p=1.0, answer=(" the", " square", " is", " red")
    )
    found = dropped(looked(Query(kind="answer")), other)
    assert found is not None and (found.words, found.asked) == (2, 4)
    last = SPARSE.answer_queries()[-1]
    assert dropped(looked(Query(row=int(last))), other) is None
    assert dropped_table(looked(Query(row=int(last))), other) is None


def test_runs_of_other_cubes_and_queries_without_words_have_none() -> None:
    other = make_trace(grids=((8, 8, 8),), cube=(2, 2, 2), attn_top_p=1.0)
    assert dropped(looked(Query(kind="question")), other) is None
    assert dropped(looked(Query(kind="video")), DENSE) is None
    assert dropped(looked(Query(cube=0)), DENSE) is None


def test_a_long_run_that_lists_some_cubes_says_at_least() -> None:
    listed = np.argsort(-SPARSE.word_probs.astype(float), -1)[..., :4].astype(np.int32)
    kept = np.take_along_axis(SPARSE.word_mask(), listed, -1)
    few = replace(
        SPARSE,
        word_cubes=listed,
        word_probs=np.take_along_axis(SPARSE.word_probs, listed, -1),
        word_kept=np.packbits(kept, axis=-1),
    )
    whole = dropped(looked(Query(row=3)), DENSE)
    found = dropped(looked(Query(row=3), few), DENSE)
    assert whole is not None and found is not None and found.is_least
    assert (found.held <= whole.held + 1e-6).all()
