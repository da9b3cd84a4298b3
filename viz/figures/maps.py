"""Plotly heat maps of where in the video a run looked: cubes of every layer, tokens of one.

The first video of the prompt, unless `video` says another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from viz.data.packing import finite_or_none
from viz.data.queries import Looked, Query
from viz.figures.layout import hide_axes, laid_out, nothing, share_axis
from viz.palette import Theme, colours

if TYPE_CHECKING:
    from viz.data.statistics import TraceView

MOST_PICTURES = 64
"""Slices or slabs that one figure draws at most; of a longer video an even sample."""
Floats = NDArray[np.float32]


def selection_maps(
    view: TraceView,
    *,
    kind: str | None = None,
    looked: Looked | None = None,
    video: int = 0,
    theme: Theme = "light",
) -> go.Figure:
    """Small multiples, one a layer: the kept share of each cube.

    Across: slabs of slices; down: the cubes of a slab, row by row. `kind` is "video", "question"
    (the default where there is one) or "answer".
    """
    if not view.kinds:
        return nothing(theme, "This run had no video")
    at = (looked or Looked(view, query=Query(kind=kind))).within()
    firsts, table = _slabs(view, at.shares(), video)
    maps = table.transpose(0, 2, 1)
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
    title = f"Share kept. {at.name()}; across: first slice, down: place in the picture, row by row"
    figure = laid_out(figure, theme, title, "", "", height=122 + 130 * rows)
    figure.update_layout(coloraxis=share_axis("Share kept"), margin={"t": 60})
    figure.update_annotations(font={"size": 12})
    return hide_axes(figure)


def selection_map(
    view: TraceView,
    layer: int,
    *,
    kind: str | None = None,
    looked: Looked | None = None,
    video: int = 0,
    theme: Theme = "light",
) -> go.Figure:
    """One layer enlarged: the kept share of each cube at its place in the picture, by slab."""
    if not view.kinds:
        return nothing(theme, "This run had no video")
    at = (looked or Looked(view, query=Query(kind=kind))).within()
    firsts, table = _slabs(view, at.shares(), video)
    bounds = view.trace.bounds[view.trace.bounds[:, 0] == video]
    columns = len(np.unique(bounds[:, 5]))
    pictures = table[layer].reshape(len(firsts), -1, columns)
    title = f"Share kept in layer {layer}, by first slice. {at.name()}"
    peaks = np.nan_to_num(pictures).max((1, 2))
    height, width = (bounds[:, 4] - bounds[:, 3]).max(), (bounds[:, 6] - bounds[:, 5]).max()
    names = [str(first) for first in firsts]
    figure = _mosaic_figure(pictures, names, title, theme, peaks=peaks, tall=float(height / width))
    return figure.update_layout(coloraxis=share_axis("Share kept"))


def heads_by_layer(view: TraceView, looked: Looked, *, theme: Theme = "light") -> go.Figure:
    """How many cubes each head of each layer keeps for the query that is looked at."""
    at = looked.all_heads().within()
    counts = at.kept_by_head()
    if not counts.size:
        return nothing(theme, "The heads of this query are not recorded apart")
    heat = go.Heatmap(
        z=counts.T.tolist(),
        coloraxis="coloraxis",
        hovertemplate="layer %{x}, head %{y}: %{z:.1f} cubes<extra></extra>",
    )
    title = f"Cubes kept by each head, of {at.counted}. {at.name()}"
    figure = laid_out(go.Figure(heat), theme, title, "Layer", "Head")
    scale = {**share_axis("Cubes"), "cmax": max(float(counts.max()), 1.0)}
    figure.update_layout(coloraxis=scale)
    return figure.update_yaxes(range=None, autorange=True)


def ffn_masks(view: TraceView, layer: int, *, video: int = 0, theme: Theme = "light") -> go.Figure:
    """The tokens that passed through the FFN in one layer, slice beside slice."""
    sides = view.grids
    if not sides:
        return nothing(theme, "This run had no video")
    first = sum(t * h * w for t, h, w in sides[:video])
    slices, rows, columns = sides[video]
    bits = view.trace.ffn_mask()[layer, first : first + slices * rows * columns]
    masks = bits.reshape(slices, rows, columns).astype(np.float32)
    title = f"Tokens through the FFN (filled), layer {layer}, by slice"
    figure = _mosaic_figure(masks, [str(slice_) for slice_ in range(slices)], title, theme)
    named = colours(theme)
    scale = [[0, named["line"]], [1, named["ffn"]]]
    return figure.update_layout(
        coloraxis={"cmin": 0, "cmax": 1, "colorscale": scale, "showscale": False}
    )


def _slabs(view: TraceView, shares: Floats, video: int) -> tuple[list[int], Floats]:
    """The first slice of each slab, and shares [L, slabs, places] of one video's cubes."""
    mine = view.trace.bounds[:, 0] == video
    firsts = np.unique(view.trace.bounds[mine, 1])
    table = shares[:, mine]
    return [int(first) for first in firsts], table.reshape(len(table), len(firsts), -1)


def _shown(count: int, peaks: Floats | None) -> NDArray[np.int64]:
    """Which of many pictures are drawn, in order: evenly, or half of them those of largest `peaks`
    [count], which even ones would miss.
    """
    if count <= MOST_PICTURES:
        return np.arange(count)
    highest = () if peaks is None else np.argsort(-peaks, kind="stable")[: MOST_PICTURES // 2]
    evenly = np.linspace(0, count - 1, MOST_PICTURES - len(highest)).round().astype(int)
    return np.union1d(np.asarray(highest, int), evenly)


def _mosaic_figure(
    pictures: Floats,
    names: list[str],
    title: str,
    theme: Theme,
    *,
    peaks: Floats | None = None,
    tall: float = 1.0,
) -> go.Figure:
    """Pictures [S, H, W] side by side, each under its name; of many those of `_shown`. Their cells
    are `tall` times as high as they are wide.
    """
    count, _, columns = pictures.shape
    shown = _shown(count, peaks)
    picture, places = _mosaic(pictures[shown].astype(np.float64))
    heat = go.Heatmap(
        z=[[finite_or_none(value, 4) for value in row] for row in picture],
        coloraxis="coloraxis",
        hoverinfo="skip",
    )
    figure = go.Figure(heat)
    if len(shown) < count:
        how = "evenly" if peaks is None else "half where most is kept"
        title += f" ({len(shown)} of {count} are drawn, {how})"
    style: dict[str, Any] = {"font": {"size": 10}, "showarrow": False}
    for index, (row, column) in zip(shown, places, strict=True):
        figure.add_annotation(x=column + columns / 2 - 0.5, y=row - 1, text=names[index], **style)
    height = 90 + 800 * tall * picture.shape[0] / picture.shape[1]
    figure = laid_out(figure, theme, title, "", "", height=int(min(900, max(220, height))))
    rows = pictures.shape[1]
    corners = [
        [int(names[index]), column - 0.5, row - 0.5, column + columns - 0.5, row + rows - 0.5]
        for index, (row, column) in zip(shown, places, strict=True)
    ]
    figure.update_layout(meta={"places": corners})  # of each picture: its first slice and corners
    figure.update_xaxes(visible=False)
    figure.update_yaxes(scaleanchor="x", scaleratio=tall, constrain="domain", constraintoward="top")
    return figure.update_yaxes(visible=False, range=None, autorange="reversed")


def _mosaic(masks: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[tuple[int, int]]]:
    """Pictures [S, H, W] side by side with NaN between; and the place of each first token."""
    count, rows, columns = masks.shape
    across = min(count, max(1, round((count * (rows + 2) / (columns + 1) * 3.6) ** 0.5)))
    down = -(-count // across)
    picture = np.full((down * (rows + 2), across * (columns + 1)), np.nan)
    places = []
    for index, mask in enumerate(masks):
        row, column = (index // across) * (rows + 2) + 2, (index % across) * (columns + 1)
        picture[row : row + rows, column : column + columns] = mask
        places.append((row, column))
    return picture, places
