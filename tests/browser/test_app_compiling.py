"""The header while kernels are compiled ahead: an engine that says it is on a GPU, and compiles."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from app_page import PATIENCE_MILLIS, load_anew, wait_for_state
from playwright.sync_api import Page, expect
from serving import ROOT, served

pytestmark = [pytest.mark.browser, pytest.mark.long]


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """Kernels are compiled once there is something here."""
    return tmp_path / "compiled"


@pytest.fixture
def url(tmp_path: Path, compiled: Path) -> Iterator[str]:
    folder = tmp_path / "samples"
    folder.mkdir()
    script = str(ROOT / "tests" / "browser" / "fake_app.py")
    with served(script, str(folder), "0", COMPILING=str(compiled)) as address:
        yield address


def health(url: str, wanted: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """What the server says of itself, as soon as it is as `wanted`."""
    deadline = time.monotonic() + PATIENCE_MILLIS / 1000
    while True:
        with urlopen(f"{url}healthz") as answer:
            said: dict[str, str] = json.load(answer)
        if wanted(said):
            return said
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def test_the_header_says_how_far_kernels_are_compiled(
    url: str, compiled: Path, open_page: Callable[..., Page]
) -> None:
    said = health(url, lambda facts: "compiling" in facts)
    assert said["compiling"].startswith("0 / ")
    page = open_page(url)
    wait_for_state(page, "ready")
    running = page.locator(".tools > .chips")  # a narrow page has them again in its menu
    chip = running.locator("li").filter(has_text="compiling kernels")
    expect(chip).to_contain_text(said["compiling"])
    expect(running.locator(".status-chip")).to_contain_text("GPU, float32")

    compiled.touch()
    health(url, lambda facts: "compiling" not in facts)
    load_anew(page)
    expect(running.locator(".status-chip")).to_contain_text("GPU, float32")
    expect(chip).to_have_count(0)
