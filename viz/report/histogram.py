"""Histograms as inline SVG, one row of bars a group, all on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from viz.report.markup import tag, text

BINS, WIDTH, ROW, LEFT, RIGHT = 24, 640, 64, 110, 12


def histogram(groups: Mapping[str, Sequence[float]], title: str) -> str:
    """A figure; bars are scaled within their row, and say their counts on hover."""
    values = [value for group in groups.values() for value in group]
    low, high = min(0.0, *values), max(values)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    body = "".join(
        _row(name, np.histogram(group, edges)[0].tolist(), edges.tolist(), top=8 + ROW * index)
        for index, (name, group) in enumerate(groups.items())
    )
    foot = 8 + ROW * len(groups) + 14
    step = (WIDTH - LEFT - RIGHT) / BINS
    for at in (0, BINS // 2, BINS):
        body += _text(LEFT + step * at, foot, f"{edges[at]:.3g}", "middle")
    box = f"0 0 {WIDTH} {foot + 8}"
    drawing = tag("svg", body, viewBox=box, role="img", aria_label=title)
    return tag("figure", tag("figcaption", text(title)), drawing, class_="chart")


def _row(name: str, counts: Sequence[int], edges: Sequence[float], top: int) -> str:
    step, tallest = (WIDTH - LEFT - RIGHT) / BINS, max(*counts, 1)
    body = _text(LEFT - 10, top + ROW / 2, name, "end")
    for index, count in enumerate(counts):
        height = (ROW - 14) * count / tallest
        said = f"{name}, {edges[index]:.3g} to {edges[index + 1]:.3g}: {count:,}"
        body += tag(
            "rect",
            tag("title", text(said)),
            class_="part",
            style="fill:var(--as-video)",
            x=f"{LEFT + step * index:.1f}",
            y=f"{top + ROW - 10 - height:.1f}",
            width=f"{step:.1f}",
            height=f"{height:.1f}",
        )
    floor = top + ROW - 10
    return body + tag("path", class_="rule", d=f"M{LEFT} {floor}H{WIDTH - RIGHT}")


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return tag("text", text(words), x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)
