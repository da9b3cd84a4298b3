"""The studio behind a reverse proxy, below a folder: page, upload, answer, video and exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from app_page import PATIENCE_MILLIS, ask, rev, upload, wait_for_state
from clips import write_clip
from long import some_of
from playwright.sync_api import Page, expect
from reverse_proxy import proxied
from serving import ROOT, served

pytestmark = [pytest.mark.browser, pytest.mark.long]

OpenPage = Callable[..., Page]
FAKE_APP = str(ROOT / "tests" / "browser" / "fake_app.py")
FOLDER = "/lab/studio"
PLAYS = "document.querySelector('#viewer video').readyState >= 2"


def test_everything_works_below_a_folder_that_nobody_told_the_server(
    open_page: OpenPage, fake_url: str, tmp_path: Path
) -> None:
    asked: list[str] = []
    with proxied(fake_url, FOLDER) as url:
        page = open_page(url)
        page.on("request", lambda request: asked.append(request.url))
        upload(page, write_clip(tmp_path / "mine.mp4", frames=12))
        expect(page.locator(".picker .facts")).to_contain_text("128 x 96", timeout=PATIENCE_MILLIS)
        before = rev(page)
        ask(page, "What color is the circle?")
        wait_for_state(page, "ready", after_rev=before)
        page.wait_for_function(PLAYS, timeout=PATIENCE_MILLIS)
        page.get_by_role("button", name="Export", exact=True).click()
        for name, suffix in (("Trace (NPZ)", ".npz"), ("Report that opens offline", ".html")):
            with page.expect_download() as download:
                page.get_by_role("button", name=name).click()
            assert download.value.suggested_filename.endswith(suffix)
        page.close()
    assert asked and all(each.startswith((url, "blob:", "data:")) for each in asked)


@some_of("told", ["a path that is stripped", "a path that is kept"])
def test_programs_are_told_the_folder_that_the_server_was(tmp_path: Path, told: str) -> None:
    with served(FAKE_APP, str(tmp_path), "0", ROOT_PATH=FOLDER) as url:
        headers = {"Host": "studio.example", "X-Forwarded-Proto": "https"}
        path = f"{url.rstrip('/')}{FOLDER if 'kept' in told else ''}"
        config = httpx.get(f"{path}/config", headers=headers).json()
        assert config["root"] == f"https://studio.example{FOLDER}"
        assert httpx.get(f"{path}/healthz").status_code == 200
        assert "studio/modules" in httpx.get(f"{path}/").text
