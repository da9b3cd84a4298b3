"""The comparison of families: paired, written item by item, refused where it would mean nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adaspark import cli


def test_every_item_has_both_arms(tmp_path: Path) -> None:
    out = tmp_path / "families.json"
    arguments = ["--clips", "2", "--frames", "8", "--seed", "99", "--json", str(out)]
    assert cli.main(["eval", "families", *arguments]) == 0
    result = json.loads(out.read_text("utf-8"))
    assert result["label"] == "S"
    assert len(result["items"]) >= 4
    for item in result["items"]:
        assert {"dense", "adaspark", "expected", "question", "seed"} <= item.keys()
        assert 0 < item["attention_density"] < 1
    for family, row in result["families"].items():
        mine = [item for item in result["items"] if item["family"] == family]
        assert row["items"] == len(mine)
        right = sum(item["dense"] == item["expected"] for item in mine)
        assert row["dense"] == pytest.approx(right / len(mine))


@pytest.mark.parametrize("options", [["--clips", "0"], ["--frames", "7"], ["--size", "100"]])
def test_a_plan_without_clips_is_refused(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["eval", "families", *options]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_world_is_written_with_its_questions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "clip.mp4"
    assert cli.main(["world", str(out), "--family", "count", "--frames", "8", "--seed", "3"]) == 0
    items = json.loads(out.with_suffix(".json").read_text("utf-8"))["items"]
    assert capsys.readouterr().out.splitlines() == [
        f"{item['question']} {item['answer']}" for item in items
    ]
    assert out.stat().st_size > 1000
