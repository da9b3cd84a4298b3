"""A server that is killed, and one that is started in its place: real processes, one address."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from app_page import (
    PATIENCE_MILLIS,
    ask,
    expect_phase,
    question,
    rev,
    scene,
    upload,
    wait_for_state,
)
from clips import write_clip
from playwright.sync_api import Page, expect
from serving import ROOT, free_port
from waiting import PATIENCE_SECS

pytestmark = [pytest.mark.browser, pytest.mark.long]
WORDS = "the circle is red"


class Server:
    """The app over an engine without a model, killed and started as often as one likes."""

    def __init__(self, folder: Path) -> None:
        self._arguments = [str(folder), str(free_port())]
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Returns once it serves."""
        script = str(ROOT / "tests" / "browser" / "fake_app.py")
        self._process = subprocess.Popen(
            [sys.executable, "-u", script, *self._arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        )
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()

    def kill(self) -> None:
        """As an operating system does that has run out of memory: without a word."""
        assert self._process and self._process.stdout
        self._process.kill()
        self._process.wait(PATIENCE_SECS)
        self._process.stdout.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "samples"
    folder.mkdir()
    running = Server(folder)
    running.start()
    yield running
    running.kill()


def killed(page: Page, server: Server) -> None:
    """The page asks once a second whether the server is there."""
    with page.expect_event(
        "requestfailed", lambda asked: "studio/alive" in asked.url, timeout=PATIENCE_MILLIS
    ):
        server.kill()
    said = page.get_by_role("alert").filter(has_text="The server does not answer")
    expect(said).to_be_visible(timeout=PATIENCE_MILLIS)


def started_anew(page: Page, server: Server) -> None:
    """What Chromium noted of the requests that were refused meanwhile is no error of the page. A
    navigation would be its address, too, which changes without a document.
    """
    with page.expect_event("domcontentloaded", timeout=PATIENCE_MILLIS):
        server.start()
    page.errors.clear()  # type: ignore[attr-defined]


def test_a_server_that_dies_during_a_run_is_said_and_nothing_goes_away(
    server: Server, open_page: Callable[..., Page]
) -> None:
    page = open_page(server.url)
    wait_for_state(page, "ready")
    drawn = scene(page)
    ask(page, "hold layers")  # it is under way whenever the server is killed
    expect_phase(page, "layer 1 of 4")
    killed(page, server)
    assert scene(page)["cubes"] == drawn["cubes"]
    expect(question(page)).to_have_value("hold layers")
    started_anew(page, server)
    said = page.get_by_text("The server was started anew before it answered")
    expect(said).to_be_visible(timeout=PATIENCE_MILLIS)
    expect(question(page)).to_have_value("hold layers")
    ask(page, "quick please")
    page.wait_for_function("adaspark.scene()?.question === 'quick please'", timeout=PATIENCE_MILLIS)
    expect(page.locator("#answer")).to_contain_text(WORDS)


def test_an_upload_that_the_next_server_lacks_is_sent_again(
    server: Server, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page(server.url)
    wait_for_state(page, "ready")
    write_clip(tmp_path / "mine.mp4", frames=8)
    upload(page, tmp_path / "mine.mp4")
    mine = page.get_by_role("button", name="mine.mp4")
    expect(mine).to_have_attribute("aria-pressed", "true", timeout=PATIENCE_MILLIS)
    before = rev(page)
    ask(page, "quick please")
    wait_for_state(page, "ready", after_rev=before)
    page.wait_for_function("new URLSearchParams(location.search).get('q') === 'quick please'")
    killed(page, server)
    expect(page.locator("#answer")).to_contain_text(WORDS)

    started_anew(page, server)
    expect(page.locator(".missing")).to_contain_text("mine.mp4", timeout=PATIENCE_MILLIS)
    expect(question(page)).to_have_value("quick please")
    page.get_by_role("button", name="Send it again").click()
    expect(mine).to_have_attribute("aria-pressed", "true", timeout=PATIENCE_MILLIS)
    expect(page.locator("#answer")).to_contain_text(WORDS, timeout=PATIENCE_MILLIS)
    page.wait_for_function("adaspark.scene()?.question === 'quick please'", timeout=PATIENCE_MILLIS)
