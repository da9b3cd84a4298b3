"""Plotly figures of one trace, by name, and the table behind each.

Traces and options that plotly.js 3 and later all know. Backgrounds are transparent; text and lines
fit the ground named by `theme`. Every line differs in dash and marker too, every bar part in its
pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from viz.data import series
from viz.data.queries import Looked, Query, seen_by
from viz.data.statistics import TraceView
from viz.figures.captions import caption, lens_note
from viz.figures.layout import add_lines, laid_out, nothing, under_titles
from viz.figures.maps import ffn_masks, heads_by_layer, selection_map, selection_maps
from viz.figures.tables import csv_text, table
from viz.palette import Theme, colours

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

__all__ = [
    "FIGURES",
    "attention_concentration",
    "csv_text",
    "draw",
    "effective_cubes",
    "entropy_by_layer",
    "entropy_over_time",
    "ffn_inertia",
    "ffn_masks",
    "flops_breakdown",
    "heads_by_layer",
    "layer_density",
    "layer_statistics",
    "selection_map",
    "selection_maps",
    "table",
]

PATTERN = {"projections": "", "attention": "/", "ffn": "x", "choosing": ".", "vision": "-"}
PART_ROLE = {
    "projections": "dense",
    "attention": "video",
    "ffn": "ffn",
    "choosing": "answer",
    "vision": "question",
}


def draw(
    name: str,
    trace: Trace | TraceView,
    *,
    layer: int = 0,
    query: Query | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """The figure of a name in FIGURES; those of one layer draw `layer`, 0 or above, and those of
    choices the `query` that is looked at, the question's where none is given.

    What it shows in this run stands in `layout.meta["caption"]`, a sentence. Raises ValueError for
    another name.
    """
    if name not in FIGURES:
        raise ValueError(f"There is no figure {name!r}: give one of {', '.join(FIGURES)}.")
    view = seen_by(name, TraceView.of(trace))
    looked = Looked(view, layer, query or Query()).within()
    figure = FIGURES[name](view, looked, theme)
    told = caption(name, looked) + lens_note(looked)
    meta = {**(figure.layout.meta or {}), "caption": told}
    return figure.update_layout(meta=meta)


def entropy_by_layer(
    view: TraceView, looked: Looked | None = None, *, theme: Theme = "light"
) -> go.Figure:
    """Normalised entropy by layer: attention of video, question and answer apart, and FFN."""
    figure = add_lines(go.Figure(), series.entropy_by_layer(view, looked), theme, looked=looked)
    return laid_out(figure, theme, "Entropy by layer", "Layer", "Normalised entropy (0 to 1)")


def entropy_over_time(view: TraceView, layer: int, *, theme: Theme = "light") -> go.Figure:
    """Normalised entropy over the video in one layer: attention of video tokens, and FFN."""
    figure = add_lines(go.Figure(), series.entropy_over_time(view, layer), theme)
    title = f"Entropy over time, layer {layer}"
    unit = series.slice_times(view)[1]
    return laid_out(figure, theme, title, unit, "Normalised entropy (0 to 1)")


def effective_cubes(
    view: TraceView, looked: Looked | None = None, *, theme: Theme = "light"
) -> go.Figure:
    """Effective number of cubes, exp(entropy), by layer: video, question and answer apart."""
    figure = add_lines(go.Figure(), series.effective_cubes(view, looked), theme, looked=looked)
    title = f"Effective cubes by layer, of {len(view.trace.bounds)}"
    return _counts(laid_out(figure, theme, title, "Layer", "Effective cubes"))


def layer_density(view: TraceView, *, theme: Theme = "light") -> go.Figure:
    """Attention density and FFN density by layer."""
    figure = add_lines(go.Figure(), series.layer_density(view), theme)
    return laid_out(figure, theme, "Density by layer", "Layer", "Share computed (0 to 1)")


def layer_statistics(
    view: TraceView, looked: Looked | None = None, *, theme: Theme = "light"
) -> go.Figure:
    """What each layer selects (the paper's Fig. 4): cubes by kind of query, and FFN tokens."""
    titles = (
        f"Cubes a query attends to, of {len(view.trace.bounds)}",
        "Share of video tokens through the FFN",
    )
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.1)
    add_lines(figure, series.kept_cubes(view, looked), theme, column=1, looked=looked)
    add_lines(figure, series.passed_tokens(view), theme, column=2)
    figure = laid_out(figure, theme, "What each layer selects", "Layer", "")
    under_titles(figure)
    return figure.update_yaxes(range=None, rangemode="tozero", col=1)


def attention_concentration(
    view: TraceView, looked: Looked | None = None, *, theme: Theme = "light"
) -> go.Figure:
    """How few cubes hold most of the attention (the paper's Fig. 1a): question and answer apart,
    and the word or head that is looked at.
    """
    found = series.concentrated(looked or Looked(view).within())
    if not found:
        return nothing(theme, "This run has no word that could attend to a cube")
    titles = [title for title, _ in found]
    figure = make_subplots(1, len(found), subplot_titles=titles, horizontal_spacing=0.08)
    for column, (_, lines) in enumerate(found, 1):
        add_lines(figure, lines, theme, column=column)
    figure = laid_out(figure, theme, "Share of cubes that holds the attention", "Layer", "")
    under_titles(figure)
    return figure.update_yaxes(title={"text": "Share of cubes (0 to 1)"}, col=1)


def ffn_inertia(view: TraceView, *, theme: Theme = "light") -> go.Figure:
    """How far the FFN moves text and video tokens (the paper's Fig. 1b): mean and spread."""
    parts = series.ffn_inertia(view)
    if not parts[0]:
        return nothing(theme, "This run was recorded before FFN inertia was")
    titles = ("Mean over the tokens", "Standard deviation over the tokens")
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.1)
    for column, lines in enumerate(parts, 1):
        add_lines(figure, lines, theme, column=column)
    figure = laid_out(figure, theme, "FFN inertia: output norm / input norm", "Layer", "")
    under_titles(figure)
    return _counts(figure)


def flops_breakdown(view: TraceView, *, theme: Theme = "light") -> go.Figure:
    """Counted FLOPs of the prefill by part, dense against AdaSpark, beside the measured seconds."""
    rows, named = series.flops_parts(view), colours(theme)
    titles = (series.flops_title(view), series.measured_title(view))
    figure = make_subplots(1, 2, subplot_titles=titles, column_widths=[0.66, 0.34])
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
            row=1,
            col=1,
        )
    phases = series.measured(view)
    figure.add_bar(
        y=list(phases),
        x=list(phases.values()),
        name="Seconds",
        orientation="h",
        showlegend=False,
        marker={"color": named["accent"]},
        text=[f"{secs:.2f} s" for secs in phases.values()],
        hovertemplate="%{y}: %{x:.3f} s<extra></extra>",
        row=1,
        col=2,
    )
    figure.update_layout(barmode="stack")
    figure = laid_out(figure, theme, "Cost: FLOPs counted, time measured", "", "")
    under_titles(figure)
    figure.update_xaxes(title={"text": "GFLOP"}, col=1)
    figure.update_xaxes(title={"text": "Seconds"}, col=2)
    return figure.update_yaxes(range=None, autorange="reversed", rangemode="normal")


def _counts(figure: go.Figure) -> go.Figure:
    return figure.update_yaxes(range=None, rangemode="tozero")


FIGURES: dict[str, Callable[[TraceView, Looked, Theme], go.Figure]] = {
    "entropy_by_layer": lambda view, at, theme: entropy_by_layer(view, at, theme=theme),
    "entropy_over_time": lambda view, at, theme: entropy_over_time(view, at.layer, theme=theme),
    "effective_cubes": lambda view, at, theme: effective_cubes(view, at, theme=theme),
    "layer_density": lambda view, at, theme: layer_density(view, theme=theme),
    "layer_statistics": lambda view, at, theme: layer_statistics(view, at, theme=theme),
    "concentration": lambda view, at, theme: attention_concentration(view, at, theme=theme),
    "ffn_inertia": lambda view, at, theme: ffn_inertia(view, theme=theme),
    "selection_maps": lambda view, at, theme: selection_maps(view, looked=at, theme=theme),
    "selection_map": lambda view, at, theme: selection_map(view, at.layer, looked=at, theme=theme),
    "heads_by_layer": lambda view, at, theme: heads_by_layer(view, at, theme=theme),
    "ffn_masks": lambda view, at, theme: ffn_masks(view, at.layer, theme=theme),
    "flops": lambda view, at, theme: flops_breakdown(view, theme=theme),
}
"""Every figure by the name that the page asks for: (view, what is looked at, theme) -> figure."""
