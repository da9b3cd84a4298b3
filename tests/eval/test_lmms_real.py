"""The plugin in the real lmms-eval 0.7.3 on a toy task of video files, with the bundled model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from paths import ASSETS, ROOT

from adaspark.eval.lmms.runs import Run, read_runs
from adaspark.eval.lmms.table import table

pytestmark = [
    pytest.mark.lmms,
    pytest.mark.skipif(find_spec("qwen_vl_utils") is None, reason="lmms-eval is not installed"),
]
SHORT = sorted((ASSETS / "samples").glob("[1-6]_*.json"))
"""All but the hour, which takes minutes a question."""
QUESTIONS = 2
YAML = """\
task: sparkworld
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_visual: !function functions.videos
doc_to_text: !function functions.question
doc_to_messages: !function functions.messages
doc_to_target: answer
generation_kwargs: {{max_new_tokens: 4, temperature: 0, do_sample: false}}
process_results: !function functions.judged
metric_list:
  - metric: right
    aggregation: mean
    higher_is_better: true
metadata: {{version: 0}}
"""
FUNCTIONS = """\
def videos(doc):
    return [doc["video"]]


def question(doc, _=None):
    return doc["question"]


def messages(doc, _=None):
    parts = [{"type": "video", "url": doc["video"]}, {"type": "text", "text": doc["question"]}]
    return [{"role": "user", "content": parts}]


def judged(doc, results):
    said = results[0] if isinstance(results[0], str) else results[0].text
    return {"right": float(said.strip().lower() == doc["answer"])}
"""
SPARSE = "attn_top_p=0.72,ffn_top_p=0.5"
DENSE = "attn_top_p=1,ffn_top_p=1"


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The short sample clips with two of their questions each."""
    folder = tmp_path_factory.mktemp("task")
    rows = [
        {"video": str(notes.with_suffix(".mp4")), **item}
        for notes in SHORT
        for item in json.loads(notes.read_text())["items"][:QUESTIONS]
    ]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "sparkworld.yaml").write_text(YAML.format(data=folder / "data.jsonl"))
    (folder / "functions.py").write_text(FUNCTIONS)
    return folder


LAUNCH = (
    "accelerate.commands.launch --cpu --num_machines 1 --mixed_precision no --dynamo_backend no"
)


def evaluate(
    task: Path, out: Path, arguments: str, *options: str, batch: int = 1, processes: int = 1
) -> Run:
    """One run of the command; what it has logged."""
    launch = [*LAUNCH.split(), "--num_processes", str(processes), "-m"] if processes > 1 else []
    told = (
        f"pretrained={ASSETS / 'mini'},device=cpu,device_map=cpu,fps=4,max_pixels=50176,"
        f"min_pixels=50176,cube=[1,2,2],{arguments}"
    )
    command = [
        sys.executable, "-m", *launch, "lmms_eval", "--model", "adaspark_qwen2_5_vl",
        "--include_path", str(task), "--tasks", "sparkworld", "--batch_size", str(batch),
        "--log_samples", "--output_path", str(out), "--model_args", told, *options,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, cwd=out.parent, capture_output=True, text=True)
    logged = list(out.rglob("*_results.json"))  # it exits with 0 where it could not evaluate
    assert done.returncode == 0 and logged, done.stderr[-3000:]
    (run,) = read_runs(out)
    return run


def answers(out: Path) -> dict[int, Any]:
    (samples,) = out.rglob("*_samples_sparkworld.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    return {line["doc_id"]: line["filtered_resps"] for line in lines}


@pytest.fixture(scope="module")
def runs(task: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dense and sparse, one request after the other, with costs."""
    folder = tmp_path_factory.mktemp("runs")
    evaluate(task, folder / "dense", f"{DENSE},costs={folder / 'dense.jsonl'}")
    evaluate(task, folder / "sparse", f"{SPARSE},costs={folder / 'sparse.jsonl'}")
    return folder


def test_it_is_the_version_that_is_promised() -> None:
    assert version("lmms-eval") == "0.7.3"


def test_dense_and_sparse_are_scored_with_a_cost_for_every_sample(runs: Path) -> None:
    dense, sparse = (read_runs(runs / name)[0] for name in ("dense", "sparse"))
    for run in (dense, sparse):
        assert run.scores.keys() == run.costs.keys() == set(range(len(SHORT) * QUESTIONS))
        assert run.score == pytest.approx(sum(run.scores.values()) / len(run.scores))
        assert run.score > 0.6 and run.seconds > 0
    assert dense.is_dense and not sparse.is_dense
    assert dense.mean_cost("attention_density") == dense.mean_cost("ffn_density") == 1.0
    assert 0 < (sparse.mean_cost("attention_density") or 0) < 0.4
    made = table([dense, sparse])
    assert [row[1] for row in made.rows] == ["dense", "cube 1x2x2, p 0.72 and 0.5"]
    assert made.rows[1][4] is not None  # paired with dense


def test_four_at_once_answer_as_one_at_a_time(task: Path, runs: Path) -> None:
    evaluate(task, runs / "four", SPARSE, batch=4)
    assert answers(runs / "four") == answers(runs / "sparse")


def test_two_processes_share_the_questions(task: Path, runs: Path) -> None:
    costs = runs / "two.jsonl"
    two = evaluate(task, runs / "two", f"{SPARSE},costs={costs}", processes=2)
    assert answers(runs / "two") == answers(runs / "sparse")
    (alone,) = read_runs(runs / "sparse")
    assert two.scores == alone.scores and two.costs.keys() == alone.costs.keys()
    assert len(costs.read_text().splitlines()) == len(SHORT) * QUESTIONS


def test_a_run_goes_on_from_its_cache(task: Path, runs: Path) -> None:
    cache = ("--use_cache", str(runs / "cache"))
    costs = runs / "again.jsonl"
    evaluate(task, runs / "part", f"{SPARSE},costs={costs}", *cache, "--limit", "5")
    assert len(costs.read_text().splitlines()) == 5
    whole = evaluate(task, runs / "whole", f"{SPARSE},costs={costs}", *cache)
    assert answers(runs / "whole") == answers(runs / "sparse")
    assert len(costs.read_text().splitlines()) == len(SHORT) * QUESTIONS == len(whole.costs)
