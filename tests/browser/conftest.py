"""A real Chromium, and the app as a process of its own: with the bundled model, and with none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from app_page import SharedPage
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Playwright,
    expect,
    sync_playwright,
)
from serving import ARGUMENTS, CHROMIUM, ROOT, served
from viewer_page import open_viewer, renew

OpenPage = Callable[..., Page]
expect.set_options(timeout=30_000)  # pages are slow where many are open
_LEFT = "AbortError: signal is aborted without reason"
"""What Gradio says of a request of its own that a reload has ended."""
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
    with served("-m", "app", "--port", "0", "--no-browser") as url:
        yield url


@pytest.fixture(scope="session")
def fake_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the app without a model has its samples, and in `kept` what visitors send."""
    return tmp_path_factory.mktemp("samples")


@pytest.fixture(scope="session")
def fake_url(fake_folder: Path) -> Iterator[str]:
    """The app over an engine without a model, two samples, slow where the question says so."""
    script = ROOT / "tests" / "browser" / "fake_app.py"
    with served(str(script), str(fake_folder), "0") as url:
        yield url


@pytest.fixture(scope="session")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """The context of each test's first page: scripts that it has cached need no loading anew, nor
    compiling, while a page of their site is open (`_hold`)."""
    shared = chromium.new_context(reduced_motion="reduce")
    yield shared
    shared.close()


@pytest.fixture(scope="session")
def viewers_page(chromium: Browser) -> Iterator[Page]:
    """The page that `page` renews: a page, and a process for it, take longer than a document."""
    opened = open_viewer(chromium)
    yield opened
    opened.close()


@pytest.fixture
def page(viewers_page: Page) -> Iterator[Page]:
    """A bare page with one new viewer on it, on which no script fails."""
    renew(viewers_page)
    yield viewers_page
    assert viewers_page.errors == []  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def share_page(chromium: Browser) -> Iterator[Callable[[str], SharedPage]]:
    """A page of an address that stays open, in a context of its own."""
    contexts: list[BrowserContext] = []

    def share(url: str) -> SharedPage:
        contexts.append(chromium.new_context(reduced_motion="reduce"))
        page = contexts[-1].new_page()
        page.errors = _watch(page)  # type: ignore[attr-defined]
        page.goto(f"{url}?__theme=light")
        return SharedPage(page)

    yield share
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def fake_shared(share_page: Callable[[str], SharedPage], fake_url: str) -> SharedPage:
    """The page over an engine without a model that `look` hands out."""
    return share_page(fake_url)


@pytest.fixture(scope="session")
def used_page(share_page: Callable[[str], SharedPage], fake_url: str) -> SharedPage:
    """The page that `use` hands out; a module of another server has one of its own."""
    return share_page(fake_url)


@pytest.fixture
def look(fake_shared: SharedPage) -> Iterator[Page]:
    """The page over an engine without a model, as it opens, for tests that only look around: they
    run nothing, send nothing and turn no dial."""
    fake_shared.look_anew()
    yield fake_shared.page
    assert fake_shared.page.errors == []  # type: ignore[attr-defined]


@pytest.fixture
def use(used_page: SharedPage) -> Iterator[Page]:
    """The page with the first sample's recorded run, for tests that ask and turn `DIALS`, and send
    nothing; its revisions and its history go on from test to test."""
    used_page.start_anew()
    yield used_page.page
    assert used_page.page.errors == []  # type: ignore[attr-defined]


@pytest.fixture
def open_page(chromium: Browser, context: BrowserContext) -> Iterator[OpenPage]:
    """Opens an address without anything stored there, further ones of a test in contexts of their
    own, as other visitors do; fails on console errors and on foreign requests. `ready` is what a
    page has once it is there, `script` runs before its own.

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
        ready: str = "#viewer",
        script: str = "",
    ) -> Page:
        if opened:
            others.append(chromium.new_context(reduced_motion="reduce"))
        _hold(context, url)
        page = (others[-1] if opened else context).new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.add_init_script(script)
        _forget(page, url)
        errors = _watch(page)
        opened.append((page, errors))
        page.errors = errors  # type: ignore[attr-defined]
        page.goto(url + (f"?__theme={theme}" if query is None else query))
        page.wait_for_selector(ready)
        return page

    yield open_one
    for page, _ in opened:
        page.close()
    for other in others:
        other.close()
    assert [errors for _, errors in opened if errors] == []


def _hold(context: BrowserContext, url: str) -> None:
    """Keep one empty page of the site: with it stays the process that all pages of the site share
    (`--process-per-site`), and what that has compiled."""
    parts = urlsplit(url)
    if not context.pages and parts.scheme in ("http", "https"):
        context.new_page().goto(f"{parts.scheme}://{parts.netloc}/healthz")


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

    def on_console(kind: str, text: str, where: str) -> None:
        if kind == "error" and not text.startswith(_LEFT):
            errors.append(f"{text} {where}")

    page.on("console", lambda m: on_console(m.type, m.text, m.location["url"]))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: on_request(request.url))
    page.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
    return errors
