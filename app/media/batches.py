"""Batches that `adaspark inspect` has written, read for programs: what there is, means, rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute, parquet

from adaspark.errors import UserError

ROWS_A_PAGE = 100
_MEANS = ("attention_density", "ffn_density", "flops_reduction", "seconds_prefill", "correct")
_PAGE_DIGITS = 9
"""A number of more digits is no page, and past Python's and Arrow's own limits an error."""
_PATHS = ("trace", "report", "thumbnail")


class Batches:
    """The folders of finished batches in `folder`; none where it is None."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Those that have a table."""
        if self._folder is None:
            return []
        return sorted(path.parent.name for path in self._folder.glob("*/rows.parquet"))

    def summary(self, name: str) -> dict[str, Any]:
        """How many rows, videos and errors, and by setting the means of what is known.

        `layers` has, by setting, the mean densities and entropies of each layer. Raises UserError.
        """
        rows, layers = self._table(name, "rows"), self._table(name, "layers")
        return {
            "name": name,
            "rows": rows.num_rows,
            "pages": -(-rows.num_rows // ROWS_A_PAGE),
            "videos": compute.count_distinct(rows["video"]).as_py(),
            "errors": rows.num_rows - rows["error"].null_count,
            "settings": _means(rows, ["setting"], _MEANS),
            "layers": _means(layers, ["setting", "layer"], tuple(layers.column_names[4:])),
        }

    def page(self, name: str, page: str) -> list[dict[str, Any]]:
        """The rows of a page, from 0, without the files beside them. Raises UserError."""
        rows = self._table(name, "rows").drop_columns(list(_PATHS))
        if not page.isascii() or not page.isdigit() or len(page) > _PAGE_DIGITS:
            raise UserError(f"A page is a whole number from 0, got {page[:20]!r}.")
        return list(rows.slice(int(page) * ROWS_A_PAGE, ROWS_A_PAGE).to_pylist())

    def _table(self, name: str, kind: str) -> pa.Table:
        if self._folder is None or name not in self.names():
            raise UserError(f"There is no batch {name!r}; adaspark://batches lists them.")
        return parquet.read_table(self._folder / name / f"{kind}.parquet")


def _means(table: pa.Table, keys: list[str], columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """One dict a group: its keys, its rows, and the means of columns; null where none is known."""
    numbers = pa.table(
        {name: table[name] for name in keys}
        | {name: table[name].cast(pa.float64()) for name in columns}
    )
    counts = [(keys[0], "count"), *((name, "mean") for name in columns)]
    grouped = numbers.group_by(keys, use_threads=False).aggregate(counts)
    renamed = [name.removesuffix("_mean") for name in grouped.column_names]
    rows = renamed.index(f"{keys[0]}_count")
    renamed[rows] = "rows"
    return list(grouped.rename_columns(renamed).to_pylist())
