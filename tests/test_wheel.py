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
from typing import NamedTuple
from urllib.request import urlopen

import pytest
import yaml
from paths import ROOT

PYTHONS = ("3.11", "3.12", "3.13")
QUESTION = "Which color comes first?"
OFFLINE = {"HF_HUB_OFFLINE": "1", "no_proxy": "*", "https_proxy": "http://127.0.0.1:9"}
CARRIED = {"mini": 12, "samples": 14, "traces": 8}
"""How many files of each folder a wheel holds."""
ABOUT = """
import json, platform
from importlib.metadata import version
import torch
from adaspark.assets import BUNDLED_MODEL, SAMPLES, TRACES
names = {"mini": BUNDLED_MODEL, "samples": SAMPLES, "traces": TRACES}
parts = ("transformers", "gradio", "numba", "numpy")
said = [f"Python {platform.python_version()}", f"torch {torch.__version__}"]
said += [f"{name} {version(name)}" for name in parts]
folders = {name: str(folder) for name, folder in names.items()}
print(json.dumps({**folders, "python": platform.python_version(), "said": ", ".join(said)}))
"""
"""Run by an environment's own Python: what it is, and where it finds the bundled files."""
CALL = """
import sys
from gradio_client import Client, handle_file
address, video, question = sys.argv[1:]
studio = Client(address, verbose=False)
print(studio.predict(handle_file(video), question, api_name="/ask")[0])
"""


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


class Installed(NamedTuple):
    """The wheel in an environment of its own, and a folder elsewhere to work in."""

    home: Path
    work: Path

    @property
    def python(self) -> str:
        return str(self.home / "bin" / "python")

    @property
    def adaspark(self) -> str:
        return str(self.home / "bin" / "adaspark")

    def said(self, *command: str) -> str:
        """What a command prints, without a network."""
        return said([*command], self.work, {**without_python_path(), **OFFLINE})


@pytest.fixture(scope="module", params=PYTHONS)
def installed(
    built: dict[str, Path],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installed]:
    """Removed when its tests are done: torch with what it brings takes gigabytes."""
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"there is no Python {request.param} here")
    folder, bare = tmp_path_factory.mktemp("installed"), without_python_path()
    one = Installed(folder / "environment", folder / "elsewhere")
    (one.work / "app").mkdir(parents=True)  # somebody else's package of that name
    (one.work / "app" / "__init__.py").write_text("raise SystemExit('not this one')")
    try:
        subprocess.run([python, "-m", "venv", str(one.home)], check=True, env=bare)
        pip = [one.python, "-m", "pip", "install", "-q", str(built["wheel"])]
        subprocess.run(pip, check=True, env=bare)  # else the clone would do for the package
        yield one
    finally:
        shutil.rmtree(folder)


@pytest.mark.wheel
def test_it_says_its_version_and_where_its_files_lie(
    installed: Installed, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    from adaspark import __version__

    assert installed.said(installed.adaspark, "--version").split()[-1] == __version__
    assert "inspect" in installed.said(installed.adaspark, "--help")
    folders = json.loads(installed.said(installed.python, "-c", ABOUT))
    assert folders.pop("python").startswith(request.node.callspec.params["installed"])
    with capsys.disabled():
        print(f"\n{folders.pop('said')}")
    for folder, count in CARRIED.items():
        place = Path(folders[folder])
        assert place.is_relative_to(installed.home)
        assert len(list(place.iterdir())) == count


@pytest.mark.wheel
def test_it_answers_from_any_folder_offline(installed: Installed) -> None:
    sample, ask = sample_of(installed), (installed.adaspark, "ask")
    asked = installed.said(*ask, sample, QUESTION, "--json", "-", "--report", "page.html")
    assert json.loads(asked)["answer"] == "blue"
    assert "blue" in (installed.work / "page.html").read_text("utf-8")
    (installed.work / "q.txt").write_text(f"{QUESTION}\n")
    many = (installed.adaspark, "inspect", sample, "--questions", "q.txt", "--out", "out")
    installed.said(*many, "--max-frames", "4")
    assert (installed.work / "out" / "rows.parquet").is_file()


@pytest.mark.wheel
def test_its_studio_serves_and_answers_offline(installed: Installed) -> None:
    environment = {**without_python_path(), **OFFLINE}
    command = [installed.adaspark, "app", "--no-browser", "--port", "0"]
    with served(command, installed.work, environment) as address:
        page = urlopen(address, timeout=60).read().decode()
        assert "AdaSpark" in page
        assert json.loads(urlopen(f"{address}/healthz", timeout=60).read())["status"] == "ok"
        call = (installed.python, "-c", CALL, address, sample_of(installed), QUESTION)
        assert installed.said(*call).splitlines()[-1] == "blue"


@pytest.mark.wheel
def test_what_its_extras_name_can_be_had(installed: Installed, built: dict[str, Path]) -> None:
    """All but `gpu`, since flash-attn wants CUDA's compiler before it says what it needs, and
    `eval`, which has an environment of its own (`make test-eval`)."""
    wanted = f"{built['wheel']}[notebook,mcp,tune,ray]"
    dry = [installed.python, "-m", "pip", "install", "-q", "--dry-run", wanted]
    said(dry, installed.work, without_python_path())


def interpreter(version: str) -> str | None:
    """What runs this Python here and can make an environment: a command, else one of pyenv's."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    kept = map(str, sorted(root.glob(f"versions/{version}.*/bin/python")))
    for command in (f"python{version}", *kept):
        tried = [command, "-c", "import ensurepip"]
        if shutil.which(command) and not subprocess.run(tried, capture_output=True).returncode:
            return command
    return None


def sample_of(installed: Installed) -> str:
    return json.loads(installed.said(installed.python, "-c", ABOUT))["samples"] + "/2_order.mp4"


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
    cited = yaml.safe_load((ROOT / ".github" / "CITATION.cff").read_text("utf-8"))
    from adaspark import __version__

    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert cited["version"] == __version__ and cited["license"] == project["license"]
    assert cited["references"][0]["identifiers"][0]["value"] == "arXiv:2604.08077"


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
