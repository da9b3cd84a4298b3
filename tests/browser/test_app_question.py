"""The question's box when the clip changes: what somebody typed stays, a sample's does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from app_page import expect_error, number, question, upload, wait_for_state
from clips import write_clip
from fake_engine import FakeEngine
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
SUGGESTED = FakeEngine.questions[-1]


@pytest.fixture
def studio(open_page: Any, fake_url: str) -> Page:
    page: Page = open_page(fake_url)
    wait_for_state(page, "ready")
    return page


def send(page: Page, folder: Path) -> None:
    upload(page, write_clip(folder / "mine.mp4"))
    expect(page.get_by_role("button", name="mine.mp4", pressed=True)).to_be_visible()


def test_an_upload_is_not_asked_the_samples_question(studio: Page, tmp_path: Path) -> None:
    box, usual = question(studio), question(studio).get_attribute("placeholder")
    samples = box.input_value()
    assert samples
    told = studio.locator(".budget-dial [data-run]")
    expect(told).to_have_count(1)
    send(studio, tmp_path)
    expect(told).to_have_count(0)  # there is no run of it
    expect(studio.locator("#viewer .live")).to_be_empty()
    expect(box).to_have_value("")
    expect(box).to_have_attribute("placeholder", "For example: What happens in it?")
    studio.locator(".picker .card").first.click()
    expect(box).to_have_value(samples)
    expect(box).to_have_attribute("placeholder", usual or "")


def test_a_long_question_is_refused_whole_beside_the_suggestions(studio: Page) -> None:
    question(studio).fill("w" * 2001)
    studio.get_by_role("button", name="Ask", exact=True).click()
    expect_error(studio, "The question has 2,001 characters")
    message = studio.locator(".field-error[data-field=question]")
    expect(message).to_have_css("opacity", "1")
    box = message.bounding_box()
    assert box
    studio.mouse.move(box["x"] + 9, box["y"] + 9)  # whoever comes for a suggestion sees them
    expect(message).to_have_css("opacity", "0")
    studio.locator(".question-chips button").first.click()
    question(studio).press("End")
    question(studio).press("?")
    expect(message).to_be_empty()


@pytest.mark.long
@pytest.mark.parametrize("text", ["What did I film?", SUGGESTED])
def test_what_somebody_typed_stays(studio: Page, tmp_path: Path, text: str) -> None:
    question(studio).fill(text)
    send(studio, tmp_path)
    expect(question(studio)).to_have_value(text)


def test_a_suggestion_that_was_taken_stays_with_other_frames(studio: Page, tmp_path: Path) -> None:
    send(studio, tmp_path)
    expect(question(studio)).to_have_value("")
    studio.get_by_role("button", name=SUGGESTED, exact=True).click()
    studio.get_by_role("button", name="Sampling and length").click()
    number(studio, "Frames at most").fill("6")
    expect(studio.locator(".picker .facts")).to_contain_text("6 frames")
    expect(question(studio)).to_have_value(SUGGESTED)
