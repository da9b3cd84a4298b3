"""The same run on a real Ray cluster of two nodes, of which one is killed half-way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ASSETS, ROOT
from test_inspect import QUICK, table

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.cluster
VIDEOS, QUESTIONS = 10, 6


class Cluster:
    """Two `ray start` processes of one CPU each, so that each holds one model."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._folder = folder

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start_node(self) -> None:
        first = not self._nodes
        where = ["--head", f"--port={self.port}"] if first else [f"--address={self.address}"]
        command = [
            str(Path(sys.executable).with_name("ray")), "start", *where, "--block",
            "--num-cpus=1", "--num-gpus=0", "--object-store-memory=200000000",
            "--disable-usage-stats", "--node-ip-address=127.0.0.1",
            f"--temp-dir={self._folder}",
        ]  # fmt: skip
        if first:
            command.append("--include-dashboard=false")
        node = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._nodes.append(node)

    def kill_node(self) -> None:
        """As a power cut does: the last node with all its processes, at once."""
        node = self._nodes.pop()
        os.killpg(node.pid, signal.SIGKILL)
        node.wait(30)

    def stop(self) -> None:
        while self._nodes:
            self.kill_node()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = Path("/tmp") / f"ray-{os.getpid()}"  # sockets' paths must be short
    made = Cluster(folder)
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


def inspect(cluster: Cluster, folder: Path, out: str, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "adaspark", "inspect", str(folder), "--out", str(folder / out)]
    asked = ["--questions", str(folder / "q.jsonl"), "--ray", cluster.address, "--cpus", "1"]
    return subprocess.Popen(
        [*command, *asked, *QUICK, *options], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


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
    _wait_until(lambda: _nodes(cluster) == 2)
    run = inspect(cluster, folder, "out", "--dense")
    parts = folder / "out" / "parts"
    _wait_until(lambda: run.poll() is None and _workers() == 2 and _count(parts) >= 2)
    done = _count(parts)
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
    _wait_until(lambda: _nodes(cluster) == 1)
    for path in folder.glob("[3-9].mp4"):
        path.unlink()
    assert inspect(cluster, folder, "there").wait(300) == 0
    command = [sys.executable, "-m", "adaspark", "inspect", str(folder), *QUICK]
    asked = ["--questions", str(folder / "q.jsonl"), "--out", str(folder / "here")]
    subprocess.run([*command, *asked], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    there, here = (table(folder / out / "rows.parquet") for out in ("there", "here"))
    for one, other in zip(there, here, strict=True):
        for name in ("video", "question", "answer", "correct", "error", "trace", "ffn_density"):
            assert one[name] == other[name]


def test_a_setting_that_no_worker_can_use_is_one_line(cluster: Cluster, folder: Path) -> None:
    cluster.start_node()
    _wait_until(lambda: _nodes(cluster) == 1)
    run = inspect(cluster, folder, "out", "--attn-top-p", "0.5,0.5")
    assert run.wait(120) == 2


def _nodes(cluster: Cluster) -> int:
    said = subprocess.run(
        [str(Path(sys.executable).with_name("ray")), "status", f"--address={cluster.address}"],
        capture_output=True,
        text=True,
    )
    active = said.stdout.partition("Active:")[2].partition("Pending:")[0]
    return active.count("node_")


def _workers() -> int:
    """Processes that hold a model."""
    names = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return sum(name.startswith(b"ray::MapWorker") for name in names)


def _count(parts: Path) -> int:
    return len(list(parts.glob("*.rows.parquet"))) if parts.is_dir() else 0


def _wait_until(holds: object, secs: float = 120) -> None:
    assert callable(holds)
    end = time.monotonic() + secs
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
