"""Tables of an evaluation: cells are numbers with intervals, written the same way everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from adaspark.eval.report.stats import Comparison

Kind = Literal["text", "count", "percent", "points", "share", "number", "p"]
Cell = str | float | tuple[float, float, float] | list[float] | None
"""Text, a number, (value, low, high), or None if there is nothing to say."""

MISSING = "–"  # noqa: RUF001


@dataclass(frozen=True)
class Table:
    """A table: `columns` name each column and say how its numbers are written.

    text; count: 12,000; percent: a share as 98.5 %; points: a difference of shares as +0.4
    points; share: 0.37; number: three significant figures; p: a p-value. A cell (value, low,
    high), such as `stats.Estimate`, shows its 95 % interval.

    Raises ValueError for an unknown kind or a row that is not as wide as the columns.
    """

    title: str
    columns: Mapping[str, Kind]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def __post_init__(self) -> None:
        unknown = set(self.columns.values()) - set(get_args(Kind))
        if unknown:
            raise ValueError(f"Columns are one of {', '.join(get_args(Kind))}; got {unknown}.")
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: {len(self.columns)} cells a row, got {list(row)}.")

    def cells(self) -> list[list[str]]:
        """Every row as text."""
        kinds = list(self.columns.values())
        return [[written(c, k) for c, k in zip(row, kinds, strict=True)] for row in self.rows]

    def markdown(self) -> str:
        """The table as GitHub reads it, numbers to the right."""
        rule = ["---" if kind == "text" else "---:" for kind in self.columns.values()]
        lines = [list(self.columns), rule, *self.cells()]
        return "\n".join(f"| {' | '.join(_piped(cell) for cell in line)} |" for line in lines)

    def plain(self) -> str:
        """The table for a terminal, in columns."""
        lines = [list(self.columns), *self.cells()]
        widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
        left = [kind == "text" for kind in self.columns.values()]
        padded = [
            [
                cell.ljust(width) if is_left else cell.rjust(width)
                for cell, width, is_left in zip(line, widths, left, strict=True)
            ]
            for line in lines
        ]
        return "\n".join([self.title, *("  ".join(line).rstrip() for line in padded)])

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready copy; columns as a list, because their order matters."""
        return {
            "title": self.title,
            "note": self.note,
            "columns": [{"name": name, "kind": kind} for name, kind in self.columns.items()],
            "rows": [list(row) for row in self.rows],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Table:
        """The inverse of `to_dict`."""
        columns = {column["name"]: column["kind"] for column in values["columns"]}
        return cls(values["title"], columns, values["rows"], values["note"])


def comparisons(title: str, rows: Mapping[str, Comparison], *, note: str = "") -> Table:
    """Sparse against dense on identical items: one row for each family, length or condition."""
    columns: dict[str, Kind] = {
        "": "text",
        "items": "count",
        "dense": "percent",
        "sparse": "percent",
        "difference, points": "points",
        "gained": "count",
        "lost": "count",
        "McNemar's p": "p",
        "verdict": "text",
    }
    cells: list[list[Cell]] = [
        [name, c.items, c.baseline, c.treated, c.difference, c.gained, c.lost, c.p_value, c.verdict]
        for name, c in rows.items()
    ]
    return Table(title, columns, cells, note)


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


def _piped(cell: str) -> str:
    return cell.replace("|", "\\|")
