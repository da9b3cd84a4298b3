"""Batches of `adaspark inspect` as programs read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from paths import ASSETS

from adaspark import Trace
from adaspark.errors import UserError
from adaspark.inspect.inputs import Pair
from adaspark.inspect.rows import failed_row, layer_rows, row_of
from adaspark.inspect.store import Store
from app.media.batches import ROWS_A_PAGE, Batches


def write_batch(out: Path, *, failed: int = 1) -> Trace:
    """A batch of two answers to one recorded run, and of pairs that failed."""
    trace = Trace.load(ASSETS / "traces" / "1_needle.npz")
    pair = Pair("needle.mp4", trace.meta.question or "", trace.meta.answer)
    rows = [row_of(trace, pair, "sparse"), row_of(trace, pair._replace(expected="no"), "sparse")]
    rows += [failed_row("It is no video.", Pair(f"{n}.txt", "?"), "dense") for n in range(failed)]
    store = Store(out)
    store.write_part("unit", rows, layer_rows(trace, pair, "sparse"))
    store.merge(["unit"])
    return trace


def test_a_summary_is_of_all_rows_by_setting_and_layer(tmp_path: Path) -> None:
    trace = write_batch(tmp_path / "first")
    batches = Batches(tmp_path)
    assert batches.names() == ["first"]
    found = batches.summary("first")
    assert (found["rows"], found["videos"], found["errors"], found["pages"]) == (3, 2, 1, 1)
    by_setting = {each["setting"]: each for each in found["settings"]}
    sparse, dense = by_setting["sparse"], by_setting["dense"]
    assert sparse["rows"] == 2 and sparse["correct"] == 0.5
    assert sparse["attention_density"] == pytest.approx(trace.attention_density)
    assert dense["rows"] == 1 and dense["correct"] is dense["ffn_density"] is None
    densities = {each["layer"]: each["attention_density"] for each in found["layers"]}
    expected = dict(enumerate(layer.attention_density for layer in trace.layers))
    assert densities == pytest.approx(expected)


def test_pages_hold_every_row_once_and_no_paths(tmp_path: Path) -> None:
    write_batch(tmp_path / "first", failed=ROWS_A_PAGE)
    batches = Batches(tmp_path)
    pages = [batches.page("first", str(n)) for n in range(3)]
    assert [len(page) for page in pages] == [ROWS_A_PAGE, 2, 0]
    videos = [row["video"] for page in pages for row in page]
    assert videos == ["needle.mp4"] * 2 + [f"{n}.txt" for n in range(ROWS_A_PAGE)]
    assert not {"trace", "report", "thumbnail"} & pages[0][0].keys()


@pytest.mark.parametrize("name", ["second", "..", "first/..", "first/../first", "", "/first"])
def test_no_other_folder_is_read(tmp_path: Path, name: str) -> None:
    write_batch(tmp_path / "inside" / "first")
    write_batch(tmp_path)
    with pytest.raises(UserError, match="There is no batch"):
        Batches(tmp_path / "inside").summary(name)
    with pytest.raises(UserError, match="There is no batch"):
        Batches(None).page(name, "0")


@pytest.mark.parametrize("page", ["-1", "one", "1.5", "", "²", "9" * 30, "9" * 5000])
def test_a_page_is_a_number(tmp_path: Path, page: str) -> None:
    write_batch(tmp_path / "first")
    with pytest.raises(UserError, match="a whole number from 0"):
        Batches(tmp_path).page("first", page)
