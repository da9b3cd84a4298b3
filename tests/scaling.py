"""What a second worker brings: the same batch on a real Ray cluster with one and with two of them.

    python tests/scaling.py --out assets/results/bench/scaling.json

Two nodes of one CPU, so on this machine: its load stands beside every run. `seconds` is the whole
command, the start of the workers included; `rate` is units a minute after the first was done.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq
from paths import ASSETS
from ray_cluster import Cluster, inspect, started, until

from adaspark.environment import setting
from adaspark.figures_json import text_of, write_figures

WORKERS = (1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["ADASPARK_FEATURES"] = ""  # a later run finds nothing of an earlier one
    with tempfile.TemporaryDirectory() as folder, started() as cluster:
        make_batch(Path(folder), given.videos, given.questions)
        for number in range(1, max(WORKERS) + 1):
            cluster.start_node()
            until(lambda wanted=number: cluster.nodes() == wanted)
        runs = [
            timed(cluster, Path(folder), workers, again, given)
            for again in range(given.repeats)
            for workers in WORKERS
        ]
    found = {
        "videos": given.videos,
        "questions": given.questions,
        "runs": runs,
        "speedup": ratio(runs, "seconds"),
        "speedup_of_rate": 1 / ratio(runs, "rate"),
        "environment": {**setting(), "cores": os.cpu_count()},
    }
    write_figures(given.out, found)
    print(text_of(found))


def make_batch(folder: Path, videos: int, questions: int) -> None:
    """Clips whose bytes differ, and what is asked of each."""
    samples = sorted((ASSETS / "samples").glob("[1-6]_*.mp4"))
    for number in range(videos):
        whole = samples[number % len(samples)].read_bytes()
        (folder / f"{number:03}.mp4").write_bytes(whole + b"\0\0\0\x09free" + bytes([number]))
    rows = [{"question": f"Which color comes {n}?"} for n in range(questions)]
    (folder / "q.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")


def timed(
    cluster: Cluster, folder: Path, workers: int, again: int, given: argparse.Namespace
) -> dict[str, Any]:
    """One run of the command from its start to its tables."""
    before, begun = os.getloadavg()[0], time.time()
    out = f"out-{workers}-{again}"
    run = inspect(cluster, folder, out, "--reports", "0", "--workers", str(workers))
    assert run.wait() == 0
    seconds, load = time.time() - begun, os.getloadavg()[0]
    rows = pq.read_table(folder / out / "rows.parquet").to_pylist()
    assert len(rows) == given.videos * given.questions
    assert not [row["error"] for row in rows if row["error"] is not None]
    parts = (folder / out / "parts").glob("*.rows.parquet")
    done = sorted(part.stat().st_mtime for part in parts)
    return {
        "workers": workers,
        "seconds": round(seconds, 1),
        "first_unit_seconds": round(done[0] - begun, 1),
        "rate": round(60 * (len(done) - 1) / (done[-1] - done[0]), 2),
        "load_1min": [round(before, 1), round(load, 1)],
    }


def ratio(runs: list[dict[str, Any]], name: str) -> float:
    """One worker's median by that of two."""
    one, two = (median(run[name] for run in runs if run["workers"] == n) for n in WORKERS)
    return round(one / two, 3)


if __name__ == "__main__":
    main()
