"""The results that the README shows: their tables follow from the items beside them."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from adaspark.eval.results import load

RESULTS = Path(__file__).parents[1] / "assets" / "results"
FOLDERS = sorted(path.parent for path in RESULTS.glob("*/results.json"))


def test_their_items_are_packed() -> None:
    assert len(FOLDERS) >= 10
    assert all((folder / "items.jsonl.gz").exists() for folder in FOLDERS)
    assert not list(RESULTS.rglob("items.jsonl"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_their_tables_follow_from_their_items(folder: Path) -> None:
    """Every interval, p-value and share, to the last printed digit."""
    results = load(folder)
    assert len(results.items) == json.loads((folder / "results.json").read_text("utf-8"))["items"]
    name = results.command.removeprefix("adaspark ").removeprefix("eval ").split()[0]
    tables = import_module(f"adaspark.eval.{name}").summarise(results.items)
    assert [table.plain() for table in tables] == [table.plain() for table in results.tables]
