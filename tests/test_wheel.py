"""The package as people install it: wheel and sdist, in fresh environments, away from the clone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from paths import ROOT

PYTHONS = [f"python3.{minor}" for minor in (11, 12, 13) if shutil.which(f"python3.{minor}")]
OFFLINE = {"HF_HUB_OFFLINE": "1", "no_proxy": "*", "https_proxy": "http://127.0.0.1:9"}
CARRIED = {"mini": 12, "samples": 14, "traces": 8}
"""How many files of each folder a wheel holds."""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel from the tree's sdist, and one from the tree itself."""
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists() and not name.startswith("tests/"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name, follow_symlinks=False)
    build = [sys.executable, "-m", "build", str(tree)]
    subprocess.run([*build, "--outdir", str(folder / "both")], check=True)
    subprocess.run([*build, "--wheel", "--outdir", str(folder / "direct")], check=True)
    return {
        "sdist": next((folder / "both").glob("*.tar.gz")),
        "wheel": next((folder / "both").glob("*.whl")),
        "direct": next((folder / "direct").glob("*.whl")),
    }


@pytest.mark.wheel
def test_the_sdist_builds_the_wheel_that_the_tree_builds(built: dict[str, Path]) -> None:
    one, other = contents(built["wheel"]), contents(built["direct"])
    assert one == other
    for folder, count in CARRIED.items():
        found = [name for name in one if name.startswith(f"adaspark/bundled/{folder}/")]
        assert len(found) == count, found
    assert not [name for name in one if re.search(r"results/|pictures/|examples/|^tests/", name)]
    for name in ("viz/static/viewer.js", "app/static/page.js", "adaspark/py.typed"):
        assert name in one
    with tarfile.open(built["sdist"]) as source:
        assert not [member.name for member in source if member.issym() or member.islnk()]


@pytest.mark.wheel
@pytest.mark.parametrize("python", PYTHONS)
def test_it_answers_and_serves_from_any_folder_offline(
    built: dict[str, Path], tmp_path: Path, python: str
) -> None:
    if subprocess.run([python, "--version"]).returncode:
        pytest.skip(f"{python} is a name without an interpreter")
    home, bare = tmp_path / "environment", without_python_path()
    subprocess.run([python, "-m", "venv", str(home)], check=True, env=bare)
    pip = [str(home / "bin" / "pip"), "install", "-q", str(built["wheel"])]
    subprocess.run(pip, check=True, env=bare)  # else the clone would do for the package
    work = tmp_path / "elsewhere"
    (work / "app").mkdir(parents=True)  # somebody else's package of that name
    (work / "app" / "__init__.py").write_text("raise SystemExit('not this one')")
    adaspark = str(home / "bin" / "adaspark")
    environment = {**bare, **OFFLINE}
    where = "import adaspark.assets as a; print(a.SAMPLES)"
    samples = said([str(home / "bin" / "python"), "-c", where], work, environment).strip()
    assert samples.startswith(str(home))
    asked = [adaspark, "ask", f"{samples}/2_order.mp4", "Which color comes first?", "--json", "-"]
    assert json.loads(said(asked, work, environment))["answer"] == "blue"
    (work / "q.txt").write_text("Which color comes first?\n")
    many = [adaspark, "inspect", f"{samples}/2_order.mp4", "--questions", "q.txt", "--out", "out"]
    said([*many, "--max-frames", "4"], work, environment)
    assert (work / "out" / "rows.parquet").is_file()
    with served([adaspark, "app", "--no-browser", "--port", "0"], work, environment) as address:
        page = urlopen(address, timeout=60).read().decode()
        assert "AdaSpark" in page
        assert json.loads(urlopen(f"{address}/healthz", timeout=60).read())


def test_what_a_wheel_carries_is_in_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, not links: those are not kept wherever a tree is copied to."""
    packaging = pytest.importorskip("adaspark.packaging", reason="setuptools is not installed")
    monkeypatch.chdir(ROOT)
    found = Counter(path.parts[1] for path in packaging._carried() if not path.is_symlink())
    assert found == CARRIED
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["tool"]["setuptools"]["cmdclass"]["build_py"] == "adaspark.packaging.BuildPy"


def test_extras_and_versions_are_those_that_are_promised() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert {"gpu", "eval", "ray", "notebook", "test"} <= extras.keys()
    cited = (ROOT / ".github" / "CITATION.cff").read_text("utf-8")
    from adaspark import __version__

    assert f"\nversion: {__version__}\n" in cited and f"license: {project['license']}" in cited
    assert "2604.08077" in cited


def contents(wheel: Path) -> dict[str, str]:
    """The files of a wheel and their hashes, but for the record of them."""
    with zipfile.ZipFile(wheel) as file:
        return {
            name: hashlib.sha256(file.read(name)).hexdigest()
            for name in file.namelist()
            if not name.endswith("/RECORD")
        }


def without_python_path() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def said(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def served(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """The app as a process; its address."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"http://[\w.]+:\d+", line):
                break
        else:
            raise AssertionError("".join(lines))
        yield found.group()
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)
        if process.stdout:
            process.stdout.close()
