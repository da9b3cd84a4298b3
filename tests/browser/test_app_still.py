"""Nothing jumps: what is pointed at, chosen or refused has its place before it is there."""

from __future__ import annotations

from typing import Any

import pytest
from app_page import ask, expect_error, number, question, resize, upload, wait_for_state
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

TOPS = """() => Object.fromEntries(
  [".stage", ".transport", ".words", ".legend-row", ".lane-box", "#question", "#answer", "#cards",
   ".figures", "[aria-label='Top-p FFN']", "[aria-label='Cube w']"]
  .map((part) => [part, document.querySelector(part)?.getBoundingClientRect().top + scrollY]))"""


FURTHER = [pytest.param(width, marks=pytest.mark.long) for width in (1024, 1920)]


@pytest.fixture(params=[1366, pytest.param(390, marks=pytest.mark.long), *FURTHER])
def studio(request: Any, open_page: Any, fake_url: str) -> Page:
    page: Page = open_page(fake_url, width=request.param, height=900)
    wait_for_state(page, "ready")
    page.wait_for_selector(".status-chip[data-state=ready]")
    return page


@pytest.fixture(params=[390, 1366, *FURTHER])
def looked_at(request: Any, look: Page) -> Page:
    resize(look, request.param, 900)
    look.wait_for_selector(".status-chip[data-state=ready]")
    return look


def test_pointing_at_words_and_cubes_moves_nothing(looked_at: Page) -> None:
    before = looked_at.evaluate(TOPS)
    for word in looked_at.locator(".word, .answer-word").all():
        word.dispatch_event("pointerenter", {"pointerType": "mouse"})
        assert looked_at.evaluate(TOPS) == before
        word.dispatch_event("pointerleave", {"pointerType": "mouse"})
    looked_at.locator(".stage").hover(position={"x": 60, "y": 60})
    assert looked_at.evaluate(TOPS) == before


def test_overlays_and_kinds_change_in_place(looked_at: Page) -> None:
    looked_at.get_by_role("button", name="Question", exact=True).click()  # no word is held
    before = looked_at.evaluate(TOPS)
    for name in ("Outline", "Heat", "FFN", "Spotlight", "Answer", "Question"):
        looked_at.get_by_role("button", name=name, exact=True).click()
        assert looked_at.evaluate(TOPS) == before, name


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
