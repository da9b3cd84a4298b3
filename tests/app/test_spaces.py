"""Spaces of three kinds: folders to upload, and a run in a process that is lent a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from browser.serving import free_port
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from paths import ROOT
from test_server import address
from zero_gpu import Lender, serving

from app.web.spaces import PARTS, main

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of gradio_client's sockets
CLIP = ROOT / "assets" / "samples" / "1_needle.mp4"


def front_matter(folder: Path) -> dict[str, Any]:
    text = (folder / "README.md").read_text("utf-8")
    facts: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    assert text.split("---\n", 2)[2].lstrip().startswith("# AdaSpark Studio")
    return facts


@pytest.mark.few
@pytest.mark.parametrize("kind", ["zerogpu", "docker"])
def test_a_folder_with_a_server_has_all_that_it_runs(tmp_path: Path, kind: str) -> None:
    assert main([kind, "--out", str(tmp_path / "out")]) == 0
    assert all((tmp_path / "out" / part).exists() for part in PARTS)
    facts = front_matter(tmp_path / "out")
    assert len(facts["short_description"]) <= 60
    wanted = (tmp_path / "out" / "requirements.txt").read_text("utf-8").split()
    if kind == "docker":
        assert (facts["sdk"], facts["app_port"]) == ("docker", 7860)
        assert (tmp_path / "out" / "Dockerfile").is_file()
        return
    assert (facts["sdk"], facts["python_version"]) == ("gradio", "3.12")
    font = (tmp_path / "out" / "packages.txt").read_text().strip()
    assert font in (ROOT / "Dockerfile").read_text("utf-8")
    assert (tmp_path / "out" / facts["app_file"]).is_file()
    assert {"torch==2.11.0", "spaces"} <= set(wanted)
    assert [line for line in wanted if line.startswith(("torch", "gradio"))] == ["torch==2.11.0"]


@pytest.mark.long
def test_a_static_folder_is_the_gallery(tmp_path: Path) -> None:
    assert main(["static", "--out", str(tmp_path / "out")]) == 0
    facts = front_matter(tmp_path / "out")
    assert facts["sdk"] == "static" and (tmp_path / "out" / facts["app_file"]).is_file()


def test_a_folder_that_holds_something_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    assert main(["docker", "--out", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.fixture(scope="module")
def lender() -> Iterator[Lender]:
    with serving() as one:
        yield one


@pytest.fixture(scope="module")
def space(lender: Lender, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The Space's own file with the real package `spaces`, on a machine without a GPU."""
    folder = tmp_path_factory.mktemp("space")
    environment = {
        **os.environ,
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": lender.url,
        "ADASPARK_MAX_VIDEO_TOKENS": "3000",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(free_port()),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "TMPDIR": str(folder),
    }
    script = str(ROOT / "tests" / "app" / "zero_space.py")
    with subprocess.Popen(
        [sys.executable, "-u", script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield Client(address(process), verbose=False, download_files=str(folder / "down"))
        finally:
            process.terminate()


def ask(space: Client, **changes: Any) -> Any:
    asked = {"question": "What color is the star?", **changes}
    return space.predict(video=handle_file(str(CLIP)), api_name="/ask", **asked)


@pytest.mark.long
def test_an_answer_is_made_in_a_process_that_is_lent_a_gpu(space: Client, lender: Lender) -> None:
    lender.paths.clear(), lender.asked.clear()
    answer, summary, _ = ask(space)
    assert answer == "yellow" and summary["layers"]
    assert lender.paths == ["/schedule", "/allow", "/release"]
    assert len(lender.asked) == 1 and 10 <= lender.asked[0] <= 60


def test_what_can_be_refused_takes_no_turn(space: Client, lender: Lender) -> None:
    lender.paths.clear()
    with pytest.raises(AppError, match="tokens and the model holds 3,000: show it at most"):
        ask(space, max_frames=4096, fps=60)
    assert lender.paths == []


@pytest.mark.long
def test_a_visitor_without_quota_is_told_what_to_do(space: Client, lender: Lender) -> None:
    lender.has_quota = False
    try:
        with pytest.raises(AppError, match=r"GPU is not to be had now .*recorded runs"):
            ask(space)
    finally:
        lender.has_quota = True
    assert ask(space)[0] == "yellow"
