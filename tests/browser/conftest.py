"""A real Chromium, and the app as a process of its own: with the bundled model, and with none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright
from serving import ARGUMENTS, CHROMIUM, ROOT, free_port, served

sys.path.insert(0, str(ROOT / "tests"))  # for the modules that other tests share

OpenPage = Callable[..., Page]
_STORED = "cookies,local_storage,indexeddb,cache_storage,service_workers"


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


@pytest.fixture(scope="session")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """The context of each test's first page: scripts that it has cached need no loading anew."""
    shared = chromium.new_context(reduced_motion="reduce")
    yield shared
    shared.close()


@pytest.fixture
def open_page(chromium: Browser, context: BrowserContext) -> Iterator[OpenPage]:
    """Opens an address without anything stored there, further ones of a test in contexts of their
    own, as other visitors do; fails on console errors and on foreign requests.

    `page.errors`, a list, may be cleared by a test that provokes some. `query` replaces the theme.
    """
    opened: list[tuple[Page, list[str]]] = []
    others: list[BrowserContext] = []

    def open_one(
        url: str,
        *,
        width: int = 1440,
        height: int = 900,
        theme: str = "light",
        query: str | None = None,
    ) -> Page:
        if opened:
            others.append(chromium.new_context(reduced_motion="reduce"))
        page = (others[-1] if opened else context).new_page()
        page.set_viewport_size({"width": width, "height": height})
        _forget(page, url)
        errors = _watch(page)
        opened.append((page, errors))
        page.errors = errors  # type: ignore[attr-defined]
        page.goto(url + (f"?__theme={theme}" if query is None else query))
        page.wait_for_selector("#viewer")
        return page

    yield open_one
    for page, _ in opened:
        page.close()
    for other in others:
        other.close()
    assert [errors for _, errors in opened if errors] == []


def _forget(page: Page, url: str) -> None:
    """Clear what earlier pages stored."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        session = page.context.new_cdp_session(page)
        origin = f"{parts.scheme}://{parts.netloc}"
        session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": _STORED})
        session.detach()


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
