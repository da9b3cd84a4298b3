"""The view in the address: a reload, a link, back and forward, a server that goes away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from app_page import (
    PATIENCE_MILLIS,
    ask,
    evaluate_in,
    load_anew,
    question,
    rev,
    scene,
    slider,
    upload,
    wait_for_state,
)
from clips import write_clip
from playwright.sync_api import Page, expect
from tab import Tab
from waiting import until

pytestmark = pytest.mark.browser
WORDS = "the circle is red"


@pytest.fixture
def studio(open_page: Callable[..., Page], fake_url: str) -> Page:
    page = open_page(fake_url)
    wait_for_state(page, "ready")
    return page


def address(page: Page, **wanted: str) -> dict[str, str]:
    """The address's parameters once they are as wanted."""
    page.wait_for_function(
        """wanted => Object.entries(wanted).every(
          ([name, value]) => new URLSearchParams(location.search).get(name) === value)""",
        arg=wanted,
        timeout=PATIENCE_MILLIS,
    )
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def look(page: Page) -> None:
    """Look at something else than the page opens with."""
    page.get_by_role("button", name="Heat", exact=True).click()
    slider(page, "Layer").fill("2")
    page.locator(".word-row").get_by_role("button", name="circle", exact=True).first.click()
    page.get_by_role("tab", name="Entropy").click()


def seen(page: Page) -> dict[str, Any]:
    drawn = scene(page)
    return {name: drawn[name] for name in ("layer", "slice", "mode", "query", "head", "pinned")}


def test_a_reload_and_a_link_show_the_same_view(
    studio: Page, open_page: Callable[..., Page], fake_url: str
) -> None:
    look(studio)
    query = address(studio, layer="2", mode="heat", tab="Entropy")
    assert {"sample", "q", "attn", "cube_t", "slice", "word"} <= query.keys()
    before = seen(studio)
    load_anew(studio)
    studio.wait_for_function("adaspark.scene().layer === 2")
    assert seen(studio) == before
    expect(studio.get_by_role("tab", name="Entropy")).to_have_attribute("aria-selected", "true")
    other = open_page(fake_url, query=f"?{urlsplit(studio.url).query}")
    wait_for_state(other, "ready")
    other.wait_for_function("adaspark.scene().layer === 2")
    assert seen(other) == before


@pytest.mark.long
def test_an_upload_with_its_answer_survives_a_reload(studio: Page, tmp_path: Path) -> None:
    write_clip(tmp_path / "mine.mp4", frames=8)
    upload(studio, tmp_path / "mine.mp4")
    mine = studio.get_by_role("button", name="mine.mp4")
    expect(mine).to_have_attribute("aria-pressed", "true", timeout=PATIENCE_MILLIS)
    before = rev(studio)
    ask(studio, "quick please")
    wait_for_state(studio, "ready", after_rev=before)
    address(studio, clip="own", q="quick please")
    assert "mine" not in studio.url
    load_anew(studio)
    expect(mine).to_have_attribute("aria-pressed", "true")
    expect(studio.locator("#answer")).to_contain_text(WORDS)
    expect(question(studio)).to_have_value("quick please")


def test_a_link_to_an_upload_says_that_the_clip_is_not_included(
    open_page: Callable[..., Page], fake_url: str
) -> None:
    page = open_page(fake_url, query="?clip=own&q=quick+please")
    wait_for_state(page, "ready")
    expect(page.locator(".missing")).to_contain_text("does not include the clip")
    expect(question(page)).to_have_value("quick please")
    assert rev(page) == 1  # nobody asked the sample this question


def test_back_and_forward_go_between_runs_without_asking_again(studio: Page) -> None:
    address(studio, sample="01_numbers")
    before = rev(studio)
    ask(studio, "quick please")
    wait_for_state(studio, "ready", after_rev=before)
    address(studio, q="quick please")
    asked: list[str] = []
    studio.on("request", lambda request: asked.append(request.url))
    studio.go_back()
    expect(question(studio)).not_to_have_value("quick please")
    studio.wait_for_function("q => (adaspark.scene()?.question ?? q) !== q", arg="quick please")
    studio.go_forward()
    expect(question(studio)).to_have_value("quick please")
    studio.wait_for_function("q => adaspark.scene()?.question === q", arg="quick please")
    expect(studio.locator("#answer")).to_contain_text(WORDS)


def end_elsewhere(page: Page, url: str, session: str, ticket: str) -> None:
    """Stop the run of a page that is cut off, as its visitor, and wait until it has ended."""
    cookies = {str(each["name"]): str(each["value"]) for each in page.context.cookies(url)}
    with Tab(url, browser=httpx.Client(cookies=cookies)) as tab:
        tab.session = session
        tab.tell("stop", run=0)
        assert until(lambda: tab.get(f"studio/runs/{ticket}").json()["state"] == "stopped")


@pytest.mark.long
def test_a_cut_network_is_said_and_the_finished_answer_is_fetched(
    studio: Page, fake_url: str
) -> None:
    drawn, before = scene(studio)["cubes"], rev(studio)
    with studio.expect_request("**/queue/join*") as sent:
        ask(studio, "hold words")
    expect(studio.locator("#answer")).to_have_text("the", timeout=PATIENCE_MILLIS)
    ticket = evaluate_in(studio, "run.js", "page.runInView().ticket")

    studio.context.set_offline(True)
    said = studio.get_by_role("alert").filter(has_text="does not answer")
    expect(said).to_be_visible(timeout=PATIENCE_MILLIS)
    assert scene(studio)["cubes"] == drawn
    end_elsewhere(studio, fake_url, sent.value.post_data_json["session_hash"], ticket)
    assert rev(studio) == before
    studio.context.set_offline(False)
    expect(said).to_be_hidden(timeout=PATIENCE_MILLIS)
    wait_for_state(studio, "ready", after_rev=before)
    assert scene(studio)["question"] == "hold words"
    expect(studio.locator("#answer")).to_have_text("the")
    studio.errors.clear()  # type: ignore[attr-defined]  # Chromium notes the requests that failed
