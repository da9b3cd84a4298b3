"""The results that the README shows: their tables follow from the items beside them."""

from __future__ import annotations

import json
import math
from importlib import import_module
from pathlib import Path
from typing import Any

from long import some_of

from adaspark.assets import RESULTS
from adaspark.eval.report.results import load

SIXTH_FIGURE = 1e-5  # of a number that begins with 1, where it weighs most
FOLDERS = sorted(path.parent for path in RESULTS.glob("*/results.json"))


def test_their_items_are_packed() -> None:
    assert len(FOLDERS) >= 10
    assert all((folder / "items.jsonl.gz").exists() for folder in FOLDERS)
    assert not list(RESULTS.rglob("items.jsonl"))


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal, numbers to the sixth figure."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=SIXTH_FIGURE)
    return bool(one == other)


@some_of("folder", FOLDERS, always=1, ids=[folder.name for folder in FOLDERS])
def test_their_tables_follow_from_their_items(folder: Path, tmp_path: Path) -> None:
    """Every interval, p-value and share, to the six figures that are kept: processors sum in
    different orders, which may move the sixth.
    """
    results = load(folder)
    name = results.command.removeprefix("adaspark ").removeprefix("eval ").split()[0]
    tables = import_module(f"adaspark.eval.{name}.run").summarise(results.items)
    results.folder = tmp_path
    results.save(tables)
    kept, again = (
        json.loads((each / "results.json").read_text("utf-8")) for each in (folder, tmp_path)
    )
    assert again["items"] == kept["items"] and same(again["tables"], kept["tables"])
