"""Chromium, and the app as a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where commands do not look by themselves

from waiting import PATIENCE_SECS

ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--autoplay-policy=no-user-gesture-required",
    "--process-per-site",  # pages of one site share what has been compiled
]
CHROMIUM = shutil.which("chromium")
"""The system's where there is one; None is the one that Playwright installed."""


@contextmanager
def running(url: str | None) -> Iterator[str]:
    """An address that is served: the one given, or the app's own with the bundled model."""
    if url:
        yield url
        return
    with served("-m", "app", "--port", "0", "--no-browser") as address:
        yield address


@contextmanager
def served(*arguments: str, **switches: str) -> Iterator[str]:
    """A Python process that prints the address it serves; told to end at the end.

    `switches` are environment variables. It ends by SIGTERM: what runs in the background of a
    shell is deaf to an interrupt.
    """
    process = subprocess.Popen(
        [sys.executable, "-u", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", **switches},
    )
    try:
        yield _address(process)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECS)
        if process.stdout:
            process.stdout.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _address(process: subprocess.Popen[str]) -> str:
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        if found := re.search(r"http://\S+", line):
            return found.group()
    raise RuntimeError("The app did not start:\n" + "".join(lines))
