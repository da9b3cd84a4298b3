"""How every plotly figure looks: one layout, one scale of shares, lines told apart thrice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz.data.queries import Looked
from viz.data.series import Line
from viz.palette import CIVIDIS, DASH, MARKER, Theme, colours


def add_lines(
    figure: go.Figure,
    lines: Sequence[Line],
    theme: Theme,
    *,
    column: int | None = None,
    looked: Looked | None = None,
) -> go.Figure:
    """Draw lines, into one column of subplots or into a plain figure; each name is listed once.
    The line of what is `looked` at is the widest.
    """
    stressed = stressed_role(lines, looked)
    named, listed = colours(theme), {part.name for part in figure.data}
    place = {} if column is None else {"row": 1, "col": column}
    for line in lines:
        figure.add_scatter(
            x=line.x,
            y=line.y,
            name=line.name,
            legendgroup=line.name,
            showlegend=line.name not in listed,
            mode="lines+markers",
            line={
                "color": named[line.role],
                "dash": DASH[line.role],
                "width": 4 if line.role == stressed else 2,
            },
            marker={"symbol": MARKER[line.role], "size": 7},
            hovertemplate="%{y:.3f}<extra>" + line.name + ", %{x}</extra>",
            **place,
        )
    return figure


def stressed_role(lines: Sequence[Line], looked: Looked | None) -> str:
    """The role of the line of what is looked at: its own, or that of its kind; empty if none."""
    roles = {line.role for line in lines}
    if looked is None or "looked" in roles:
        return "looked"
    kind = looked.query.kind or ""
    return kind if kind in roles else ""


def laid_out(
    figure: go.Figure, theme: Theme, title: str, x: str, y: str, *, height: int = 340
) -> go.Figure:
    """The common layout, with shares from 0 to 1 on the y axis."""
    named, clear = colours(theme), "rgba(0,0,0,0)"
    axis = {"gridcolor": named["line"], "zerolinecolor": named["line"], "automargin": True}
    figure.update_layout(
        title={
            "text": title,
            "x": 0,
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 10},
            "font": {"size": 15},
        },
        font={"family": "system-ui, sans-serif", "size": 13, "color": named["text"]},
        paper_bgcolor=clear,
        plot_bgcolor=clear,
        hoverlabel={"bgcolor": named["raised"], "font": {"color": named["text"]}},
        legend={"orientation": "h", "x": 0, "y": -0.26, "yanchor": "top", "traceorder": "normal"},
        modebar={"bgcolor": clear, "color": named["muted"], "activecolor": named["accent"]},
        margin={"l": 8, "r": 8, "t": 48, "b": 8},
        height=height,
    )
    figure.update_xaxes(title={"text": x, "font": {"size": 13}, "standoff": 6}, **axis)
    y_title = {"text": y, "font": {"size": 13}, "standoff": 8}
    return figure.update_yaxes(title=y_title, range=[-0.02, 1.05], **axis)


def under_titles(figure: go.Figure) -> go.Figure:
    """Room and size for the titles of subplots below the figure's own."""
    return figure.update_annotations(font={"size": 13}).update_layout(margin={"t": 66})


def nothing(theme: Theme, why: str) -> go.Figure:
    """A figure that says why there is nothing to draw."""
    return laid_out(go.Figure(), theme, why, "", "")


def hide_axes(figure: go.Figure) -> go.Figure:
    """For pictures: no ticks, the first row at the top."""
    figure.update_xaxes(showticklabels=False, showgrid=False, zeroline=False)
    return figure.update_yaxes(
        showticklabels=False, showgrid=False, zeroline=False, autorange="reversed", range=None
    )


def share_axis(title: str) -> dict[str, Any]:
    """A colour axis of shares: Cividis, fixed from 0 to 1."""
    steps = np.linspace(0, 1, len(CIVIDIS))
    scale = [[float(at), colour] for at, colour in zip(steps, CIVIDIS, strict=True)]
    bar = {"title": {"text": title, "font": {"size": 13}}, "thickness": 12, "outlinewidth": 0}
    return {"cmin": 0, "cmax": 1, "colorscale": scale, "colorbar": bar}
