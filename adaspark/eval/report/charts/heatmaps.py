"""Heat maps that share one scale: needle in a haystack, frames by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from adaspark.eval.report.charts.style import INK, MUTED, RULE, SMALL, drawing, png

CMAP = colormaps["cividis"].resampled(50)
"""steps of 2 %, so that the PNG's palette holds every colour of the scale"""
LIGHT_FROM = 0.52
"""from this share on, dark numbers are the ones with contrast on Cividis"""


def heatmap_panels(
    panels: Mapping[str, ArrayLike],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    row_label: str = "needle depth",
    column_label: str = "frames",
    trained: int | None = None,
    note: str = "",
) -> bytes:
    """PNG of tables [rows, columns] of shares on one Cividis scale from 0 to 1, with numbers.

    Each panel says its mean and its lowest cell. NaN is an empty cell. `trained` counts the columns
    up to the length that the model was trained on; those beyond it are marked.
    """
    across = len(panels) if len(panels) < 3 else 2 if len(panels) in (2, 4) else 3
    down = -(-len(panels) // across)
    if trained is not None and trained < len(columns):
        note = f"{note} Right of the dashed rule: longer than trained.".strip()
    with drawing(down * (0.62 + 0.27 * len(rows)) + 0.2, title, note) as figure:
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (name, values) in zip(grid.flat, panels.items(), strict=False):
            table = np.asarray(values, np.float64)
            _cells(axes, table)
            _heading(axes, name, table)
            axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
            axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
            if trained is not None and trained < len(columns):
                axes.axvline(trained, color=INK, linestyle=(0, (2, 1.5)), linewidth=1.6)
        for axes in grid[:, 0]:
            axes.set_ylabel(row_label)
        for index in range(across):
            lowest = (len(panels) - 1 - index) // across
            grid[lowest, index].set_xlabel(column_label)
            grid[lowest, index].tick_params(labelbottom=True)
        scale = ScalarMappable(Normalize(0, 1), CMAP)
        bar = figure.colorbar(scale, ax=grid, fraction=0.03, pad=0.01, aspect=30)
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        bar.outline.set_visible(False)
        return png(figure)


def _cells(axes: Axes, table: NDArray[np.float64]) -> None:
    axes.grid(False)
    axes.set_facecolor(RULE)
    axes.pcolormesh(
        np.ma.masked_invalid(table), cmap=CMAP, vmin=0, vmax=1, edgecolor="#ffffff", linewidth=1.2
    )
    axes.set_ylim(len(table), 0)  # the first row on top
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for (row, column), share in np.ndenumerate(table):
        known = np.isfinite(share)
        axes.text(
            column + 0.5,
            row + 0.5,
            f"{100 * share:.0f}" if known else "–",  # noqa: RUF001
            ha="center",
            va="center",
            fontsize=SMALL,
            color=INK if not known or share >= LIGHT_FROM else "#ffffff",
        )


def _heading(axes: Axes, name: str, table: NDArray[np.float64]) -> None:
    known = 100 * table[np.isfinite(table)]
    said = f"mean {known.mean():.0f}, lowest {known.min():.0f}" if len(known) else "not measured"
    axes.set_title(name, pad=17)
    axes.annotate(
        said,
        (0, 1),
        xytext=(0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=SMALL,
        color=MUTED,
    )
