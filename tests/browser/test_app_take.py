"""What is taken away from the page: every export, links that bring it back, by keyboard too."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from app_page import (
    PATIENCE_MILLIS,
    ask,
    expect_error,
    number,
    question,
    rev,
    scene,
    slider,
    upload,
    wait_for_state,
)
from clips import write_clip
from playwright.sync_api import Download, Page, expect

from adaspark.trace.trace import Trace

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]


@pytest.fixture
def studio(open_page: OpenPage, fake_url: str) -> Page:
    page = open_page(fake_url)
    wait_for_state(page, "ready")
    return page


def saved(page: Page, item: str, *, picture_of: str | None = None) -> Download:
    """The first file that an item of the Export menu saves."""
    button = page.get_by_role("button", name="Export", exact=True)
    if button.get_attribute("aria-expanded") == "false":
        button.click()
    menu = page.locator("#export-menu")
    if picture_of:
        menu.get_by_role("combobox", name="Picture of").select_option(picture_of)
    with page.expect_download(timeout=PATIENCE_MILLIS) as caught:
        menu.get_by_role("button", name=item).click()
    expect(page.get_by_text(f"Saved: {item}")).to_be_visible()
    return caught.value


def content(download: Download) -> bytes:
    return Path(download.path()).read_bytes()


def test_each_part_of_the_viewer_is_saved_as_png_and_svg(look: Page) -> None:
    for panel in ("overlay", "lanes", "stack"):
        png = saved(look, "PNG", picture_of=panel)
        assert content(png).startswith(b"\x89PNG")
        name = rf"adaspark-numbers-{panel}-layer-\d-slice-\d\.png"
        assert re.fullmatch(name, png.suggested_filename)
        assert b"<svg" in content(saved(look, "SVG", picture_of=panel))[:200]


@pytest.mark.few
@pytest.mark.parametrize("mode", ["Spotlight", "Heat", "FFN"])
def test_a_picture_of_the_overlay_has_its_legend_in_colour(look: Page, mode: str) -> None:
    look.locator("#viewer").get_by_role("button", name=mode, exact=True).click()
    picture = content(saved(look, "SVG", picture_of="overlay")).decode()
    said = look.locator("#viewer .legend .entry").all_inner_texts()
    assert said and picture.count('class="sample"') == len(said)
    assert all(text.split("\u2019")[0] in picture for text in said)
    assert ("linearGradient" in picture) == any(
        "attend" in text or "lines" in text for text in said
    )


def test_the_film_shows_what_the_viewer_shows(look: Page, tmp_path: Path) -> None:
    look.get_by_role("button", name="Heat", exact=True).click()
    film = saved(look, "Film with the overlay (MP4)")
    assert "heat" in film.suggested_filename
    film.save_as(tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 24


def test_figures_and_tables_of_the_open_tab_are_saved(look: Page) -> None:
    look.get_by_role("tab", name="Layer statistics").click()
    assert content(saved(look, "PNG", picture_of="figures")).startswith(b"\x89PNG")
    assert b"<svg" in content(saved(look, "SVG", picture_of="figures"))[:200]
    table = content(saved(look, "Tables of the open tab (CSV)")).decode()
    rows = list(csv.reader(table.splitlines()))
    assert len(rows) == 1 + len(scene(look)["kept"])


def test_the_trace_is_the_one_that_is_drawn(look: Page, tmp_path: Path) -> None:
    saved(look, "Trace (NPZ)").save_as(tmp_path / "run.npz")
    trace, drawn = Trace.load(tmp_path / "run.npz"), scene(look)
    assert (
        trace.meta.config.to_dict() == drawn["config"] and trace.meta.question == drawn["question"]
    )
    assert len(trace.bounds) == len(drawn["cubes"])


def test_the_report_opens_offline_and_draws(look: Page, tmp_path: Path) -> None:
    saved(look, "Report that opens offline (HTML)").save_as(tmp_path / "run.html")
    page = look.context.new_page()
    page.goto((tmp_path / "run.html").as_uri())
    expect(page.locator("#viewer")).to_have_attribute("data-state", "ready")
    assert scene(page)["cubes"] == scene(look)["cubes"]
    page.close()


@pytest.mark.long
def test_nothing_can_be_saved_before_there_is_a_run(studio: Page, tmp_path: Path) -> None:
    write_clip(tmp_path / "mine.mp4", frames=8)
    upload(studio, tmp_path / "mine.mp4")
    expect(studio.locator("#viewer")).to_have_attribute("data-state", "empty")
    studio.get_by_role("button", name="Export", exact=True).click()
    for button in studio.locator("#export-menu button").all():
        expect(button).to_be_disabled()


def test_a_result_that_is_gone_is_a_sentence(look: Page) -> None:
    look.route("**/trace.npz*", lambda route: route.fulfill(status=404, body="It is gone."))
    look.get_by_role("button", name="Export", exact=True).click()
    look.get_by_role("button", name="Trace (NPZ)").click()
    expect(look.get_by_text("It is gone.")).to_be_visible()
    errors: list[str] = look.errors  # type: ignore[attr-defined]
    errors.clear()  # Chromium notes the refused request


def link_of(page: Page) -> str:
    page.get_by_role("button", name="Share link", exact=True).click()
    box = page.get_by_role("textbox", name="Link to this view")
    expect(box).to_have_value(re.compile("http"))
    link = box.input_value()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Share link", exact=True)).to_be_focused()
    return link


def test_a_link_brings_the_same_run_to_somebody_else(
    studio: Page, open_page: OpenPage, fake_url: str
) -> None:
    before = rev(studio)
    number(studio, "Cube t").fill("1")
    wait_for_state(studio, "ready", after_rev=before)
    ask(studio, "is it ${alert(1)} & quick?")
    wait_for_state(studio, "ready", after_rev=before + 1)
    link = link_of(studio)
    assert link.startswith(fake_url) and "01_numbers" in link
    other = open_page(link, query="")
    other.wait_for_function("adaspark.scene()?.question.endsWith('& quick?')")
    wait_for_state(other, "ready")
    expect(question(other)).to_have_value("is it ${alert(1)} & quick?")
    expect(number(other, "Cube t")).to_have_value("1")
    expect(other.get_by_role("combobox", name="Cube preset")).to_have_value("Custom")
    assert scene(other)["config"] == scene(studio)["config"]
    assert scene(other)["question"] == scene(studio)["question"]


@pytest.mark.long
def test_a_link_of_the_recorded_run_needs_no_new_one(look: Page, open_page: OpenPage) -> None:
    other = open_page(link_of(look), query="")
    wait_for_state(other, "ready")
    other.wait_for_timeout(500)
    assert rev(other) == 1


@pytest.mark.long
def test_a_link_that_cannot_be_followed_says_so_and_the_page_opens(
    open_page: OpenPage, fake_url: str
) -> None:
    page = open_page(fake_url, query="?sample=%3Cimg%20src%3Dx%3E&attn=0.5")
    expect_error(page, "This link's sample clip '<img src=x>' is not here")
    wait_for_state(page, "ready")
    expect(slider(page, "Top-p attention")).to_have_value("0.9")


@pytest.mark.long
def test_an_upload_is_never_in_a_link(studio: Page, tmp_path: Path) -> None:
    write_clip(tmp_path / "private.mp4", frames=8)
    upload(studio, tmp_path / "private.mp4")
    expect(studio.get_by_role("button", name="private.mp4")).to_be_visible()
    assert "private" not in link_of(studio) and "sample" not in link_of(studio)
    studio.get_by_role("button", name="Share link", exact=True).click()
    expect(studio.get_by_text("an uploaded video is never in a link")).to_be_visible()


def test_a_link_can_be_copied_by_hand_where_the_browser_refuses(look: Page) -> None:
    refuse = "navigator.clipboard.writeText = () => Promise.reject(new Error('no'))"
    look.evaluate(f"() => {{ {refuse} }}")
    look.get_by_role("button", name="Share link", exact=True).click()
    expect(look.get_by_text("Copy it from the box")).to_be_visible()
    selected = look.evaluate("getSelection().toString() || document.activeElement.value")
    assert selected.startswith("http")
    look.evaluate("() => { delete navigator.clipboard.writeText; }")  # the browser's own is back


@pytest.mark.long
def test_from_upload_to_export_with_the_keyboard_alone(studio: Page, tmp_path: Path) -> None:
    write_clip(tmp_path / "mine.mp4", frames=8)
    studio.on("filechooser", lambda chooser: None)  # from now on none is the system's own

    def tab_to(selector: str, most: int = 80, key: str = "Tab") -> None:
        for _ in range(most):
            studio.keyboard.press(key)
            if studio.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"{selector} is not reached by Tab")

    tab_to('input[type="file"]')
    with studio.expect_file_chooser() as chooser:
        studio.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "mine.mp4")
    expect(studio.get_by_role("button", name="mine.mp4")).to_be_visible()
    tab_to("#question textarea, #question input")
    studio.keyboard.press("Control+A")
    studio.keyboard.type("quick please")
    studio.keyboard.press("Enter")
    wait_for_state(studio, "ready", after_rev=1)
    studio.evaluate("document.activeElement.blur()")
    # Back to the head of the page: forward all of it lies between, 80 stops of a page with figures.
    tab_to('.menu-button[aria-controls="export-menu"]', most=30, key="Shift+Tab")
    studio.keyboard.press("Enter")
    for _ in range(6):  # the choice of panel, two formats, film, tables, trace
        studio.keyboard.press("Tab")
    with studio.expect_download() as caught:
        studio.keyboard.press("Enter")
    assert caught.value.suggested_filename == "adaspark-mine.npz"
    studio.keyboard.press("Escape")
    expect(studio.get_by_role("button", name="Export", exact=True)).to_be_focused()
