"""Plotly figures of one trace. Traces and options that plotly.js 3 and later all know.

Backgrounds are transparent; text and lines fit the ground named by `theme`. Every line differs in
dash and marker too, every bar part in its pattern.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from viz import series, shares
from viz.palette import CIVIDIS, DASH, MARKER, Theme, colours

if TYPE_CHECKING:
    from adaspark.trace import Trace

PATTERN = {"projections": "", "attention": "/", "ffn": "x", "choosing": ".", "vision": "-"}
PART_ROLE = {
    "projections": "dense",
    "attention": "video",
    "ffn": "ffn",
    "choosing": "answer",
    "vision": "question",
}
MOST_SLICES = 64
"""Slices that `ffn_masks` draws at most; of a longer video an even sample."""


def entropy_by_layer(trace: Trace, *, theme: Theme = "light") -> go.Figure:
    """Normalised entropy by layer: attention of video, question and answer apart, and FFN."""
    figure = _lines(series.entropy_by_layer(trace), theme)
    return _laid_out(figure, theme, "Entropy by layer", "Layer", "Normalised entropy (0 to 1)")


def entropy_over_time(trace: Trace, layer: int, *, theme: Theme = "light") -> go.Figure:
    """Normalised entropy over the video in one layer: attention of video tokens, and FFN."""
    figure = _lines(series.entropy_over_time(trace, layer), theme)
    title = f"Entropy over time, layer {layer}"
    unit = series.slice_times(trace)[1]
    return _laid_out(figure, theme, title, unit, "Normalised entropy (0 to 1)")


def layer_density(trace: Trace, *, theme: Theme = "light") -> go.Figure:
    """Attention density and FFN density by layer."""
    figure = _lines(series.layer_density(trace), theme)
    return _laid_out(figure, theme, "Density by layer", "Layer", "Share computed (0 to 1)")


def flops_breakdown(trace: Trace, *, theme: Theme = "light") -> go.Figure:
    """Counted FLOPs of the prefill by part, dense against AdaSpark; arithmetic, not time."""
    rows, named = series.flops_parts(trace), colours(theme)
    figure = go.Figure()
    for part, name in series.PARTS.items():
        values = [parts.get(part, 0.0) / 1e9 for parts in rows.values()]
        if not any(values):
            continue
        figure.add_bar(
            y=list(rows),
            x=values,
            name=name,
            orientation="h",
            marker={
                "color": named[PART_ROLE[part]],
                "pattern": {"shape": PATTERN[part], "fgcolor": named["panel"], "size": 7},
            },
            hovertemplate=name + ": %{x:.3g} GFLOP<extra>%{y}</extra>",
        )
    figure.update_layout(barmode="stack", yaxis={"autorange": "reversed"})
    figure = _laid_out(figure, theme, series.flops_title(trace), "GFLOP", "")
    return figure.update_yaxes(range=None, autorange="reversed", rangemode="normal")


def selection_maps(
    trace: Trace, *, kind: str | None = None, video: int = 0, theme: Theme = "light"
) -> go.Figure:
    """Small multiples, one a layer: the kept share of each cube of one video.

    Across: slabs of slices; down: the cubes of a slab, row by row. `kind` is "video", "question"
    (the default where there is one) or "answer".
    """
    found = shares.kinds(trace)
    if not found:
        return _laid_out(go.Figure(), theme, "This run had no video", "", "")
    chosen = kind or ("question" if "question" in found else found[0])
    maps, firsts = _maps(trace, chosen, video)
    columns = min(7, len(maps))
    rows = -(-len(maps) // columns)
    titles = [f"Layer {layer}" for layer in range(len(maps))]
    figure = make_subplots(
        rows, columns, subplot_titles=titles, horizontal_spacing=0.015, vertical_spacing=0.25 / rows
    )
    for layer, values in enumerate(maps):
        heat = go.Heatmap(
            z=values.tolist(),
            x=[str(first) for first in firsts],
            coloraxis="coloraxis",
            hovertemplate="from slice %{x}, place %{y}: %{z:.2f}<extra>layer " + f"{layer}</extra>",
        )
        figure.add_trace(heat, layer // columns + 1, layer % columns + 1)
    name = series.QUERY_NAMES[chosen].lower()
    title = f"Share of cubes kept, {name}; across: slices, down: places in the picture"
    figure = _laid_out(figure, theme, title, "", "", height=110 + 130 * rows)
    figure.update_layout(coloraxis=_share_axis("Share kept"))
    figure.update_annotations(font={"size": 12})
    return figure.update_xaxes(showticklabels=False, showgrid=False).update_yaxes(
        showticklabels=False, showgrid=False, autorange="reversed", range=None
    )


def ffn_masks(trace: Trace, layer: int, *, video: int = 0, theme: Theme = "light") -> go.Figure:
    """The tokens of one video that passed through the FFN in one layer, slice beside slice."""
    sides = shares.grids(trace)
    if not sides:
        return _laid_out(go.Figure(), theme, "This run had no video", "", "")
    first = sum(t * h * w for t, h, w in sides[:video])
    slices, rows, columns = sides[video]
    bits = trace.ffn_mask()[layer, first : first + slices * rows * columns]
    masks = bits.reshape(slices, rows, columns).astype(float)
    shown = np.unique(np.linspace(0, slices - 1, min(slices, MOST_SLICES)).round().astype(int))
    picture, places = _mosaic(masks[shown])
    named = colours(theme)
    heat = go.Heatmap(
        z=[[None if np.isnan(v) else v for v in row] for row in picture],
        zmin=0,
        zmax=1,
        colorscale=[[0, named["line"]], [1, named["ffn"]]],
        showscale=False,
        hoverinfo="skip",
    )
    figure = go.Figure(heat)
    for index, (row, column) in zip(shown, places, strict=True):
        text = {"text": str(index), "font": {"size": 10}, "showarrow": False}
        figure.add_annotation(x=column + columns / 2 - 0.5, y=row - 1, **text)
    title = f"Tokens through the FFN (filled), layer {layer}, by slice"
    height = 90 + 900 * picture.shape[0] / picture.shape[1]
    figure = _laid_out(figure, theme, title, "", "", height=int(min(900, max(220, height))))
    figure.update_xaxes(visible=False)
    figure.update_yaxes(scaleanchor="x", constrain="domain", constraintoward="top")
    return figure.update_yaxes(visible=False, range=None, autorange="reversed")


def _lines(lines: list[series.Line], theme: Theme) -> go.Figure:
    figure, named = go.Figure(), colours(theme)
    for line in lines:
        figure.add_scatter(
            x=line.x,
            y=line.y,
            name=line.name,
            mode="lines+markers",
            line={"color": named[line.role], "dash": DASH[line.role], "width": 2},
            marker={"symbol": MARKER[line.role], "size": 7},
            hovertemplate="%{y:.3f}<extra>" + line.name + ", %{x}</extra>",
        )
    return figure


def _laid_out(
    figure: go.Figure, theme: Theme, title: str, x: str, y: str, *, height: int = 340
) -> go.Figure:
    named, clear = colours(theme), "rgba(0,0,0,0)"
    axis = {"gridcolor": named["line"], "zerolinecolor": named["line"], "automargin": True}
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 15}},
        font={"family": "system-ui, sans-serif", "size": 13, "color": named["text"]},
        paper_bgcolor=clear,
        plot_bgcolor=clear,
        hoverlabel={"bgcolor": named["raised"], "font": {"color": named["text"]}},
        legend={"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top", "traceorder": "normal"},
        margin={"l": 8, "r": 8, "t": 48, "b": 8},
        height=height,
    )
    figure.update_xaxes(title={"text": x, "font": {"size": 13}}, **axis)
    y_title = {"text": y, "font": {"size": 13}}
    return figure.update_yaxes(title=y_title, range=[-0.02, 1.05], **axis)


def _share_axis(title: str) -> dict[str, object]:
    steps = np.linspace(0, 1, len(CIVIDIS))
    scale = [[float(at), colour] for at, colour in zip(steps, CIVIDIS, strict=True)]
    bar = {"title": {"text": title}, "thickness": 12, "outlinewidth": 0}
    return {"cmin": 0, "cmax": 1, "colorscale": scale, "colorbar": bar}


def _maps(trace: Trace, kind: str, video: int) -> tuple[NDArray[np.float32], list[int]]:
    """[L, places, slabs] shares of one video's cubes, and the first slice of each slab."""
    mine = trace.bounds[:, 0] == video
    firsts = np.unique(trace.bounds[mine, 1])
    table = shares.kept(trace, kind)[:, mine]
    maps = table.reshape(len(table), len(firsts), -1).transpose(0, 2, 1)
    return maps, [int(first) for first in firsts]


def _mosaic(masks: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[tuple[int, int]]]:
    """Pictures [S, H, W] side by side with NaN between; and the place of each first token."""
    count, rows, columns = masks.shape
    across = min(count, max(1, round((count * (rows + 2) / (columns + 1) * 2.5) ** 0.5)))
    down = -(-count // across)
    picture = np.full((down * (rows + 2), across * (columns + 1)), np.nan)
    places = []
    for index, mask in enumerate(masks):
        row, column = (index // across) * (rows + 2) + 2, (index % across) * (columns + 1)
        picture[row : row + rows, column : column + columns] = mask
        places.append((row, column))
    return picture, places
