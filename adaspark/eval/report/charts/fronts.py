"""Accuracy against FLOPs, with the front of every series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from adaspark.eval.report.charts.style import (
    DENSE,
    Value,
    columns,
    drawing,
    end_labels,
    level,
    looks,
    percent_axis,
    png,
)

Point = tuple[float, Value]
"""(FLOPs as a share of dense, accuracy with or without its interval)"""


def pareto(
    series: Mapping[str, Sequence[Point]],
    *,
    title: str,
    dense: Point | None = None,
    xlabel: str = "FLOPs of the prefill, share of dense",
    ylabel: str = "exact answers",
    limits: tuple[float, float] | None = None,
    note: str = "",
) -> bytes:
    """PNG of every setting tried, and the best accuracy that each series has at each budget.

    Settings that another of their series beats at no more cost are hollow. `dense` is drawn with
    a rule across: at it, nothing is lost.
    """
    look = looks(series)
    with drawing(3.7, title, note) as figure:
        axes = figure.add_subplot()
        axes.grid(True, axis="both")
        most = max([cost for points in series.values() for cost, _ in points] + [1.0])
        ends = {}
        for name, points in series.items():
            cost = np.array([point[0] for point in points], np.float64)
            value, low, high = columns([point[1] for point in points])
            best = front(cost, value)
            if not len(best):
                continue
            style = look[name]
            axes.errorbar(
                cost, value, [value - low, high - value], fmt="none", ecolor=style.colour,
                elinewidth=0.8, alpha=0.45,
            )  # fmt: skip
            axes.plot(
                np.append(cost[best], most), np.append(value[best], value[best[-1:]]),
                color=style.colour, linestyle=style.dash, drawstyle="steps-post",
            )  # fmt: skip
            for chosen, filled in ((best, True), (np.setdiff1d(np.arange(len(cost)), best), False)):
                axes.plot(
                    cost[chosen], value[chosen], style.marker, color=style.colour,
                    markerfacecolor=style.colour if filled else "#ffffff",
                    markersize=6 if filled else 4.5,
                )  # fmt: skip
            ends[name] = float(value[best[-1]])
        if dense is not None:
            accuracy = float(columns([dense[1]])[0][0])
            level(axes, accuracy, f"dense {100 * accuracy:.1f} %")
            axes.plot(dense[0], accuracy, DENSE.marker, color=DENSE.colour, markersize=9)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        percent_axis(axes, limits or axes.get_ylim())
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        end_labels(figure, axes, ends, look)
        return png(figure)


def front(cost: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the settings that none beats at no more cost, by rising cost; [N] each.

    Of equal settings the first stays; a NaN is never on the front.
    """
    order = np.lexsort((-value, cost))
    order = order[np.isfinite(value[order])]
    reached = np.maximum.accumulate(value[order])
    return order[np.r_[True, value[order][1:] > reached[:-1]]] if len(order) else order
