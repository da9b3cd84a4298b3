"""Lines: by layer, by density, by length; concentration of attention; small multiples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from adaspark.eval.report.charts.style import (
    KNOWN,
    SOLID,
    Look,
    Value,
    columns,
    drawing,
    end_labels,
    level,
    looks,
    name_series,
    percent_axis,
    png,
)

Floats = Sequence[float] | NDArray[np.integer]


def lines(
    x: Sequence[float],
    series: Mapping[str, Sequence[Value]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    limits: tuple[float, float] | None = None,
    percent: bool = False,
    log_x: bool = False,
    log_y: bool = False,
    rule: tuple[float, str] | None = None,
    note: str = "",
) -> bytes:
    """PNG of one line a series over `x` [N], its interval as a band, its name at its end.

    `rule` is a level with its name, such as dense accuracy. `percent` writes shares as percent;
    `log_y` is for other figures, which span decades.
    """
    with drawing(3.1, title, note) as figure:
        axes = figure.add_subplot()
        _draw(axes, x, series, looks(series))
        _axes(axes, x, xlabel, ylabel, log_x=log_x)
        if percent:
            percent_axis(axes, limits or axes.get_ylim())
        elif limits:
            axes.set_ylim(limits)
        if log_y:
            _decades(axes, lambda value, _: f"{value:g}")
        if rule:
            level(axes, *rule)
        end_labels(figure, axes, _ends(series), looks(series))
        return png(figure)


def concentration(
    shares: Mapping[float, Sequence[Value]],
    *,
    title: str,
    ylabel: str = "share of video tokens",
    note: str = "",
) -> bytes:
    """PNG of the share of tokens [L] that hold each share of the attention mass, layer by layer.

    `shares` goes from the mass, such as 0.95, to its line; the axis is logarithmic, because a
    few percent are what there is to see.
    """
    ramp = LinearSegmentedColormap.from_list("mass", ["#3f93c4", KNOWN["video"].colour, "#00263d"])
    masses = sorted(shares)
    names = {f"{100 * mass:g} % of mass": shares[mass] for mass in masses}
    look = {
        name: Look(to_hex(ramp(i / max(1, len(names) - 1))), "osD^vPX"[i % 7], SOLID, "")
        for i, name in enumerate(names)
    }
    layers = np.arange(len(next(iter(names.values()))))
    with drawing(3.1, title, note) as figure:
        axes = figure.add_subplot()
        _draw(axes, layers, names, look)
        _axes(axes, layers, "layer", ylabel)
        _decades(axes, lambda share, _: f"{100 * share:g} %")
        axes.set_ylim(top=1.05)
        end_labels(figure, axes, _ends(names), look)
        return png(figure)


def layer_grid(
    panels: Mapping[str, Mapping[str, Sequence[Value]]],
    *,
    title: str,
    ylabel: str,
    limits: tuple[float, float] = (0.0, 1.0),
    note: str = "",
) -> bytes:
    """PNG of small charts that share their axes: shares [L] by layer, one panel a family."""
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    look = looks(names)
    across = min(len(panels), 5 if len(panels) in (5, 9, 10) else 4)
    down = -(-len(panels) // across)
    with drawing(0.4 + 1.5 * down, title, note, legend=True) as figure:
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (panel, series) in zip(grid.flat, panels.items(), strict=False):
            layers = np.arange(max(len(values) for values in series.values()))
            _draw(axes, layers, series, look)
            axes.set_title(panel)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            percent_axis(axes, limits)
        for axes in grid[:, 0]:
            axes.set_ylabel(ylabel)
        for index in range(across):
            lowest = grid[(len(panels) - 1 - index) // across, index]
            lowest.set_xlabel("layer")
            lowest.tick_params(labelbottom=True)
        marks = {str(line.get_label()): line for axes in grid.flat for line in axes.get_lines()}
        name_series(figure, [marks[name] for name in names], names)
        return png(figure)


def _draw(
    axes: Axes,
    x: Floats,
    series: Mapping[str, Sequence[Value]],
    look: Mapping[str, Look],
) -> None:
    at = np.asarray(x, np.float64)
    for name, values in series.items():
        value, low, high = columns(values)
        style = look[name]
        axes.fill_between(at[: len(low)], low, high, color=style.colour, alpha=0.15, linewidth=0)
        axes.plot(
            at[: len(value)],
            value,
            color=style.colour,
            marker=style.marker,
            linestyle=style.dash,
            markeredgecolor="#ffffff",
            markeredgewidth=0.6,
            label=name,
        )


def _axes(axes: Axes, x: Floats, xlabel: str, ylabel: str, *, log_x: bool = False) -> None:
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if log_x:
        axes.set_xscale("log")
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.xaxis.set_minor_locator(NullLocator())
    elif all(float(value).is_integer() for value in x):
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))


def _decades(axes: Axes, label: Callable[[float, int], str]) -> None:
    """A logarithmic axis of heights, which `label` writes."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(label))
    axes.yaxis.set_minor_locator(NullLocator())


def _ends(series: Mapping[str, Sequence[Value]]) -> dict[str, float]:
    """The last height of every line that is known."""
    heights = {name: columns(values)[0] for name, values in series.items()}
    known = {name: value[np.isfinite(value)] for name, value in heights.items()}
    return {name: float(value[-1]) for name, value in known.items() if len(value)}
