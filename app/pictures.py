"""The figures of a finished run, by the names the page asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from adaspark.errors import UserError
from adaspark.request import Result
from viz import figures

Theme = Literal["light", "dark"]


def draw_figure(result: Result, name: str, *, layer: int, theme: str) -> str:
    """Plotly JSON of one figure. Raises UserError for a name that is not in FIGURES."""
    if name not in FIGURES:
        raise UserError(f"There is no figure {name!r}; there are {', '.join(FIGURES)}.")
    last = len(result.trace.computed_pairs) - 1
    within = min(max(int(layer), 0), max(last, 0))
    chosen: Theme = "dark" if theme == "dark" else "light"
    text: str = FIGURES[name](result.trace, within, chosen).to_json()
    return text


FIGURES: dict[str, Callable[[Any, int, Theme], Any]] = {
    "entropy_by_layer": lambda trace, layer, theme: figures.entropy_by_layer(trace, theme=theme),
    "entropy_over_time": lambda trace, layer, theme: figures.entropy_over_time(
        trace, layer, theme=theme
    ),
    "layer_density": lambda trace, layer, theme: figures.layer_density(trace, theme=theme),
    "flops": lambda trace, layer, theme: figures.flops_breakdown(trace, theme=theme),
    "selection_maps": lambda trace, layer, theme: figures.selection_maps(trace, theme=theme),
    "ffn_masks": lambda trace, layer, theme: figures.ffn_masks(trace, layer, theme=theme),
}
