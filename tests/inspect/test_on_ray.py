"""The same run on a real Ray cluster of two nodes, of which one is killed half-way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ASSETS, ROOT
from ray_cluster import Cluster, count, inspect, started, stderr, until, workers
from test_inspect import QUICK, table

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.cluster
VIDEOS, QUESTIONS = 10, 6


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with started() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten clips of different content, one of them broken, and six questions."""
    samples = sorted((ASSETS / "samples").glob("*.mp4"))
    for number in range(VIDEOS - 1):
        whole = samples[number % len(samples)].read_bytes()
        (tmp_path / f"{number}.mp4").write_bytes(whole + b"\0\0\0\x09free" + bytes([number]))
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    rows = [{"question": f"Which color comes {n}?", "answer": "blue"} for n in range(QUESTIONS)]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_a_node_killed_half_way_loses_and_doubles_nothing(cluster: Cluster, folder: Path) -> None:
    cluster.start_node()
    cluster.start_node()
    until(lambda: cluster.nodes() == 2)
    run = inspect(cluster, folder, "out", *QUICK, "--dense")
    parts = folder / "out" / "parts"
    until(lambda: run.poll() is None and workers() == 2 and count(parts) >= 2)
    done = count(parts)
    cluster.kill_node()
    assert run.wait(400) == 0
    assert done < VIDEOS, "the node was killed too late to matter"
    rows = table(folder / "out" / "rows.parquet")
    videos = [*(f"{number}.mp4" for number in range(VIDEOS - 1)), "bad.mp4"]
    found = [(Path(row["video"]).name, row["question"], row["setting"]) for row in rows]
    assert len(found) == len(set(found)) == VIDEOS * QUESTIONS * 2
    assert {name for name, _, _ in found} == set(videos)
    for row in rows:
        is_bad = Path(row["video"]).name == "bad.mp4"
        assert (row["error"] is not None) == is_bad, row["error"]
        assert is_bad or (folder / "out" / row["trace"]).is_file()
    assert len(list((folder / "out" / "traces").iterdir())) == (VIDEOS - 1) * QUESTIONS * 2


def test_a_cluster_s_rows_are_those_of_one_machine(cluster: Cluster, folder: Path) -> None:
    cluster.start_node()
    until(lambda: cluster.nodes() == 1)
    for path in folder.glob("[3-9].mp4"):
        path.unlink()
    assert inspect(cluster, folder, "there", *QUICK).wait(300) == 0
    bar = [line for line in stderr(folder) if "answer" in line]
    assert bar and all(line.startswith("on the cluster: ") for line in bar[1:])
    said = [line.split()[:2] for line in stderr(folder) if line not in bar]
    assert said == [["adaspark:", "bad.mp4"], ["adaspark:", "1"]]  # Ray itself is silent
    command = [sys.executable, "-m", "adaspark", "inspect", str(folder), *QUICK]
    asked = ["--questions", str(folder / "q.jsonl"), "--out", str(folder / "here")]
    subprocess.run([*command, *asked], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    there, here = (table(folder / out / "rows.parquet") for out in ("there", "here"))
    for one, other in zip(there, here, strict=True):
        for name in ("video", "question", "answer", "correct", "error", "trace", "ffn_density"):
            assert one[name] == other[name]


def test_a_setting_that_no_worker_can_use_is_one_line(cluster: Cluster, folder: Path) -> None:
    cluster.start_node()
    until(lambda: cluster.nodes() == 1)
    run = inspect(cluster, folder, "out", *QUICK, "--attn-top-p", "0.5,0.5")
    assert run.wait(120) == 2
    assert "Thresholds are given for 2 layers" in stderr(folder)[-1]
