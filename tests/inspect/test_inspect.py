"""`adaspark inspect` with the bundled model: tables, traces, pages; stopped, gone wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from paths import ASSETS

from adaspark import Trace, cli
from adaspark.errors import UserError
from adaspark.inspect import on_ray, worker
from adaspark.model import feature_files, vision

SAMPLES = ("1_needle", "2_order")
QUESTIONS = ("Which color comes first?", "How many objects are there?")
QUICK = ("--max-frames", "4", "--max-new-tokens", "3")
BINDING = [
    "video", "question", "answer", "expected", "correct", "error", "attention_density",
    "ffn_density", "flops_reduction", "seconds_decode", "seconds_vision", "seconds_prefill",
    "seconds_generate",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips, one file that is none, questions with an answer, and a run of them all."""
    folder = tmp_path_factory.mktemp("inspected")
    for name in SAMPLES:
        shutil.copy(ASSETS / "samples" / f"{name}.mp4", folder)
    (folder / "bad.mp4").write_bytes(b"words, no video\n" * 50)
    rows = [{"question": QUESTIONS[0], "answer": "Yellow."}, {"question": QUESTIONS[1]}]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert inspect(folder, "--dense", "--reports", "3") == 0
    return folder


def inspect(folder: Path, *options: str, out: str = "out") -> int:
    asked = ("--questions", str(folder / "questions.jsonl"), "--out", str(folder / out))
    return cli.main(["inspect", str(folder / "*.mp4"), *asked, *QUICK, *options])


def table(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_one_row_a_pair_and_setting_bad_files_too(folder: Path) -> None:
    rows = table(folder / "out" / "rows.parquet")
    assert list(rows[0])[: len(BINDING)] == BINDING
    videos = [str(folder / f"{name}.mp4") for name in (*SAMPLES, "bad")]
    assert sorted((r["video"], r["question"], r["setting"]) for r in rows) == sorted(
        (v, q, s) for v in videos for q in QUESTIONS for s in ("sparse", "dense")
    )
    for row in rows:
        if "bad" in row["video"]:
            assert "not a video" in row["error"] and row["answer"] is row["trace"] is None
        else:
            assert row["error"] is None and row["answer"] and row["seconds_prefill"] > 0
        assert (row["correct"] is None) == (row["expected"] is None or row["error"] is not None)
        if row["correct"] is not None:
            assert row["correct"] == (row["answer"].lower() == "yellow")
    dense = [row for row in rows if row["setting"] == "dense" and row["error"] is None]
    assert {(row["attention_density"], row["ffn_density"]) for row in dense} == {(1.0, 1.0)}


def test_a_video_is_encoded_once_for_all_its_questions(folder: Path) -> None:
    for name in SAMPLES:
        rows = [r for r in table(folder / "out" / "rows.parquet") if name in r["video"]]
        assert len(rows) == 4 and sum(row["seconds_vision"] > 0 for row in rows) == 1


def test_features_of_long_videos_are_mapped_from_files_that_the_next_run_finds(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_files, "SPILLED_BYTES", {"cpu": 0})
    monkeypatch.setenv("ADASPARK_FEATURES", str(tmp_path / "features"))
    encoded = []
    usual = vision.encode

    def encode(*given: Any) -> Any:
        encoded.append(given)
        return usual(*given)

    monkeypatch.setattr(vision, "encode", encode)
    rows = []
    for out in ("first", "second"):
        assert inspect(folder, "--dense", out=str(tmp_path / out)) == 0
        assert len(encoded) == len(SAMPLES) == len(list((tmp_path / "features").glob("*/level-0*")))
        rows.append(table(tmp_path / out / "rows.parquet"))
    answers = [[row["answer"] for row in each] for each in rows]
    expected = [row["answer"] for row in table(folder / "out" / "rows.parquet")]
    assert answers[0] == answers[1] == expected


def test_rows_say_what_their_traces_say(folder: Path) -> None:
    rows = [r for r in table(folder / "out" / "rows.parquet") if r["error"] is None]
    layers = table(folder / "out" / "layers.parquet")
    assert len({row["trace"] for row in rows}) == len(rows) == 8
    for row in rows:
        trace = Trace.load(folder / "out" / row["trace"])
        assert (trace.meta.question, trace.meta.answer) == (row["question"], row["answer"])
        assert trace.attention_density == row["attention_density"]
        assert trace.meta.flops and trace.meta.flops.reduction == row["flops_reduction"]
        assert (folder / "out" / row["thumbnail"]).read_bytes()[:3] == b"\xff\xd8\xff"
        same = ("video", "question", "setting")
        mine = [each for each in layers if all(each[name] == row[name] for name in same)]
        assert [each["layer"] for each in mine] == list(range(len(trace.layers)))
        assert [each["ffn_density"] for each in mine] == [x.ffn_density for x in trace.layers]


def test_answers_are_those_of_ask(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = table(folder / "out" / "rows.parquet")[0]
    capsys.readouterr()
    assert cli.main(["ask", row["video"], row["question"], *QUICK, "--json", "-"]) == 0
    summary = json.loads(capsys.readouterr().out)
    for name in ("answer", "attention_density", "ffn_density"):
        assert summary[name] == row[name]


def test_the_first_pairs_have_pages(folder: Path) -> None:
    rows = table(folder / "out" / "rows.parquet")
    paged = {(row["video"], row["question"]) for row in rows if row["report"]}
    good = list(dict.fromkeys((r["video"], r["question"]) for r in rows if r["error"] is None))
    assert paged == set(good[:3])
    for row in rows:
        if row["report"]:
            assert row["question"] in (folder / "out" / row["report"]).read_text("utf-8")


def test_what_is_done_is_not_done_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.mp4").rename(folder / "bad.txt")

    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was loaded")

    before = (folder / "out" / "rows.parquet").read_bytes()
    monkeypatch.setattr(worker, "Engine", load)
    assert inspect(folder, "--dense", "--reports", "3") == 0
    rows = table(folder / "out" / "rows.parquet")
    assert len(rows) == 8 and all(row["error"] is None for row in rows)
    (folder / "bad.txt").rename(folder / "bad.mp4")
    monkeypatch.undo()
    assert inspect(folder, "--dense", "--reports", "3") == 0
    assert (folder / "out" / "rows.parquet").read_bytes() == before


def test_a_stopped_run_takes_up_its_traces(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    whole = worker.Worker._asked

    def two(self: Any, *arguments: Any) -> Any:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(arguments[0].question)
        return whole(self, *arguments)

    monkeypatch.setattr(worker.Worker, "_asked", two)
    capsys.readouterr()
    assert inspect(folder, "--grid", "p=0.5,0.9", out="stopped") == 130
    said = capsys.readouterr().err
    assert said.splitlines()[-1].endswith("The same command carries on from here.")
    assert said.index("loading the model") < said.index(f"{SAMPLES[0]}.mp4: ")
    kept = {p: p.stat().st_mtime_ns for p in (folder / "stopped" / "traces").iterdir()}
    assert len(kept) == 2 and not (folder / "stopped" / "rows.parquet").exists()
    monkeypatch.setattr(worker.Worker, "_asked", whole)
    assert inspect(folder, "--grid", "p=0.5,0.9", out="stopped") == 0
    rows = table(folder / "stopped" / "rows.parquet")
    assert {row["setting"] for row in rows} == {"p=0.5", "p=0.9"} and len(rows) == 12
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    sparser, denser = (
        [r["attention_density"] for r in rows if r["setting"] == name and r["error"] is None]
        for name in ("p=0.5", "p=0.9")
    )
    assert all(a < b for a, b in zip(sparser, denser, strict=True))


def test_one_pair_that_breaks_the_model_is_a_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = worker.Worker._asked

    def broken(self: Any, pair: Any, setting: Any) -> Any:
        if pair.question == QUESTIONS[1]:
            raise RuntimeError("out of\nmemory")
        return whole(self, pair, setting)

    monkeypatch.setattr(worker.Worker, "_asked", broken)
    assert inspect(folder, out="broken") == 0
    rows = table(folder / "broken" / "rows.parquet")
    found = {row["error"] for row in rows if "bad" not in row["video"]}
    assert found == {None, "The run failed: RuntimeError: out of memory"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--grid", "p=2"], "top_p"),
        (["--max-new-tokens", "0"], "max-new-tokens"),
        (["--fps", "-1"], "fps"),
        (["--model", "nowhere"], "Unknown model"),
        (["--attn-top-p", "0.5,0.5"], "layers"),
        (["--reports", "x"], "whole number"),
        (["--reports", "-1"], "--reports must be at least 0, got -1"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    capsys.readouterr()
    try:
        code = inspect(folder, *options, out="refused")
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and message in said[-1] and said[-1].startswith("adaspark: ")


def test_a_cluster_without_ray_is_refused_before_anything_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="Ray is not installed: pip install"):
        on_ray.Cluster("auto")


def test_a_folder_that_cannot_be_written_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").write_text("no folder")
    assert inspect(folder, out="file") == 2
    assert "cannot be written" in capsys.readouterr().err
