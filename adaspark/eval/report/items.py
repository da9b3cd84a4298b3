"""The items of one evaluation on disk: lines of JSON, appended as they come, published gzipped.

While a run computes, each item is appended to `items.jsonl`, so that a run that is stopped loses
nothing. `pack` moves those lines to the end of `items.jsonl.gz`, a tenth of the size. Both files
are read, the packed one first.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adaspark.errors import UserError
from adaspark.files import write_whole

OWN_FIELDS = frozenset({"plan", "commit", "seconds", "key"})
"""What every item has, beside the values of its evaluation."""


@dataclass
class ItemLog:
    """The items in `folder`. All methods raise OSError if the disk refuses."""

    folder: Path
    _is_whole: bool = field(default=False, init=False)

    @property
    def open_file(self) -> Path:
        """The file that items are appended to."""
        return self.folder / "items.jsonl"

    @property
    def packed_file(self) -> Path:
        """The file that `pack` writes."""
        return self.folder / "items.jsonl.gz"

    def read(self) -> list[dict[str, Any]]:
        """The items of both files, without a last line that a stopped run left unfinished.

        Raises UserError for a line that is no item and for a packed file that is damaged.
        """
        return list(self._from_line().values())

    def append(self, item: Mapping[str, Any]) -> None:
        """Add one item, first cutting what a stopped run left unfinished."""
        if not self._is_whole:
            if self.open_file.exists():
                os.truncate(self.open_file, len(_whole_lines(self.open_file)))
            self._is_whole = True
        with self.open_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(item, ensure_ascii=False, allow_nan=False) + "\n")

    def pack(self) -> None:
        """Leave `items.jsonl.gz` alone, with all items; one that is complete stays as it is."""
        if not self.open_file.exists():
            return
        lines = b"".join(line + b"\n" for line in self._from_line())
        packed = gzip.compress(lines, mtime=0)  # no date: the same each time
        write_whole(self.packed_file, lambda draft: draft.write_bytes(packed))
        self.open_file.unlink()

    def _from_line(self) -> dict[bytes, dict[str, Any]]:
        """Items by their line: a run stopped between the two steps of `pack` leaves lines in both
        files, which count once.
        """
        packed = _items(self._unpacked(), self.packed_file)
        return packed | _items(_whole_lines(self.open_file), self.open_file)

    def _unpacked(self) -> bytes:
        if not self.packed_file.exists():
            return b""
        try:
            return gzip.decompress(self.packed_file.read_bytes())
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(
                f"{self.packed_file} is damaged ({error}): delete it and run the evaluation again."
            ) from error


def _whole_lines(path: Path) -> bytes:
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def _items(content: bytes, path: Path) -> dict[bytes, dict[str, Any]]:
    items = {}
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            item = json.loads(line)
            complete = item.keys() >= OWN_FIELDS
        except (ValueError, AttributeError):
            complete = False
        if not complete:
            raise UserError(f"Line {number} of {path} is no item: delete that line.")
        items[line] = item
    return items
