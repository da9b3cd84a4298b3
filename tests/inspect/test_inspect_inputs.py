"""Which pairs and settings a run is about, and what it says of files that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv, parquet

from adaspark.errors import UserError
from adaspark.inspect.inputs import Pair, read_pairs
from adaspark.inspect.plan import QUESTIONS_AT_ONCE, units_of
from adaspark.inspect.rows import is_correct
from adaspark.inspect.settings import read_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    for name in ("b.mp4", "a.MKV", "deep/c.webm", "notes.txt", "cover.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "q.txt").write_text("What?\n\n  Who? \nWhat?\n")
    return tmp_path


def test_every_question_of_every_video_of_a_folder_once(folder: Path) -> None:
    pairs = read_pairs(str(folder), str(folder / "q.txt"))
    videos = [str(folder / name) for name in ("a.MKV", "b.mp4", "deep/c.webm")]
    assert pairs == [Pair(video, each) for video in videos for each in ("What?", "Who?")]


def test_a_pattern_takes_what_fits_it_alone(folder: Path) -> None:
    pairs = read_pairs(str(folder / "*.mp4"), str(folder / "q.txt"))
    assert {pair.video for pair in pairs} == {str(folder / "b.mp4")}
    deep = read_pairs(str(folder / "**" / "*.webm"), str(folder / "q.txt"))
    assert {pair.video for pair in deep} == {str(folder / "deep/c.webm")}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_table_brings_questions_and_answers(folder: Path, kind: str) -> None:
    rows = [
        {"video": "b.mp4", "question": "What?", "answer": "4"},
        {"video": "a.MKV", "question": "Who?", "answer": None},
        {"video": "b.mp4", "question": "Who?", "answer": "me"},
    ]
    path = folder / f"pairs.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    elif kind == "csv":
        csv.write_csv(pa.Table.from_pylist(rows), path)
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    found = read_pairs(str(path))
    one, other = str(folder / "b.mp4"), str(folder / "a.MKV")
    assert [(pair.video, pair.question) for pair in found] == [
        (one, "What?"), (one, "Who?"), (other, "Who?")
    ]  # fmt: skip
    assert [pair.expected or None for pair in found] == ["4", "me", None]


def test_a_table_of_videos_takes_the_questions_of_a_file(folder: Path) -> None:
    (folder / "videos.jsonl").write_text('{"video": "b.mp4"}\n')
    (folder / "q.jsonl").write_text('{"question": "What?", "answer": "that"}\n')
    pairs = read_pairs(str(folder / "videos.jsonl"), str(folder / "q.jsonl"))
    assert pairs == [Pair(str(folder / "b.mp4"), "What?", "that")]


@pytest.mark.parametrize(
    ("source", "questions", "message"),
    [
        ("deep", "notes2.txt", "cannot be read"),
        ("none", "q.txt", "no video at"),
        ("empty", "q.txt", "holds no video"),
        ("deep", None, "--questions"),
        ("deep", "blank.txt", "no question"),
        ("broken.jsonl", None, "Line 2"),
        ("broken.parquet", None, "as Parquet"),
        ("nameless.jsonl", None, "Row 1 .* `video`"),
        ("b.jsonl", "q.txt", "questions of its own"),
        ("videos.jsonl", None, "no column `question`"),
    ],
)
def test_what_cannot_be_read_is_said(
    folder: Path, source: str, questions: str | None, message: str
) -> None:
    (folder / "empty").mkdir()
    (folder / "blank.txt").write_text(" \n\n")
    (folder / "broken.jsonl").write_text('{"video": "b.mp4", "question": "q"}\n[1]\n')
    (folder / "broken.parquet").write_text("no table")
    (folder / "nameless.jsonl").write_text('{"question": "q"}\n')
    (folder / "b.jsonl").write_text('{"video": "b.mp4", "question": "q"}\n')
    (folder / "videos.jsonl").write_text('{"video": "b.mp4"}\n')
    with pytest.raises(UserError, match=message):
        read_pairs(str(folder / source), questions and str(folder / questions))


@given(counts=st.lists(st.integers(1, 80), max_size=6), reports=st.integers(0, 300))
def test_units_hold_each_pair_once_and_one_video_each(counts: list[int], reports: int) -> None:
    pairs = [Pair(f"{v}.mp4", str(q)) for v, count in enumerate(counts) for q in range(count)]
    units = list(units_of(pairs, reports=reports))
    assert [pair for unit in units for pair in unit.pairs] == pairs
    for unit in units:
        assert {pair.video for pair in unit.pairs} == {unit.video}
        assert 0 < len(unit.pairs) <= QUESTIONS_AT_ONCE
    assert sum(unit.reports for unit in units) == min(reports, len(pairs))


def test_a_grid_crosses_its_axes_and_dense_stands_beside() -> None:
    found = read_settings({}, ["attn-top-p=0.5,0.9", "cube=1,2,2;4,4,4"], dense=True)
    assert [setting.name for setting in found] == [
        "attn-top-p=0.5 cube=1,2,2",
        "attn-top-p=0.5 cube=4,4,4",
        "attn-top-p=0.9 cube=1,2,2",
        "attn-top-p=0.9 cube=4,4,4",
        "dense",
    ]
    assert found[1].changes == {"attn_top_p": 0.5, "cube": [4, 4, 4]}
    assert found[-1].changes == {"attn_top_p": 1.0, "ffn_top_p": 1.0}


def test_one_p_is_both_thresholds() -> None:
    (only,) = read_settings({"cube": [1, 2, 2]}, ["p=0.5"], dense=False)
    assert only.changes == {"cube": [1, 2, 2], "attn_top_p": 0.5, "ffn_top_p": 0.5}


@pytest.mark.parametrize("grid", ["q=1", "p", "p=", "p=x", "p=1.5", "cube=1,2"])
def test_a_grid_that_is_none_is_refused(grid: str) -> None:
    with pytest.raises(UserError):
        read_settings({}, [grid], dense=False)


def test_what_is_given_twice_is_refused() -> None:
    with pytest.raises(UserError, match="ffn_top_p is given twice"):
        read_settings({"ffn_top_p": 0.3}, ["p=0.5"], dense=False)


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        (" Blue. ", "blue", True),
        ("the “Circle”", "the Circle", False),
        ("4 to  6", "4 to 6", True),
        ("2.5", "25", False),
        ("-3", "3", False),
        ("", "none", False),
        ("blue", None, None),
    ],
)
def test_right_is_what_says_the_same(answer: str, expected: str | None, right: bool | None) -> None:
    assert is_correct(answer, expected) is right
