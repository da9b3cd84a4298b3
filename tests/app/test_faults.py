"""Faults of a machine, each a sentence and none that needs a restart.

A decoder that dies: `test_reader.py`. A lost network, a server started anew under an open page:
`tests/browser/test_app_address.py`, `test_app_replay.py`.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser.serving import served
from clips import write_clip
from paths import ROOT
from tab import API, Tab
from test_server import started
from waiting import PATIENCE_SECS

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.model.engine import Engine
from adaspark.model.events import Result
from adaspark.model.request import Options
from app.media.samples import read_samples
from app.web.disk import FULL, OwnFolder

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
FAKE_APP = ROOT / "tests" / "browser" / "fake_app.py"
MIB = 2**20


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of its own, of 160 MiB, for the server's folder."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m", "none", str(folder)]
    with suppress(OSError, subprocess.CalledProcessError):
        subprocess.run(mount, check=True, capture_output=True)
    if not folder.is_mount():
        pytest.skip("this user cannot mount a disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def url(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = str(tmp_path_factory.mktemp("samples"))
    with served(str(FAKE_APP), folder, "0", ADASPARK_CACHE_DIR=str(disk)) as address:
        yield address


def asked(tab: Tab) -> dict[str, Any]:
    run: dict[str, Any] = tab.call("ask", ["what?", *tab.values("ask")[1:]], run=1)
    assert run["state"] == "done", run
    return run


def fill(path: Path, count: int | None) -> None:
    """Write so many bytes; None: as many as there is room for."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while count is None or file.tell() < count:
            file.write(bytes(MIB if count else 4096))


def test_a_full_disk_is_a_sentence_and_the_rest_goes_on(
    url: str, disk: Path, tmp_path: Path
) -> None:
    clip, filler = write_clip(tmp_path / "clip.mp4", frames=8), disk / "another-program"
    with Tab(url) as tab:
        tab.call("greet")
        fill(filler, 120 * MIB)
        refused = tab.browser.post(f"{url}{API}/upload", files={"files": clip.open("rb")})
        assert (refused.status_code, refused.text) == (507, FULL)
        fill(disk / "more", None)
        run = asked(tab)
        export = tab.get(f"studio/{run['key']}/trace.npz")
        assert export.status_code == 400 and "disk is full" in export.text
        filler.unlink(), (disk / "more").unlink()
        assert tab.get(f"studio/{run['key']}/trace.npz").status_code == 200
        card = tab.call("upload", path=tab.upload(clip, "clip.mp4"), name="clip.mp4", pick=1)
        assert card["name"] == "clip.mp4"


@contextmanager
def read_only(folders: list[Path]) -> Iterator[None]:
    """The folders as a disk that was mounted anew, and cannot be written to."""
    for folder in folders:
        subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
    try:
        yield
    finally:
        for folder in folders:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_becomes_read_only_is_a_sentence_and_the_rest_goes_on(
    url: str, disk: Path, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=9)
    (own,) = disk.glob("adaspark-*")
    with Tab(url) as tab:
        tab.call("greet")
        tab.upload(clip, "clip.mp4")  # makes the folder
        with read_only([own / "exports", own / "uploads"]):
            run = asked(tab)
            export = tab.get(f"studio/{run['key']}/trace.npz")
            upload = tab.browser.post(f"{url}{API}/upload", files={"files": clip.open("rb")})
        for answer, status in ((export, 400), (upload, 507)):
            assert answer.status_code == status and "cannot write to its folder" in answer.text
        assert tab.get(f"studio/{run['key']}/trace.npz").status_code == 200
        assert httpx.get(f"{url}healthz").status_code == 200


def test_a_folder_that_cannot_be_written_to_is_a_sentence_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="ADASPARK_CACHE_DIR"):
        OwnFolder(tmp_path / "file" / "cache")


def test_a_model_s_folder_may_vanish_once_it_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED_MODEL, folder)
    engine = Engine(str(folder), "cpu")
    shutil.rmtree(folder)
    sample = read_samples()[0]
    options = Options(engine.default_config, max_new_tokens=4)
    events = list(engine.ask(sample.path, sample.questions[0], options))
    assert isinstance(events[-1], Result) and events[-1].answer


@pytest.mark.long
def test_a_model_that_cannot_be_loaded_ends_the_server_with_a_line_and_status_2(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED_MODEL, folder)
    (next(folder.glob("*.safetensors"))).unlink()
    arguments = ("-m", "app", "--no-browser", "--port", "0", "--model", str(folder))
    with started(*arguments, folder=tmp_path) as process:
        _, told = process.communicate(timeout=PATIENCE_SECS)
    assert process.returncode == 2
    assert told.startswith("adaspark: ") and told.count("\n") == 1, told
