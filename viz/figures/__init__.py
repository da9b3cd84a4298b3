"""Charts of a Trace, in Plotly: `draw(name, trace)`, by a name in `FIGURES`."""

from viz.figures.figures import FIGURES, draw

__all__ = ["FIGURES", "draw"]
