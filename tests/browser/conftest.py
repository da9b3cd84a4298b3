"""A real Chromium, and the app as a process of its own: with the bundled model, and with none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from serving import ARGUMENTS, CHROMIUM, ROOT, free_port, served

sys.path.insert(0, str(ROOT / "tests"))  # for the modules that other tests share

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def playwright_driver() -> Iterator[Playwright]:
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def chromium(playwright_driver: Playwright) -> Iterator[Browser]:
    """One Chromium for all tests."""
    browser = playwright_driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def studio_url() -> Iterator[str]:
    """The app with the bundled model; ADASPARK_URL names one that runs already."""
    if running := os.environ.get("ADASPARK_URL"):
        yield running
        return
    with served("-m", "app", "--port", str(free_port()), "--no-browser") as url:
        yield url


@pytest.fixture(scope="session")
def fake_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over an engine without a model, one sample clip, slow where the question says so."""
    folder = tmp_path_factory.mktemp("samples")
    script = ROOT / "tests" / "browser" / "fake_app.py"
    with served(str(script), str(folder), str(free_port())) as url:
        yield url


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """Opens an address in a context of its own; fails on console errors and on foreign requests.

    `page.errors`, a list, may be cleared by a test that provokes some. `query` replaces the theme.
    """
    opened: list[tuple[Page, list[str]]] = []

    def open_one(
        url: str,
        *,
        width: int = 1440,
        height: int = 900,
        theme: str = "light",
        query: str | None = None,
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        page = context.new_page()
        errors = _watch(page)
        opened.append((page, errors))
        page.errors = errors  # type: ignore[attr-defined]
        page.goto(url + (f"?__theme={theme}" if query is None else query))
        page.wait_for_selector("#viewer")
        return page

    yield open_one
    for page, errors in opened:
        page.context.close()
        assert errors == []


def _watch(page: Page) -> list[str]:
    """What must not happen on a page: script errors, dialogs, requests to another host."""
    errors: list[str] = []

    def on_request(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname not in ("127.0.0.1", "localhost"):
            errors.append(f"request to {url}")

    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: on_request(request.url))
    page.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
    return errors
