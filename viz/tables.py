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

from viz import series, shares

if TYPE_CHECKING:
    from adaspark.trace import Trace

Row = dict[str, str | int | float | None]
_PLACE = ("video", "first slice", "end slice", "first row", "end row", "first column", "end column")


def table(name: str, trace: Trace, *, layer: int = 0) -> list[Row]:
    """The rows behind the figure of a name in TABLES; those of one layer are of `layer`."""
    within = min(layer, max(len(trace.computed_pairs) - 1, 0))
    return TABLES[name](trace, within)


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


def _over_time(trace: Trace, layer: int) -> list[Row]:
    return _lines(series.entropy_over_time(trace, layer), series.slice_times(trace)[1])


def _statistics(trace: Trace) -> list[Row]:
    cubes = [
        series.Line(f"{line.name}: cubes attended", line.role, line.x, line.y)
        for line in series.kept_cubes(trace)
    ]
    passed = series.passed_tokens(trace)[0]
    name = "Share of video tokens through the FFN"
    return _lines([*cubes, series.Line(name, passed.role, passed.x, passed.y)], "Layer")


def _inertia(trace: Trace) -> list[Row]:
    parts = zip(("mean", "standard deviation"), series.ffn_inertia(trace), strict=True)
    lines = [
        series.Line(f"{line.name}: {what} of output / input norm", line.role, line.x, line.y)
        for what, found in parts
        for line in found
    ]
    return _lines(lines, "Layer")


def _concentration(trace: Trace) -> list[Row]:
    lines = [
        series.Line(f"{series.QUERY_NAMES[kind]}: {line.name}", line.role, line.x, line.y)
        for kind in shares.kinds(trace)
        if kind != "video"
        for line in series.concentration(trace, kind)
    ]
    return _lines(lines, "Layer")


def _cubes(trace: Trace, layers: Sequence[int]) -> list[Row]:
    """One row a layer and cube: where it lies (ends exclusive) and the share of each kind."""
    kept = {kind: shares.kept(trace, kind) for kind in shares.kinds(trace)}
    return [
        {
            "layer": layer,
            "cube": cube,
            **dict(zip(_PLACE, bounds, strict=True)),
            **{f"kept, {kind}": round(float(kept[kind][layer, cube]), 5) for kind in kept},
        }
        for layer in layers
        for cube, bounds in enumerate(trace.bounds.tolist())
    ]


def _tokens(trace: Trace, layer: int) -> list[Row]:
    """One row a video token of a layer: its place and whether it passed through the FFN."""
    mask, importance = trace.ffn_mask(), trace.ffn_importance
    places = [
        (video, *place)
        for video, grid in enumerate(shares.grids(trace))
        for place in np.ndindex(*grid)
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


def _cost(trace: Trace) -> list[Row]:
    counted: list[Row] = [
        {"what": f"{name}: {series.part_name(part)}", "how": "counted", "unit": "FLOP"}
        | {"value": value}
        for name, parts in series.flops_parts(trace).items()
        for part, value in parts.items()
    ]
    measured: list[Row] = [
        {"what": name, "how": "measured", "unit": "s", "value": secs}
        for name, secs in series.measured(trace).items()
    ]
    return counted + measured


TABLES: dict[str, Callable[[Trace, int], list[Row]]] = {
    "entropy_by_layer": lambda trace, layer: _lines(series.entropy_by_layer(trace), "Layer"),
    "entropy_over_time": _over_time,
    "effective_cubes": lambda trace, layer: _lines(series.effective_cubes(trace), "Layer"),
    "layer_density": lambda trace, layer: _lines(series.layer_density(trace), "Layer"),
    "layer_statistics": lambda trace, layer: _statistics(trace),
    "ffn_inertia": lambda trace, layer: _inertia(trace),
    "concentration": lambda trace, layer: _concentration(trace),
    "selection_maps": lambda trace, layer: _cubes(trace, range(len(trace.computed_pairs))),
    "selection_map": lambda trace, layer: _cubes(trace, [layer]),
    "ffn_masks": _tokens,
    "flops": lambda trace, layer: _cost(trace),
}
"""Every table by the name of its figure in `viz.figures.FIGURES`: (trace, layer) -> rows."""
