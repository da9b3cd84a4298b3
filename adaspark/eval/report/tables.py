"""Tables of an evaluation: rows of cells under named columns, as Markdown, text or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from adaspark.eval.report.cells import Cell, Kind, written
from adaspark.eval.report.stats import Comparison, compare

Columns = dict[str, Kind]
"""Names of columns, and how the numbers of each are written."""
Row = list[Cell]


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
    columns: Columns = {
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
    cells: list[Row] = [
        [name, c.items, c.baseline, c.treated, c.difference, c.gained, c.lost, c.p_value, c.verdict]
        for name, c in rows.items()
    ]
    return Table(title, columns, cells, note)


def against(treated: Sequence[float], baseline: Sequence[float]) -> tuple[Cell, Cell]:
    """The mean difference of two scores [N] of the same items, with its interval, and McNemar's p,
    as cells of `points` and `p`.
    """
    found = compare(treated, baseline)
    return found.difference, found.p_value


def _piped(cell: str) -> str:
    return cell.replace("|", "\\|")
