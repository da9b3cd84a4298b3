"""Where things stand: the loop of question, picture and dial on one screen, at every width."""

from __future__ import annotations

from typing import Any

import pytest
from app_page import question, resize, scene, wait_for_state
from long import some_of
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def opened(open_page: Any, url: str, width: int, height: int) -> Page:
    page: Page = open_page(url, width=width, height=height)
    wait_for_state(page, "ready")
    return page


def test_question_picture_and_dials_fit_a_laptop(open_page: Any, fake_url: str) -> None:
    page = opened(open_page, fake_url, 1366, 768)
    parts = ("#question", ".stage", ".transport", ".words", "#answer", "[aria-label='Layer']")
    for part in (*parts, "[aria-label='Top-p attention']", "[aria-label='Top-p FFN']"):
        box = page.locator(part).last.bounding_box()
        assert box and box["y"] + box["height"] <= 768, part


@some_of("width, height", [(390, 844), (683, 384), (1024, 768)])
def test_on_a_narrow_page_the_question_stands_under_the_player(
    open_page: Any, fake_url: str, width: int, height: int
) -> None:
    page = opened(open_page, fake_url, width, height)
    transport = page.locator(".transport").bounding_box()
    asked = question(page).bounding_box()
    lanes = page.locator(".lane-box").bounding_box()
    assert transport and asked and lanes
    end = transport["y"] + transport["height"]
    assert end <= asked["y"] <= end + 80 and asked["y"] < lanes["y"]


def test_the_panel_moves_with_the_width_and_keeps_what_was_typed(
    open_page: Any, fake_url: str
) -> None:
    page = opened(open_page, fake_url, 1366, 768)
    question(page).fill("quick please, how many?")
    page.set_viewport_size({"width": 900, "height": 768})
    expect(page.locator("#viewer #question")).to_have_count(1)
    expect(question(page)).to_have_value("quick please, how many?")
    page.get_by_role("button", name="Ask", exact=True).click()
    wait_for_state(page, "ready", after_rev=1)
    page.set_viewport_size({"width": 1366, "height": 768})
    expect(page.locator("#viewer #question")).to_have_count(0)


def test_letters_typed_under_the_player_are_no_shortcuts(open_page: Any, fake_url: str) -> None:
    page = opened(open_page, fake_url, 900, 768)
    mode = scene(page)["mode"]
    question(page).press_sequentially("ooo hhh")
    assert scene(page)["mode"] == mode and scene(page)["head"] is None


def test_a_click_on_a_word_of_the_answer_shows_its_cubes(open_page: Any, fake_url: str) -> None:
    page = opened(open_page, fake_url, 1366, 768)
    answer = page.locator("#answer")
    said = answer.inner_text().strip()
    word = answer.get_by_role("button", name="circle", exact=True)
    word.click()
    expect(word).to_have_attribute("aria-pressed", "true")
    drawn = scene(page)
    assert drawn["words"][drawn["query"]["word"]]["text"].strip() == "circle"
    assert answer.inner_text().strip() == said


def test_the_title_of_the_lanes_is_read_whole_at_any_width(open_page: Any, fake_url: str) -> None:
    page = opened(open_page, fake_url, 360, 800)
    long = "Share of the heads after “purple” was said that keep a cube, as recorded"
    for width in (360, 600, 768, 1024, 1366, 1440, 1920):
        resize(page, width)
        cut = page.locator("#viewer .lane-title").evaluate(
            """(title, long) => {
            const text = title.textContent;
            title.textContent = long;
            const { scrollWidth, clientWidth, scrollHeight, clientHeight } = title;
            title.textContent = text;
            return [scrollWidth - clientWidth, scrollHeight - clientHeight];
            }""",
            long,
        )
        assert max(cut) <= 1, width


def test_no_button_lies_on_the_lanes(open_page: Any, fake_url: str) -> None:
    page = opened(open_page, fake_url, 390, 844)
    button = page.locator(".lane-box > .full-screen").bounding_box()
    lanes = page.locator("#viewer .lanes").bounding_box()
    assert button and lanes and button["y"] + button["height"] <= lanes["y"]
