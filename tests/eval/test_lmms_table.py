"""The main table of lmms-eval's logs, and VideoNIAH's task: made-up answers, known outcomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from adaspark import cli
from adaspark.errors import UserError
from adaspark.eval.lmms.arguments import split_arguments
from adaspark.eval.lmms.registry import MODEL
from adaspark.eval.lmms.runs import read_runs
from adaspark.eval.lmms.table import OF_THE_PAPER, table
from adaspark.eval.lmms.tasks import videoniah

LMMS = Path(split_arguments.__code__.co_filename).parent
SPARSE = "pretrained=x,cube=[4,8,8],attn_top_p=0.5,ffn_top_p=[0.5,0.6],costs=/gone/costs.jsonl"
DENSE = "pretrained=x,cube=[4,8,8],attn_top_p=1,ffn_top_p=1"


def write_run(
    folder: Path, arguments: str | dict[str, Any], right: list[bool], *, task: str = "lvbench"
) -> None:
    """A run as lmms-eval 0.7.3 writes it: results, samples, and beside them our costs."""
    folder.mkdir(parents=True, exist_ok=True)
    score = sum(right) / len(right)
    results = {
        "results": {task: {"alias": task, "lvbench_score,none": score, "x_stderr,none": 0.1}},
        "config": {"model": MODEL, "model_args": arguments},
        "total_evaluation_time_seconds": 3.0 * len(right),
    }
    (folder / "20261129_120000_results.json").write_text(json.dumps(results))
    lines = [
        {"doc_id": i, "lvbench_score": {"pred_answer": "A" if is_right else "B", "answer": "A"}}
        for i, is_right in enumerate(right)
    ]
    samples = folder / f"20261129_120000_samples_{task}.jsonl"
    samples.write_text("\n".join(map(json.dumps, lines)))
    costs = [
        {"task": task, "doc_id": i, "attention_density": 0.2, "ffn_density": 0.5, "reduction": 0.4}
        for i in range(len(right))
    ]
    (folder / "costs.jsonl").write_text("\n".join(map(json.dumps, [costs[0], *costs])))


def test_each_sparse_run_is_paired_with_the_dense_one(tmp_path: Path) -> None:
    write_run(tmp_path / "dense", DENSE, [True] * 30 + [False] * 10)
    write_run(tmp_path / "sparse", SPARSE, [True] * 29 + [False] * 11)
    made = table(read_runs(tmp_path))
    rows: list[dict[str, Any]] = [dict(zip(made.columns, row, strict=True)) for row in made.rows]
    dense, sparse = rows
    assert (dense["benchmark"], dense["setting"], dense["questions"]) == ("LVBench", "dense", 40)
    assert dense["score"] == 0.75 and dense["against dense"] is None
    assert sparse["setting"] == "cube 4x8x8, p 0.5 and (0.5, 0.6)"
    assert sparse["against dense"].value == pytest.approx(-1 / 40)
    assert sparse["p"] == 1.0 and sparse["seconds a question"] == 3.0
    assert (sparse["attention density"], sparse["FFN density"]) == pytest.approx((0.2, 0.5))
    assert sparse["FLOPs"] == pytest.approx(0.6)


def test_the_table_says_what_was_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "a" / "b", {"cube": "[4,8,8]", "attn_top_p": 0.5}, [True, False])
    assert cli.main(["eval", "table", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("| benchmark |") and "| LVBench | cube 4x8x8, p 0.5 and 0.7 |" in said
    missing = said.split("for want of their data: ")[1]
    assert all(name in missing for name in OF_THE_PAPER.values() if name != "LVBench")
    assert "LVBench" not in missing.replace("LongVideoBench", "")


def test_a_folder_without_a_run_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["eval", "table", str(tmp_path)]) == 2
    assert "holds no run of lmms-eval" in capsys.readouterr().err
    (tmp_path / "1_results.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        read_runs(tmp_path)


def test_the_settings_are_those_of_qwen_and_name_tasks_that_are_there() -> None:
    runs = yaml.safe_load((LMMS / "settings" / "qwen2_5_vl_7b.yaml").read_text())
    group = yaml.safe_load((LMMS / "tasks" / "adaspark_paper.yaml").read_text())
    assert set(group["task"]) == OF_THE_PAPER.keys()
    for run in runs:
        assert run["model"] == MODEL and run["tasks"] == group["group"]
        for said in ("fps=2,", "max_num_frames=768,", "max_video_tokens=24576,"):
            assert said in run["model_args"]
    assert {"attn_top_p=1,ffn_top_p=1" in run["model_args"] for run in runs} == {True, False}


def test_videoniah_is_right_only_if_every_time_is() -> None:
    doc = {"item": 1, "video": "a.mp4", "question": "Which?", "options": ["x", "y"], "answer": "B"}
    assert "A. x\nB. y\nAnswer" in videoniah.question(doc)
    assert videoniah.messages(doc)[0]["content"][0] == {"type": "video", "url": "a.mp4"}
    told = [videoniah.judged(doc, [said]) for said in ("B", "(b) y.", "A")]
    assert [each["accuracy"] for each in told] == [1.0, 1.0, 0.0]
    parts = [each["circular_accuracy"] for each in told]
    assert videoniah.circular_accuracy(parts) == 0.0
    assert videoniah.circular_accuracy(parts[:2]) == 1.0
    other = {"item": 2, "score": 1.0}
    assert videoniah.circular_accuracy([*parts, other]) == 0.5
