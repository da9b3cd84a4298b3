"""Chosen cubes on the frames themselves, with the truth outlined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from adaspark.eval.report.charts.style import (
    EDGE,
    LEGEND,
    LINE,
    MUTED,
    SMALL,
    TITLE,
    WIDTH,
    drawing,
    name_series,
    png,
)
from viz.palette import OVERLAY, rgb

DIMMED = 0.45
"""Share of a frame's brightness that is left outside the chosen cubes."""
HEADING, GAP = 0.3, 0.08
"""inches: over a row of frames, and between two frames"""

Segments = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """One word's choice on some frames.

    `frames` is uint8 [F, H, W, 3], `chosen` bool [F, R, C] on any grid over the whole frame
    (tokens or cubes), `truth` likewise on its own grid; `captions` are written under the frames.
    """

    title: str
    frames: NDArray[np.uint8]
    captions: Sequence[str]
    chosen: NDArray[np.bool_]
    truth: NDArray[np.bool_] | None = None


def case_frames(cases: Sequence[Case], *, title: str, note: str = "") -> bytes:
    """PNG of one row a case: chosen cubes lit and outlined, the rest dimmed, the truth dashed."""
    across = max(len(case.frames) for case in cases)
    wide = (WIDTH - 2 * EDGE - GAP * (across - 1)) / across
    tall = max(wide * case.frames.shape[1] / case.frames.shape[2] for case in cases)
    row = HEADING + tall + LINE  # inches
    with drawing(len(cases) * row, title, note, legend=True) as figure:
        figure.set_layout_engine("none")
        height = figure.get_size_inches()[1]
        for number, case in enumerate(cases):
            top = height - TITLE - LEGEND - number * row
            figure.text(
                EDGE / WIDTH, (top - HEADING + 0.07) / height, case.title, fontweight="bold"
            )
            for index in range(len(case.frames)):
                left, bottom = EDGE + index * (wide + GAP), top - HEADING - tall
                box = (left / WIDTH, bottom / height, wide / WIDTH, tall / height)
                _frame(figure.add_axes(box, frameon=False), case, index)
        handles = _legend()
        name_series(figure, handles, [str(handle.get_label()) for handle in handles])
        return png(figure, smooth=True)


def outline(mask: NDArray[np.bool_]) -> Segments:
    """[N, 2, 2]: the borders of a mask [R, C] as segments of (x, y), from 0 to 1 across the grid.

    A border lies between a cell of the mask and one outside it, or the edge of the grid.
    """
    padded = np.pad(mask, 1)
    tops = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])  # (row line, column)
    sides = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])  # (row, column line)
    level = np.stack([tops[:, ::-1], tops[:, ::-1] + [1, 0]], 1)
    upright = np.stack([sides[:, ::-1], sides[:, ::-1] + [0, 1]], 1)
    size = np.array([mask.shape[1], mask.shape[0]], np.float64)
    return np.concatenate([level, upright]) / size


def _frame(axes: Axes, case: Case, index: int) -> None:
    frame, chosen = case.frames[index], case.chosen[index]
    height, width = frame.shape[:2]
    extent = (0.0, 1.0, 1.0, 0.0)
    axes.set_axis_off()
    axes.imshow(_dimmed(frame, chosen), extent=extent, aspect=height / width)
    for segments, colour, casing, dash in _borders(case, index):
        axes.add_collection(
            LineCollection(list(segments), colors=OVERLAY["casing"], linewidths=casing)
        )
        axes.add_collection(
            LineCollection(list(segments), colors=colour, linewidths=casing - 1.2, linestyles=dash)
        )
    axes.text(
        0.5, -0.03, case.captions[index], transform=axes.transAxes, ha="center", va="top",
        fontsize=SMALL, color=MUTED,
    )  # fmt: skip


def _borders(case: Case, index: int) -> Iterator[tuple[Segments, str, float, Any]]:
    yield outline(case.chosen[index]), OVERLAY["kept"], 2.8, "solid"
    if case.truth is not None:
        yield outline(case.truth[index]), OVERLAY["focus"], 2.8, (0, (2.2, 1.2))


def _dimmed(frame: NDArray[np.uint8], chosen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    rows = np.arange(height) * chosen.shape[0] // height
    columns = np.arange(width) * chosen.shape[1] // width
    lit = chosen[rows[:, None], columns[None, :]][..., None]
    grey = frame.mean(-1, keepdims=True)
    dark = DIMMED * grey + (1 - DIMMED) * np.array(rgb(OVERLAY["dim"]))
    return np.where(lit, frame, dark).astype(np.uint8)


def _legend() -> list[Patch | Line2D]:
    return [
        Patch(facecolor="none", edgecolor=OVERLAY["kept"], linewidth=2, label="chosen cube"),
        Line2D(
            [], [], color=OVERLAY["focus"], linestyle=(0, (2.2, 1.2)), linewidth=2, label="truth"
        ),
    ]
