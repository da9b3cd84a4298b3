"""Bars with intervals: accuracy of several conditions, group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adaspark.eval.report.charts.style import (
    INK,
    SMALL,
    Value,
    columns,
    drawing,
    looks,
    name_series,
    percent_axis,
    png,
)

MAX_LABELLED = 24
"""bars; more numbers than that could not be read"""


def bars_with_intervals(
    groups: Sequence[str],
    series: Mapping[str, Sequence[Value]],
    *,
    title: str,
    ylabel: str,
    chance: Sequence[float] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    note: str = "",
) -> bytes:
    """PNG of shares [0, 1], one bar a group and series, with the intervals that they carry.

    `chance`, one share a group, is what guessing gets, a dashed rule across the group.
    """
    look = looks(series)
    width = 0.8 / len(series)
    with drawing(2.9, title, note, legend=True) as figure:
        axes = figure.add_subplot()
        for index, (name, values) in enumerate(series.items()):
            value, low, high = columns(values)
            at = np.arange(len(groups)) + (index - (len(series) - 1) / 2) * width
            axes.bar(
                at,
                value - limits[0],
                width * 0.92,
                bottom=limits[0],
                color=look[name].colour,
                hatch=look[name].hatch,
                edgecolor=(1, 1, 1, 0.5),
                linewidth=0,
                label=name,
            )
            axes.errorbar(
                at,
                value,
                [value - low, high - value],
                fmt="none",
                ecolor=INK,
                elinewidth=1.1,
                capsize=2.5,
            )
            if len(groups) * len(series) <= MAX_LABELLED:
                for x, number, top in zip(at, value, np.fmax(value, high), strict=True):
                    text = f"{100 * number:.0f}" if np.isfinite(number) else "–"  # noqa: RUF001
                    axes.annotate(
                        text,
                        (x, top if np.isfinite(top) else limits[0]),
                        xytext=(0, 2),
                        textcoords="offset points",
                        ha="center",
                        fontsize=SMALL,
                    )
        if chance is not None:
            left = np.arange(len(groups)) - 0.46
            for colour, thick in (("#ffffff", 3.0), (INK, 1.3)):  # a casing shows it on any bar
                rules = axes.hlines(
                    chance, left, left + 0.92, colour, linestyle=(0, (3, 1.5)), linewidth=thick
                )
            rules.set_label("chance")
        axes.set_xticks(np.arange(len(groups)), groups, color=INK)
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.6, len(groups) - 0.4)
        percent_axis(axes, limits)
        axes.set_ylim(limits[0], limits[1] + 0.06 * (limits[1] - limits[0]))
        axes.set_ylabel(ylabel)
        axes.spines["left"].set_visible(False)
        handles, names = axes.get_legend_handles_labels()
        order = sorted(range(len(names)), key=lambda i: names[i] == "chance")
        name_series(figure, [handles[i] for i in order], [names[i] for i in order])
        return png(figure)
