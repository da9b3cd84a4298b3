"""Figures, their sentences and their tables follow what is looked at: kind, word, cube, head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from trace_factory import make_trace

from adaspark.trace.trace import Trace
from viz.data.queries import Query
from viz.data.series import MASSES
from viz.figures.figures import FIGURES, draw, table

BY_KIND = ("entropy_by_layer", "effective_cubes", "layer_statistics")
OF_THE_QUERY = (*BY_KIND, "concentration", "selection_maps", "selection_map", "heads_by_layer")
ROLE = {"video": "Video tokens", "question": "Question", "answer": "Answer"}


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(grids=((8, 4, 4),), cube=(1, 2, 2), layers=3, heads=4, attn_top_p=0.6)


def caption(name: str, trace: Trace, query: Query) -> str:
    told: str = draw(name, trace, layer=1, query=query).layout.meta["caption"]
    return told


def emitting(trace: Trace) -> int:
    return int(trace.answer_queries()[0])


def widest(figure: Any) -> list[str]:
    return [line.name for line in figure.data if line.line.width == 4]


@pytest.mark.parametrize("name", BY_KIND)
@pytest.mark.parametrize("kind", ROLE)
def test_the_line_and_the_sentence_are_of_the_kind_that_is_looked_at(
    trace: Trace, name: str, kind: str
) -> None:
    figure = draw(name, trace, layer=1, query=Query(kind=kind))
    line = f"Attention, {kind}" if name == "entropy_by_layer" else ROLE[kind]
    assert widest(figure) == [line]
    assert figure.layout.meta["caption"].startswith(f"{line}: ")


@pytest.mark.parametrize("name", BY_KIND)
def test_a_word_and_a_cube_have_a_line_of_their_own(trace: Trace, name: str) -> None:
    row, cube = emitting(trace), int(trace.query_cubes[-1])
    words = {"entropy_by_layer": trace.word_entropy, "effective_cubes": trace.word_effective}
    cubes = {"entropy_by_layer": trace.cube_entropy, "effective_cubes": trace.cube_effective}
    for query, tables, at in ((Query(row=row), words, row), (Query(cube=cube), cubes, cube)):
        figure = draw(name, trace, layer=1, query=query)
        [line] = widest(figure)
        assert figure.layout.meta["caption"].startswith(line)
        [drawn] = [each for each in figure.data if each.name == line]
        if name in tables:
            assert [float(y) for y in drawn.y] == pytest.approx(tables[name][:, at], abs=1e-4)
        assert any(column.startswith(line) for column in table(name, trace, query=query)[0])


@pytest.mark.parametrize("name", ["entropy_by_layer", "effective_cubes"])
def test_what_is_not_recorded_by_head_says_that_it_is_the_mean(trace: Trace, name: str) -> None:
    told = caption(name, trace, Query(kind="answer", head=2))
    assert ", mean of the heads: " in told
    assert "head" not in caption(name, trace, Query(kind="answer"))


def test_one_head_s_cubes_and_concentration_are_its_own(trace: Trace) -> None:
    row, head = emitting(trace), 2
    query = Query(row=row, head=head)
    found = table("concentration", trace, query=query)
    own = [name for name in found[0] if "head 2" in name]
    assert len(own) == len(MASSES) and "head 2: 90 %" in caption("concentration", trace, query)
    for layer in range(3):
        ranked = np.sort(trace.word_mass_in(layer, [row])[0, head])[::-1]
        before = np.cumsum(ranked) - ranked
        needed = [(before < mass).sum() / len(ranked) for mass in MASSES]
        assert [found[layer][name] for name in own] == pytest.approx(needed, abs=1e-4)
    rows = table("selection_maps", trace, query=query)
    kept = trace.word_mask()[:, row, head].ravel()
    [column] = [name for name in rows[0] if "head 2" in name]
    assert [bool(each[column]) for each in rows] == kept.tolist()


def test_concentration_stands_beside_question_and_answer(trace: Trace) -> None:
    assert len(draw("concentration", trace, query=Query(kind="answer")).layout.annotations) == 2
    drawn = draw("concentration", trace, query=Query(row=emitting(trace))).layout.annotations
    assert [each.text for each in drawn][:2] == ["Question", "Answer"]
    assert drawn[2].text.startswith("What produced")
    assert caption("concentration", trace, Query(kind="question")).startswith("The question: ")
    assert caption("concentration", trace, Query(kind="answer")).startswith("What produced the")


@pytest.mark.parametrize("name", FIGURES)
def test_what_looks_at_no_query_is_the_same_for_each(trace: Trace, name: str) -> None:
    told = {caption(name, trace, Query(kind=kind)) for kind in ("question", "answer")}
    assert len(told) == (2 if name in OF_THE_QUERY else 1)
