"""The table twin of every figure: the same numbers as rows, for readers and for CSV.

A row is a dict from column name to a number, a text, or None where nothing is known; all rows of a
table have the same columns. Shares are from 0 to 1; units stand in the names.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from viz.data import series
from viz.data.queries import Looked, Query, seen_by
from viz.data.statistics import TraceView

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

Row = dict[str, str | int | float | None]
_PLACE = ("video", "first slice", "end slice", "first row", "end row", "first column", "end column")


def table(
    name: str, trace: Trace | TraceView, *, layer: int = 0, query: Query | None = None
) -> list[Row]:
    """The rows behind the figure of a name in TABLES; those of one layer are of `layer`, and those
    of choices hold the word, cube or head of the `query` that is looked at too.
    """
    view = seen_by(name, TraceView.of(trace))
    return TABLES[name](Looked(view, layer, query or Query()).within())


def csv_text(rows: Sequence[Row]) -> str:
    """Rows as CSV with a header line (RFC 4180); an unknown value is an empty field."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _lines(lines: Sequence[series.Line], x: str) -> list[Row]:
    """One row an x, one column a line."""
    xs = lines[0].x if lines else []
    rows: list[Row] = []
    for i, at in enumerate(xs):
        row: Row = {x: int(at) if at == int(at) else at}
        row.update({line.name: line.y[i] for line in lines})
        rows.append(row)
    return rows


def _over_time(at: Looked) -> list[Row]:
    return _lines(series.entropy_over_time(at.view, at.layer), series.slice_times(at.view)[1])


def _statistics(at: Looked) -> list[Row]:
    view = at.view
    cubes = [
        series.Line(f"{line.name}: cubes attended", line.role, line.x, line.y)
        for line in series.kept_cubes(view, at)
    ]
    passed = series.passed_tokens(view)[0]
    name = "Share of video tokens through the FFN"
    return _lines([*cubes, series.Line(name, passed.role, passed.x, passed.y)], "Layer")


def _inertia(at: Looked) -> list[Row]:
    parts = zip(("mean", "standard deviation"), series.ffn_inertia(at.view), strict=True)
    lines = [
        series.Line(f"{line.name}: {what} of output / input norm", line.role, line.x, line.y)
        for what, found in parts
        for line in found
    ]
    return _lines(lines, "Layer")


def _concentration(at: Looked) -> list[Row]:
    lines = [
        series.Line(f"{name}: {line.name}", line.role, line.x, line.y)
        for name, found in series.concentrated(at)
        for line in found
    ]
    return _lines(lines, "Layer")


def _cubes(at: Looked, layers: Sequence[int]) -> list[Row]:
    """One row a layer and cube: where it lies (ends exclusive) and the share of each kind, and of
    what is looked at.
    """
    view = at.view
    kept = {str(kind): view.kept(kind) for kind in view.kinds}
    if at.is_particular:
        kept[at.name()] = at.shares()
    return [
        {
            "layer": layer,
            "cube": cube,
            **dict(zip(_PLACE, bounds, strict=True)),
            **{
                f"{_verb(view, kind)}, {kind}": round(float(kept[kind][layer, cube]), 5)
                for kind in kept
            },
        }
        for layer in layers
        for cube, bounds in enumerate(view.trace.bounds.tolist())
    ]


def _verb(view: TraceView, whose: str) -> str:
    """What a cube is to a query: words that read everything look at some, see `viz.data.lens`."""
    return "kept" if view.stands_for is None or whose == "video" else "looked at"


def _heads(at: Looked) -> list[Row]:
    """One row a layer and head: the cubes that it keeps, by kind of word, and for the word that is
    looked at.
    """
    view, whole = at.view, at.all_heads()
    counts = {
        str(kind): Looked(view, query=Query(kind=kind)).kept_by_head()
        for kind in view.kinds
        if kind != "video"
    }
    if whole.is_of_words and whole.is_particular:
        counts[whole.name()] = whole.kept_by_head()
    shape = next(iter(counts.values())).shape if counts else (0, 0)
    return [
        {"layer": layer, "head": head}
        | {
            f"cubes {_verb(view, kind)}, {kind}": round(float(counts[kind][layer, head]), 4)
            for kind in counts
        }
        for layer, head in np.ndindex(*shape)
    ]


def _tokens(at: Looked) -> list[Row]:
    """One row a video token of a layer: its place and whether it passed through the FFN."""
    view, layer = at.view, at.layer
    mask, importance = view.trace.ffn_mask(), view.trace.ffn_importance
    places = [
        (video, *place) for video, grid in enumerate(view.grids) for place in np.ndindex(*grid)
    ]
    return [
        {
            "layer": layer,
            "video": video,
            "slice": slice_,
            "row": row,
            "column": column,
            "passed": int(mask[layer, token]),
            "importance": float(importance[layer, token]),
        }
        for token, (video, slice_, row, column) in enumerate(places if mask.size else [])
    ]


def _cost(at: Looked) -> list[Row]:
    view = at.view
    counted: list[Row] = [
        {"what": f"{name}: {series.part_name(part)}", "how": "counted", "unit": "FLOP"}
        | {"value": value}
        for name, parts in series.flops_parts(view).items()
        for part, value in parts.items()
    ]
    measured: list[Row] = [
        {"what": name, "how": "measured", "unit": "s", "value": secs}
        for name, secs in series.measured(view).items()
    ]
    return counted + measured


TABLES: dict[str, Callable[[Looked], list[Row]]] = {
    "entropy_by_layer": lambda at: _lines(series.entropy_by_layer(at.view, at), "Layer"),
    "entropy_over_time": _over_time,
    "effective_cubes": lambda at: _lines(series.effective_cubes(at.view, at), "Layer"),
    "layer_density": lambda at: _lines(series.layer_density(at.view), "Layer"),
    "layer_statistics": _statistics,
    "ffn_inertia": _inertia,
    "concentration": _concentration,
    "selection_maps": lambda at: _cubes(at, range(len(at.view.trace.computed_pairs))),
    "selection_map": lambda at: _cubes(at, [at.layer]),
    "heads_by_layer": _heads,
    "ffn_masks": _tokens,
    "flops": _cost,
}
"""Every table by the name of its figure in `viz.figures.figures.FIGURES`."""
