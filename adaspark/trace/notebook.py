"""How a Trace shows itself in a notebook. The pictures are made by `viz`, when they are asked for:
this is the one place where a room below looks up at them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from adaspark.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from adaspark.trace.trace import Trace


class NotebookViews:
    """What a Trace can do in Jupyter, JupyterLab, VS Code and Colab."""

    def show(self, *, video: str | Path | None = None, height: int = 760) -> None:
        """Draw the interactive viewer below the cell, `height` pixels high.

        `video` is the file that the run is of: up to 8 MB of it are embedded. Raises UserError
        outside a notebook.
        """
        try:
            from IPython.display import HTML, display
        except ImportError:
            raise UserError(
                "show() draws in a notebook, and IPython is not installed: pip install "
                "'adaspark-studio[notebook]', or write a page with `viz.report.page.report`."
            ) from None
        from viz.report.notebook import frame

        display(HTML(frame(self._trace, video_path=video, height=height)))

    def __repr__(self) -> str:
        """One line: what was asked and answered, and what of the model was computed."""
        trace, cubes = self._trace, len(self._trace.bounds)
        if not cubes:
            return "Trace(nothing recorded)"
        said = ", ".join(repr(text) for text in (trace.meta.question, trace.meta.answer) if text)
        return (
            f"Trace({said + ': ' if said else ''}{len(trace.computed_pairs)} layers, "
            f"{len(trace.cube_from_token):,} video tokens in {cubes:,} cubes, attention density "
            f"{trace.attention_density:.3f}, FFN density {trace.ffn_density:.3f})"
        )

    def _repr_html_(self) -> str:
        """The viewer, without the video: what a notebook draws of a cell's last value."""
        from viz.report.notebook import frame

        return frame(self._trace)

    def layers_frame(self) -> pd.DataFrame:
        """See `viz.data.frames.layers_frame`: one row a layer."""
        return self._frame("layers_frame")

    def words_frame(self) -> pd.DataFrame:
        """See `viz.data.frames.words_frame`: one row a layer and word."""
        return self._frame("words_frame")

    def cubes_frame(self) -> pd.DataFrame:
        """See `viz.data.frames.cubes_frame`: one row a layer and cube."""
        return self._frame("cubes_frame")

    def _frame(self, name: str) -> Any:
        from viz.data import frames

        try:
            return getattr(frames, name)(self._trace)
        except ImportError as error:
            raise UserError(str(error)) from error

    @property
    def _trace(self) -> Trace:
        return cast("Trace", self)
