"""The folder of a run: traces, pages and pictures by name, parts of the tables, and the tables.

Every file is written whole or not at all, and its name says what it was made from. So a run that
was stopped takes up what is there, and two workers that do the same work write the same file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from adaspark.files import write_whole
from adaspark.inspect.rows import LAYERS, ROWS

FOLDERS = ("traces", "reports", "thumbnails", "parts")


class Store:
    """A run's folder, made if need be. Every method may raise OSError."""

    def __init__(self, out: str | Path) -> None:
        self.out = Path(out)
        for name in FOLDERS:
            (self.out / name).mkdir(parents=True, exist_ok=True)

    def path(self, kind: str, key: str, suffix: str) -> Path:
        """The file of one kind that has this key."""
        return self.out / kind / f"{key}{suffix}"

    def name(self, path: Path) -> str:
        """How the tables call a file of this folder."""
        return path.relative_to(self.out).as_posix()

    def write(self, path: Path, write: Callable[[Path], object]) -> None:
        """Make a file, unless it is there already."""
        if not path.exists():
            write_whole(path, write)

    def write_part(
        self, key: str, rows: Sequence[dict[str, Any]], layers: Sequence[dict[str, Any]]
    ) -> None:
        """The rows of one unit; it is done when they are there."""
        self._write_table(self._part(key, "layers"), LAYERS, layers)
        self._write_table(self._part(key, "rows"), ROWS, rows)

    def rows(self, key: str) -> list[dict[str, Any]] | None:
        """The rows of a unit, None while they are not there."""
        path = self._part(key, "rows")
        return parquet.read_table(path).to_pylist() if path.is_file() else None

    def is_done(self, key: str) -> bool:
        """Whether a unit needs no more work: what failed is tried again."""
        rows = self.rows(key)
        return rows is not None and all(row["error"] is None for row in rows)

    def merge(self, keys: Sequence[str]) -> tuple[pa.Table, pa.Table]:
        """Write both tables from the parts, in their order, and return them."""
        return self._merged("rows", ROWS, keys), self._merged("layers", LAYERS, keys)

    def _merged(self, kind: str, schema: pa.Schema, keys: Sequence[str]) -> pa.Table:
        def write(draft: Path) -> None:
            with parquet.ParquetWriter(draft, schema) as writer:
                for part in self._parts(kind, keys):
                    writer.write_table(part)

        target = self.out / f"{kind}.parquet"
        write_whole(target, write)
        return parquet.read_table(target)

    def _parts(self, kind: str, keys: Sequence[str]) -> Iterator[pa.Table]:
        return (parquet.read_table(self._part(key, kind)) for key in keys)

    def _part(self, key: str, kind: str) -> Path:
        return self.path("parts", key, f".{kind}.parquet")

    def _write_table(self, path: Path, schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> None:
        table = pa.Table.from_pylist(list(rows), schema=schema)
        write_whole(path, lambda draft: parquet.write_table(table, draft))
