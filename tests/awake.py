"""Wakes processes of a test run that a virtual machine's kernel has forgotten.

Seen on small virtual machines: threads of Node, Chromium or Python are ready to run, a processor is
idle, and they get no time for up to 18 minutes, while tests wait for them. Stopping and continuing
such a process puts it back in the queue; nothing else about it changes. As a command it looks at
what descends from a process until that ends: `python tests/awake.py PID`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

FORGOTTEN_SECS = 10
"""Whoever is ready gets time long before, on the busiest machine that a test run makes."""
PROC = Path("/proc")
NICE = 16
"""Its place in `stat`, from the state on."""
Ready = dict[tuple[int, int], str]
"""What (process, thread) has been given until now, of the threads that are ready."""


def descendants(root: int) -> list[int]:
    """The processes that `root` started, and that these started."""
    children: dict[int, list[int]] = {}
    for pid in [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]:
        parent = _fields(PROC / str(pid))[1:2]
        children.setdefault(int(parent[0]) if parent else 0, []).append(pid)
    found = children.get(root, [])
    for pid in found:  # grows while it is walked
        found.extend(children.get(pid, []))
    return found


def ready(pids: list[int]) -> Ready:
    """The threads that could run now, and the time and turns that they have had. Who is nice, as
    Chromium's threads in the background are, may wait for long.
    """
    given: Ready = {}
    for pid in pids:
        for task in _listed(PROC / str(pid) / "task"):
            state = _fields(task)
            if state[:1] == ["R"] and int(state[NICE]) <= 0:
                given[pid, int(task.name)] = _read(task / "schedstat")
    return given


def forgotten(before: Ready, now: Ready) -> set[int]:
    """The processes of threads that were ready at both looks and were given nothing between."""
    return {pid for (pid, task), given in now.items() if given and given == before.get((pid, task))}


def wake(pid: int) -> None:
    """Stop a process for a moment, and continue it."""
    with suppress(OSError):  # it has ended, or is not ours
        try:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.02)
        finally:  # even where the watcher is told to end meanwhile
            os.kill(pid, signal.SIGCONT)


def watch(root: int) -> None:
    """Wake what is forgotten among what `root` started, until `root` has ended."""
    before: Ready = {}
    while _fields(PROC / str(root))[:1] not in ([], ["Z"]):
        now = ready(descendants(root))
        for pid in forgotten(before, now):
            print(f"Woke {pid}, which was ready for {FORGOTTEN_SECS} s.", file=sys.stderr)
            wake(pid)
        before = now
        time.sleep(FORGOTTEN_SECS)


def _fields(task: Path) -> list[str]:
    """State, parent and so on of a process or thread; nothing of one that has ended."""
    return _read(task / "stat").rpartition(")")[2].split()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    watch(int(sys.argv[1]))
