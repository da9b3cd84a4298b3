"""A real Ray cluster on this machine, and `adaspark inspect` on it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paths import ROOT

STDERR = "stderr.txt"


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

    def nodes(self) -> int:
        """How many the cluster itself knows."""
        said = subprocess.run(
            [str(Path(sys.executable).with_name("ray")), "status", f"--address={self.address}"],
            capture_output=True,
            text=True,
        )
        active = said.stdout.partition("Active:")[2].partition("Pending:")[0]
        return active.count("node_")

    def stop(self) -> None:
        while self._nodes:
            self.kill_node()


@contextmanager
def started() -> Iterator[Cluster]:
    """A cluster that has no node yet; they are gone when the block ends."""
    folder = Path("/tmp") / f"ray-{os.getpid()}"  # sockets' paths must be short
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def inspect(
    cluster: Cluster, folder: Path, out: str | Path, *options: str
) -> subprocess.Popen[bytes]:
    """The command on a folder of videos with a `q.jsonl`, one CPU a model; what it says goes to
    a file there.
    """
    command = [sys.executable, "-m", "adaspark", "inspect", str(folder), "--out", str(folder / out)]
    asked = ["--questions", str(folder / "q.jsonl"), "--ray", cluster.address, "--cpus", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / STDERR).open("wb") as said:
        return subprocess.Popen([*command, *asked, *options], env=environment, stderr=said)


def stderr(folder: Path) -> list[str]:
    """Lines of the last run that are not empty; each state of its bar is one."""
    return [line for line in (folder / STDERR).read_text("utf-8").splitlines() if line.strip()]


def workers() -> int:
    """Processes that hold a model."""
    names = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return sum(name.startswith(b"ray::MapWorker") for name in names)


def count(parts: Path) -> int:
    """Units that are done."""
    return len(list(parts.glob("*.rows.parquet"))) if parts.is_dir() else 0


def until(holds: Callable[[], bool], secs: float = 120) -> None:
    """Wait for it, that long at most."""
    end = time.monotonic() + secs
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
