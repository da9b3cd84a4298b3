"""An evaluation's files: taken up by a rerun, kept whole, read back, refused where they are not."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaspark import environment as bench_setting
from adaspark.errors import UserError
from adaspark.eval.report import stats
from adaspark.eval.report.cells import MISSING, written
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.results import Results, fingerprint, load, write
from adaspark.eval.report.tables import Table, comparisons

MINUS = "\N{MINUS SIGN}"
SETTING = {"processor": "1 x none", "commit": "abc"}
PNG = b"\x89PNG not a picture"


def opened(folder: Path, **changes: Any) -> Results:
    values = {"plan": {"clips": 2, "share": 0.123456789}, "config": {"p": 0.9}, "setting": SETTING}
    return Results(folder, "adaspark eval toy", **{**values, **changes})


def lines(folder: Path) -> list[str]:
    """What is on disk of the items, packed or not."""
    packed, added = folder / "items.jsonl.gz", folder / "items.jsonl"
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else b""
    return (content + (added.read_bytes() if added.exists() else b"")).decode().splitlines()


def test_a_rerun_takes_up_the_items_of_its_own_plan(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.add(1, "dense", score=1.0)
    again = opened(tmp_path)
    assert again.has(1, "dense") and not again.has(1, "sparse") and not again.has("1", "dense")
    assert again.items == first.items
    again.add(1, "sparse", score=0.0)
    assert [item["score"] for item in opened(tmp_path).items] == [1.0, 0.0]


@pytest.mark.parametrize(
    "change", [{"plan": {"clips": 3}}, {"config": {"p": 0.8}}, {"seed": 1}], ids=str
)
def test_items_of_another_plan_are_ignored_and_kept(tmp_path: Path, change: dict[str, Any]) -> None:
    opened(tmp_path).add(1, score=1.0)
    other = opened(tmp_path, **change)
    assert not other.items and not other.has(1)
    other.add(1, score=0.5)
    assert len(lines(tmp_path)) == 2
    assert [item["score"] for item in opened(tmp_path).items] == [1.0]


def test_a_line_that_a_stopped_run_left_unfinished_is_computed_again(tmp_path: Path) -> None:
    opened(tmp_path).add(1, score=1.0)
    log = tmp_path / "items.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + whole[: len(whole) // 2])
    again = opened(tmp_path)
    assert len(again.items) == 1
    assert len(log.read_bytes()) > len(whole), "reading alone mends nothing"
    again.add(2, score=0.0)
    assert [json.loads(line)["key"] for line in lines(tmp_path)] == [[1], [2]]


@pytest.mark.parametrize("line", ["{", "[]", '{"plan": "x"}', ""])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    opened(tmp_path).add(1, score=1.0)
    with (tmp_path / "items.jsonl").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=r"Line 2 of .*: delete that line"):
        opened(tmp_path)


def test_saving_packs_the_items_and_a_rerun_adds_to_them(tmp_path: Path) -> None:
    results = opened(tmp_path)
    results.add(1, words="“é”")
    results.save([])
    packed = tmp_path / "items.jsonl.gz"
    assert sorted(path.name for path in tmp_path.iterdir()) == [packed.name, "results.json"]
    again = opened(tmp_path)
    assert again.items == results.items
    again.add(2)
    assert [json.loads(line)["key"] for line in lines(tmp_path)] == [[1], [2]]
    assert opened(tmp_path).items == again.items
    again.save([])
    assert not (tmp_path / "items.jsonl").exists()
    assert opened(tmp_path).items == again.items


def test_drawing_anew_leaves_packed_items_as_they_are(tmp_path: Path) -> None:
    """Bytes that another version of zlib wrote must not change when a result is redrawn."""
    results = opened(tmp_path)
    results.add(1)
    results.save([])
    packed = tmp_path / "items.jsonl.gz"
    other = gzip.compress(gzip.decompress(packed.read_bytes()), compresslevel=1, mtime=7)
    packed.write_bytes(other)
    load(tmp_path).save([])
    assert packed.read_bytes() == other


def test_items_count_once_where_packing_was_stopped_between_its_steps(tmp_path: Path) -> None:
    results = opened(tmp_path)
    results.add(1)
    results.add(2)
    added = (tmp_path / "items.jsonl").read_bytes()
    results.save([])
    (tmp_path / "items.jsonl").write_bytes(added)
    again = opened(tmp_path)
    assert again.items == results.items
    again.add(3)
    again.save([])
    assert [json.loads(line)["key"] for line in lines(tmp_path)] == [[1], [2], [3]]


@pytest.mark.parametrize("keep", [5, -9])
def test_a_damaged_packed_file_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    results = opened(tmp_path)
    results.add(1)
    results.save([])
    packed = tmp_path / "items.jsonl.gz"
    packed.write_bytes(packed.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"items\.jsonl\.gz is damaged .*run the evaluation again"):
        opened(tmp_path)


def test_an_item_is_json_of_six_figures(tmp_path: Path) -> None:
    opened(tmp_path).add(np.int64(3), array=np.arange(2), nan=math.nan, long=1 / 3, words="“é”")
    found = json.loads(lines(tmp_path)[0])
    assert found["key"] == [3] and found["commit"] == "abc" and found["seconds"] >= 0
    assert (found["array"], found["nan"], found["long"]) == ([0, 1], None, 0.333333)
    assert found["words"] == "“é”"
    assert opened(tmp_path).has(3)


def test_an_item_is_added_once_and_its_own_fields_are_not_the_caller_s(tmp_path: Path) -> None:
    results = opened(tmp_path)
    results.add(1, score=1.0)
    with pytest.raises(ValueError, match="ask `has`"):
        results.add(1, score=0.0)
    with pytest.raises(ValueError, match="commit, plan"):
        results.add(2, plan="x", commit="y")
    assert len(lines(tmp_path)) == 1


def table() -> Table:
    rows = [["color", 1200, stats.wilson(81, 263)], ["shape", None, math.nan]]
    return Table("Accuracy", {"family": "text", "items": "count", "right": "percent"}, rows, "note")


def test_what_is_saved_is_loaded_and_can_be_saved_again(tmp_path: Path) -> None:
    results = opened(tmp_path, seed=4, label="A", device="cuda")
    results.add(1, score=1.0)
    results.data["curve"] = np.array([0.5, math.nan])
    results.save([table()], [Figure("toy", PNG, "A toy", "nothing")])
    found = load(tmp_path)
    assert (found.command, found.label, found.seed) == ("adaspark eval toy", "A", 4)
    assert found.setting == SETTING and found.device == "cuda"
    assert found.plan_hash == results.plan_hash and found.items == results.items
    assert found.data == {"curve": [0.5, None]}
    assert found.tables[0].plain() == table().plain()
    assert (tmp_path / "toy.png").read_bytes() == PNG
    before = (tmp_path / "results.json").read_text("utf-8")
    found.save(found.tables, results.figures)
    assert (tmp_path / "results.json").read_text("utf-8") == before


def test_seconds_and_commits_are_those_of_all_runs(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.add(1)
    second = opened(tmp_path, setting={**SETTING, "commit": "def"})
    second.add(2)
    assert second.commits == ["abc", "def"]
    assert second.seconds == pytest.approx(sum(item["seconds"] for item in second.items))
    assert opened(tmp_path / "empty").commits == ["abc"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema": 1}', '{"schema": 99}'])
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="run the evaluation again"):
        load(tmp_path)


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run the evaluation first"):
        load(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="another folder"):
        opened(tmp_path / "file" / "below")


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    (target / "inside").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot be used"):
        write(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert fingerprint(tmp_path / "a") == "ba7816bf8f01"


def test_a_tree_without_history_takes_its_commit_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bench_setting, "__file__", str(tmp_path / "setting.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert bench_setting.setting()["commit"] == "unknown"
    monkeypatch.setenv("ADASPARK_COMMIT", "0123abc")
    assert bench_setting.setting()["commit"] == "0123abc"


@pytest.mark.parametrize(
    ("cell", "kind", "text"),
    [
        (0.985, "percent", "98.5 %"),
        ((0.975, 0.95, 0.988), "percent", "97.5 % [95.0, 98.8]"),
        ([0.5, None, None], "share", "0.50"),
        (-0.0062, "points", f"{MINUS}0.6"),
        (0.004, "points", "+0.4"),
        (-0.0001, "points", "0.0"),
        (12000, "count", "12,000"),
        (1.2345e9, "number", "1.23e+09"),
        (0.0004, "p", "< 0.001"),
        (0.0625, "p", "0.062"),
        (None, "count", MISSING),
        (math.nan, "percent", MISSING),
        ((math.nan, 0.0, 1.0), "percent", MISSING),
        (math.inf, "number", "∞"),
        ("as is", "percent", "as is"),
    ],
)
def test_cells_are_written_one_way(cell: Any, kind: Any, text: str) -> None:
    assert written(cell, kind) == text


def test_a_table_is_as_wide_as_its_columns() -> None:
    with pytest.raises(ValueError, match="2 cells a row"):
        Table("T", {"a": "text", "b": "count"}, [["x"]])
    with pytest.raises(ValueError, match="colour"):
        Table("T", {"a": "colour"}, [])  # type: ignore[dict-item]


names = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=8)


@given(st.lists(st.tuples(names, st.floats(0, 1)), max_size=5))
def test_markdown_and_terminal_show_every_row(rows: list[tuple[str, float]]) -> None:
    shown = Table("T", {"name": "text", "share": "share"}, rows)
    marked = shown.markdown().split("\n")
    assert len(marked) == 2 + len(rows)
    assert all(line.replace("\\|", "").count("|") == 3 for line in marked)
    assert len(shown.plain().split("\n")) == 2 + len(rows)
    assert Table.from_dict(json.loads(json.dumps(shown.to_dict()))).cells() == shown.cells()


def test_the_table_of_comparisons_says_what_they_say() -> None:
    found = stats.compare([1, 0, 1, 1], [1, 1, 1, 0])
    (row,) = comparisons("T", {"order": found}).cells()
    assert row[:4] == ["order", "4", "75.0 %", "75.0 %"]
    assert row[5:] == ["1", "1", "1.000", "undecided"]
