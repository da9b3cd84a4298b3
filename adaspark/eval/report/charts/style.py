"""One look for every chart: type, colours with a second channel, labels that do not collide, PNG.

Colours come from `viz.palette`. Charts are drawn on light ground for a column of 830 CSS pixels
at twice its resolution; no text is smaller than 9 points. They are matplotlib's, because plotly,
which the page draws with, needs a browser to write a PNG; the offline report's own SVG is for size.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray
from PIL import Image

from viz.palette import LIGHT

WIDTH = 8.3
"""inches: 830 CSS pixels at 100 a inch"""
DPI = 200
TITLE, LEGEND, LINE, EDGE = 0.36, 0.2, 0.26, 0.07
"""inches: heights of the title, the legend and a line of small text; the left margin of all"""
SMALL, NORMAL, LARGE = 9.0, 9.5, 11.5

INK, MUTED, RULE = LIGHT["text"], LIGHT["muted"], LIGHT["line"]
FONTS = ("Liberation Sans", "Arial", "Helvetica", "DejaVu Sans")

Value = float | Sequence[float] | None
"""A number, (value, low, high) such as `stats.Estimate`, or None."""


@dataclass(frozen=True)
class Look:
    """How one series is distinguished from the others: by colour, and without colour."""

    colour: str
    marker: str
    dash: Any
    hatch: str


SOLID, DASHED, DOTTED, MIXED = "-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2))
LOOKS = (
    Look(LIGHT["sparse"], "o", SOLID, "////"),
    Look(LIGHT["video"], "s", DASHED, "\\\\\\\\"),
    Look(LIGHT["answer"], "^", MIXED, "...."),
    Look(LIGHT["ffn"], "D", DOTTED, "xxxx"),
    Look("#8a6d00", "v", DASHED, "----"),
    Look("#2b7fb8", "P", MIXED, "||||"),
    Look("#3c3c3c", "X", DOTTED, "++++"),
)
MAX_SERIES = len(LOOKS)
"""As many as can be told apart."""
DENSE = Look(LIGHT["dense"], "h", SOLID, "")
KNOWN = {
    "dense": DENSE,
    **dict.fromkeys(("adaspark", "both", "top-p", "question"), LOOKS[0]),
    **dict.fromkeys(("attention only", "top-k", "video"), LOOKS[1]),
    **dict.fromkeys(("uniform", "answer"), LOOKS[2]),
    **dict.fromkeys(("ffn", "ffn only"), LOOKS[3]),
    "random": LOOKS[4],
    "recent": LOOKS[5],
    "oracle": LOOKS[6],
}
"""Names that look the same in every chart; kinds of query as in the viewer."""


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name: known ones their own, the others the next that is free."""
    found: dict[str, Look | None] = {}
    for name in names:
        own = KNOWN.get(name.lower())
        found[name] = own if own not in found.values() else None
    free = [look for look in LOOKS if look not in found.values()]
    if list(found.values()).count(None) > len(free):
        raise ValueError(f"At most {MAX_SERIES} series can be told apart, got {len(found)}.")
    return {name: look or free.pop(0) for name, look in found.items()}


@contextmanager
def drawing(body: float, title: str, note: str = "", *, legend: bool = False) -> Iterator[Figure]:
    """A figure with its title over a body of `body` inches, in the style of all charts.

    `legend` leaves a line under the title for `name_series`; `note` is a line at the foot. Text
    is laid out as it is drawn, so `png` belongs inside the block.
    """
    head = TITLE + LEGEND * legend
    height = head + body + LINE * bool(note)
    with mpl.rc_context(cast(Any, _style())):
        figure = Figure(figsize=(WIDTH, height))
        FigureCanvasAgg(figure)
        room = (0.0, LINE * bool(note) / height, 1.0, body / height)
        figure.set_layout_engine("constrained", rect=room, w_pad=0.06, h_pad=0.05, hspace=0.05)
        figure.text(
            EDGE / WIDTH, 1 - 0.08 / height, title,
            va="top", fontsize=LARGE, fontweight="bold",
        )  # fmt: skip
        figure.text(EDGE / WIDTH, 0.08 / height, note, fontsize=SMALL, color=MUTED)
        yield figure


def name_series(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """The legend, in one line under the title."""
    height = figure.get_size_inches()[1]
    figure.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(EDGE / WIDTH, 1 - (TITLE - 0.02) / height),
        ncols=len(names),
        borderpad=0,
        borderaxespad=0,
        handlelength=2.2,
        columnspacing=1.8,
    )


def png(figure: Figure, *, smooth: bool = False) -> bytes:
    """PNG at twice the column's resolution, of 256 colours: a third of the bytes of true colour.

    `smooth` pictures, such as frames, keep six bits a channel instead.
    """
    file = io.BytesIO()
    figure.savefig(file, dpi=DPI, format="png")
    picture = Image.open(file).convert("RGB")
    if smooth:
        picture = picture.point(lambda level: level | 3)  # white stays white
    else:
        picture = picture.quantize(
            256, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE
        )
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def columns(values: Sequence[Value]) -> tuple[NDArray[np.float64], ...]:
    """(value, low, high), each [N]; without an interval its ends are NaN."""
    rows = [_triple(value) for value in values]
    table = np.array(rows, np.float64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def percent_axis(axes: Axes, limits: tuple[float, float], *, which: str = "y") -> None:
    """Shares written as percent; the axis ends a little outside `limits`, which end at 0 and 1."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    low, high = max(0.0, limits[0]), min(1.0, limits[1])
    pad = 0.02 * (high - low)
    (axes.set_ylim if which == "y" else axes.set_xlim)(low - pad, high + pad)
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))


def level(axes: Axes, height: float, name: str) -> None:
    """A dashed rule across the axes with its name, such as what dense reaches."""
    axes.axhline(height, color=MUTED, linestyle=(0, (3, 2)), linewidth=1.2, zorder=1.5)
    axes.annotate(
        name,
        (0.008, height),
        xytext=(0, -4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="top",
        fontsize=SMALL,
        color=MUTED,
        bbox={"facecolor": "#ffffff", "edgecolor": "none", "pad": 0.6},
    )


def end_labels(
    figure: Figure, axes: Axes, ends: Mapping[str, float], look: Mapping[str, Look]
) -> None:
    """Name every line beside its end; names that would touch are pushed apart."""
    figure.draw_without_rendering()  # only now is the height of the axes known
    points = axes.get_window_extent().height / figure.dpi * 72
    names = [name for name, height in ends.items() if np.isfinite(height)]
    to_share = axes.get_yaxis_transform() - axes.transAxes
    wanted = [float(to_share.transform((0, ends[name]))[1]) for name in names]
    for name, at in zip(names, spread(wanted, gap=1.35 * SMALL / points), strict=True):
        style = look[name]
        axes.plot(
            1, at, style.marker, color=style.colour, clip_on=False,
            transform=axes.transAxes + ScaledTranslation(9 / 72, 0, figure.dpi_scale_trans),
        )  # fmt: skip
        axes.annotate(
            name, (1, at), xytext=(16, 0), xycoords="axes fraction", textcoords="offset points",
            va="center", fontsize=SMALL, fontweight="bold", color=style.colour,
        )  # fmt: skip


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions in [0, 1] at least `gap` apart, ordered as `wanted`, moved as little as can be.

    Least squares under an order: isotonic regression by pooling neighbours, then clipped. Where
    they do not all fit, they overlap evenly.
    """
    gap = min(gap, 1 / max(1, len(wanted) - 1))
    order = np.argsort(wanted, kind="stable")
    blocks: list[list[float]] = []  # each [sum, count] of wanted - rank x gap
    for rank, index in enumerate(order):
        blocks.append([wanted[index] - rank * gap, 1])
        while len(blocks) > 1 and _mean(blocks[-2]) > _mean(blocks[-1]):
            total, count = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + count]
    placed = [0.0] * len(wanted)
    levels = [_mean(block) for block in blocks for _ in range(int(block[1]))]
    most = 1 - (len(wanted) - 1) * gap
    for rank, index in enumerate(order):
        placed[index] = min(max(levels[rank], 0.0), most) + rank * gap
    return placed


def _mean(block: Sequence[float]) -> float:
    return block[0] / block[1]


def _triple(value: Value) -> tuple[float, float, float]:
    if isinstance(value, Sequence):
        middle, low, high = (np.nan if part is None else part for part in value)
        return middle, low, high
    return (np.nan if value is None else value, np.nan, np.nan)


def _style() -> dict[str, Any]:
    there = get_font_names()
    return {
        "font.family": [name for name in FONTS if name in there],
        "font.size": NORMAL,
        "text.color": INK,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": MUTED,
        "axes.labelsize": NORMAL,
        "axes.titlesize": NORMAL,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.titlepad": 6,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": RULE,
        "grid.linewidth": 0.6,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "xtick.major.size": 3,
        "ytick.major.size": 0,
        "legend.frameon": False,
        "legend.fontsize": SMALL,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
        "hatch.linewidth": 0.7,
        "figure.facecolor": "#ffffff",
    }
