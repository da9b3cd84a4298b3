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
from viz.data.statistics import TraceView

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

Row = dict[str, str | int | float | None]
_PLACE = ("video", "first slice", "end slice", "first row", "end row", "first column", "end column")


def table(name: str, trace: Trace | TraceView, *, layer: int = 0) -> list[Row]:
    """The rows behind the figure of a name in TABLES; those of one layer are of `layer`."""
    view = TraceView.of(trace)
    within = min(layer, max(len(view.trace.computed_pairs) - 1, 0))
    return TABLES[name](view, within)


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


def _over_time(view: TraceView, layer: int) -> list[Row]:
    return _lines(series.entropy_over_time(view, layer), series.slice_times(view)[1])


def _statistics(view: TraceView) -> list[Row]:
    cubes = [
        series.Line(f"{line.name}: cubes attended", line.role, line.x, line.y)
        for line in series.kept_cubes(view)
    ]
    passed = series.passed_tokens(view)[0]
    name = "Share of video tokens through the FFN"
    return _lines([*cubes, series.Line(name, passed.role, passed.x, passed.y)], "Layer")


def _inertia(view: TraceView) -> list[Row]:
    parts = zip(("mean", "standard deviation"), series.ffn_inertia(view), strict=True)
    lines = [
        series.Line(f"{line.name}: {what} of output / input norm", line.role, line.x, line.y)
        for what, found in parts
        for line in found
    ]
    return _lines(lines, "Layer")


def _concentration(view: TraceView) -> list[Row]:
    lines = [
        series.Line(f"{series.QUERY_NAMES[kind]}: {line.name}", line.role, line.x, line.y)
        for kind in view.kinds
        if kind != "video"
        for line in series.concentration(view, kind)
    ]
    return _lines(lines, "Layer")


def _cubes(view: TraceView, layers: Sequence[int]) -> list[Row]:
    """One row a layer and cube: where it lies (ends exclusive) and the share of each kind."""
    kept = {kind: view.kept(kind) for kind in view.kinds}
    return [
        {
            "layer": layer,
            "cube": cube,
            **dict(zip(_PLACE, bounds, strict=True)),
            **{f"kept, {kind}": round(float(kept[kind][layer, cube]), 5) for kind in kept},
        }
        for layer in layers
        for cube, bounds in enumerate(view.trace.bounds.tolist())
    ]


def _tokens(view: TraceView, layer: int) -> list[Row]:
    """One row a video token of a layer: its place and whether it passed through the FFN."""
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


def _cost(view: TraceView) -> list[Row]:
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


TABLES: dict[str, Callable[[TraceView, int], list[Row]]] = {
    "entropy_by_layer": lambda view, layer: _lines(series.entropy_by_layer(view), "Layer"),
    "entropy_over_time": _over_time,
    "effective_cubes": lambda view, layer: _lines(series.effective_cubes(view), "Layer"),
    "layer_density": lambda view, layer: _lines(series.layer_density(view), "Layer"),
    "layer_statistics": lambda view, layer: _statistics(view),
    "ffn_inertia": lambda view, layer: _inertia(view),
    "concentration": lambda view, layer: _concentration(view),
    "selection_maps": lambda view, layer: _cubes(view, range(len(view.trace.computed_pairs))),
    "selection_map": lambda view, layer: _cubes(view, [layer]),
    "ffn_masks": _tokens,
    "flops": lambda view, layer: _cost(view),
}
"""Every table by the name of its figure in `viz.figures.figures.FIGURES`: (view, layer) -> rows."""
