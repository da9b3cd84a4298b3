"""Nothing jumps: what is pointed at, chosen or refused has its place before it is there."""

from __future__ import annotations

from typing import Any

import pytest
from app_page import ask, expect_error, number, question, upload, wait_for_state
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

TOPS = """() => Object.fromEntries(
  [".stage", ".transport", ".words", ".legend-row", ".lane-box", "#question", "#answer", "#cards",
   ".figures", "[aria-label='Top-p FFN']", "[aria-label='Cube w']"]
  .map((part) => [part, document.querySelector(part)?.getBoundingClientRect().top + scrollY]))"""


FURTHER = [pytest.param(width, marks=pytest.mark.long) for width in (1024, 1920)]


@pytest.fixture(params=[390, 1366, *FURTHER])
def studio(request: Any, open_page: Any, fake_url: str) -> Page:
    page: Page = open_page(fake_url, width=request.param, height=900)
    wait_for_state(page, "ready")
    page.wait_for_selector(".status-chip[data-state=ready]")
    return page


def test_pointing_at_words_and_cubes_moves_nothing(studio: Page) -> None:
    before = studio.evaluate(TOPS)
    for word in studio.locator(".word, .answer-word").all():
        word.dispatch_event("pointerenter", {"pointerType": "mouse"})
        assert studio.evaluate(TOPS) == before
        word.dispatch_event("pointerleave", {"pointerType": "mouse"})
    studio.locator(".stage").hover(position={"x": 60, "y": 60})
    assert studio.evaluate(TOPS) == before


def test_overlays_and_kinds_change_in_place(studio: Page) -> None:
    studio.get_by_role("button", name="Question", exact=True).click()  # no word is held
    before = studio.evaluate(TOPS)
    for name in ("Outline", "Heat", "FFN", "Spotlight", "Answer", "Question"):
        studio.get_by_role("button", name=name, exact=True).click()
        assert studio.evaluate(TOPS) == before, name


def test_an_error_stands_at_its_field_and_moves_none(studio: Page) -> None:
    question(studio).fill("   ")
    studio.wait_for_timeout(400)  # the box takes the height of its text
    before = studio.evaluate(TOPS)
    ask(studio)
    expect_error(studio, "The question is blank")
    expect(studio.locator("[data-field=question]")).to_contain_text("blank")
    assert studio.evaluate(TOPS) == before
    question(studio).fill("What color is the circle?")
    number(studio, "Cube h").fill("0")
    expect_error(studio, "A cube is three whole numbers of at least 1")
    expect(studio.locator("[data-field=dials]")).to_contain_text("cube", ignore_case=True)
    now = studio.evaluate(TOPS)
    assert now["[aria-label='Cube w']"] == before["[aria-label='Cube w']"]


def test_a_refused_file_is_refused_where_files_are_chosen(studio: Page, tmp_path: Any) -> None:
    before, path = studio.evaluate(TOPS), tmp_path / "broken.mp4"
    path.write_text("no video")
    upload(studio, path)
    expect_error(studio, "broken.mp4")
    expect(studio.locator("[data-field=video]")).to_contain_text("broken.mp4")
    now = studio.evaluate(TOPS)
    if studio.viewport_size and studio.viewport_size["width"] > 1000:
        assert now == before
