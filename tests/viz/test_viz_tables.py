"""Every figure has a table twin that holds the same numbers, and a CSV that reads back."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest
from trace_factory import make_trace

from adaspark.trace.meta import Meta
from adaspark.trace.trace import Trace
from viz.data.statistics import TraceView
from viz.figures import figures
from viz.figures.tables import TABLES


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(grids=((6, 5, 7),), cube=(2, 3, 4), layers=3)


def test_every_figure_has_its_table() -> None:
    assert TABLES.keys() == figures.FIGURES.keys()


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    "shape",
    [{}, {"grids": ()}, {"grids": ((5, 3, 7), (1, 2, 2))}, {"answer": ()}, {"question": ()}],
    ids=["plain", "no video", "two videos", "no answer", "no question"],
)
def test_rows_share_columns_and_read_back_from_csv(name: str, shape: dict[str, Any]) -> None:
    unusual = make_trace(layers=2, **shape)
    rows = figures.table(name, unusual, layer=1)
    assert len({tuple(row) for row in rows}) <= 1
    found = list(csv.DictReader(io.StringIO(figures.csv_text(rows))))
    expected = [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]
    assert found == expected
    unusual.meta = Meta()
    assert isinstance(figures.table(name, unusual, layer=1), list)


@pytest.mark.parametrize(
    "name", ["entropy_by_layer", "entropy_over_time", "effective_cubes", "layer_density"]
)
def test_a_line_of_a_figure_is_a_column_of_its_table(trace: Trace, name: str) -> None:
    rows = figures.table(name, trace, layer=1)
    for line in figures.draw(name, trace, layer=1).data:
        assert [row[line.name] for row in rows] == list(line.y)


def test_statistics_and_concentration_are_their_figures(trace: Trace) -> None:
    rows = figures.table("layer_statistics", trace)
    lines = {line.name: line.y for line in figures.layer_statistics(TraceView(trace)).data}
    assert [row["Question: cubes attended"] for row in rows] == list(lines["Question"])
    assert [row["Share of video tokens through the FFN"] for row in rows] == list(lines["FFN"])
    rows = figures.table("concentration", trace)
    first = figures.attention_concentration(TraceView(trace)).data[0]
    assert [row[f"Question: {first.name}"] for row in rows] == list(first.y)


def test_cubes_and_tokens_are_the_traces(trace: Trace) -> None:
    rows = figures.table("selection_maps", trace)
    kept = TraceView(trace).kept("answer")
    assert len(rows) == kept.size
    for row in rows:
        assert row["kept, answer"] == pytest.approx(kept[row["layer"], row["cube"]], abs=1e-5)
    tokens = figures.table("ffn_masks", trace, layer=2)
    mask = np.zeros((6, 5, 7), int)
    for row in tokens:
        mask[row["slice"], row["row"], row["column"]] = row["passed"]
    assert (mask.reshape(-1) == trace.ffn_mask()[2]).all()


def test_costs_are_counted_and_measured_apart(trace: Trace) -> None:
    rows = figures.table("flops", trace)
    counted = {row["what"]: row["value"] for row in rows if row["how"] == "counted"}
    assert counted["Dense: FFN"] == trace.meta.flops.dense.ffn
    assert {row["unit"] for row in rows if row["how"] == "measured"} == {"s"}
