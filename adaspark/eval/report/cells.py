"""Numbers as evaluations write them: in tables and in sentences, with or without an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Kind = Literal["text", "count", "percent", "points", "share", "number", "p"]
Interval = tuple[float, float, float]
"""A value and the ends of its 95 % interval, such as `stats.Estimate`."""
Cell = str | float | Interval | list[float] | None
"""Text, a number, (value, low, high), or None if there is nothing to say."""

MISSING = "–"  # noqa: RUF001


def written(cell: Cell, kind: Kind) -> str:
    """A cell as text: "97.5 % [95.0, 98.8]"; what is missing or NaN is a dash."""
    if cell is None:
        return MISSING
    if isinstance(cell, str):
        return cell
    if isinstance(cell, tuple | list):
        value, low, high = cell
        shown = written(value, kind)
        if shown == MISSING or _is_missing(low) or _is_missing(high):
            return shown
        return f"{shown} [{_number(low, kind)}, {_number(high, kind)}]"
    if _is_missing(cell):
        return MISSING
    return _number(cell, kind) + (" %" if kind == "percent" else "")


def extremes(values: Sequence[Interval], kind: Kind = "percent") -> str:
    """The least and the greatest layer in words: `12.0 % in layer 3 to 40.1 % in layer 0`."""
    known = [i for i, value in enumerate(values) if math.isfinite(value[0])]
    low = min(known, key=lambda i: values[i][0])
    high = max(known, key=lambda i: values[i][0])
    least, most = written(values[low][0], kind), written(values[high][0], kind)
    if least == most:
        return f"{least} in all layers"
    return f"{least} in layer {low} to {most} in layer {high}"


def _number(value: float, kind: Kind) -> str:
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"  # noqa: RUF001
    formats = {"count": "{:,.0f}", "percent": "{:.1f}", "points": "{:+.1f}", "share": "{:.2f}"}
    if kind in ("percent", "points"):
        value *= 100
    if kind == "p":
        return "< 0.001" if value < 0.001 else f"{value:.3f}"
    text = formats.get(kind, "{:.3g}").format(value)
    # A loss that rounds to nothing is written as nothing, without a sign.
    return text.strip("+-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")  # noqa: RUF001


def _is_missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
