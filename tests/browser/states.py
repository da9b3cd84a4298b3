"""What a visitor brings the page to, one after the other: each is a picture at every width."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio
from app_page import ask, expect_error, number, rev, slider, upload, wait_for_state
from playwright.sync_api import Page, expect

RUN_MILLIS = 180_000
CLIP = Path(gradio.__file__).parent / "media_assets" / "videos" / "world.mp4"
"""Real footage that comes with Gradio."""


def word_after_it_was_said(page: Page) -> None:
    """An answer's word, and the panel of a cube that it reads."""
    page.locator("#answer").get_by_role("button").first.click()
    page.locator("#viewer .lanes").click(position={"x": 200, "y": 40})


def head_in_heat(page: Page) -> None:
    page.locator("#viewer").get_by_role("button", name="Heat", exact=True).click()
    page.locator("#viewer").get_by_label("Head", exact=True).select_option(index=1)


def story(page: Page) -> None:
    page.locator(".story-opener").click()
    page.get_by_role("dialog").wait_for()
    page.wait_for_timeout(1000)


def story_left(page: Page) -> None:
    page.get_by_role("button", name="Leave the story").click()


def paper(page: Page) -> None:
    page.get_by_role("tab", name="Paper and results").click()
    page.locator(".paper-plot .main-svg").first.wait_for()


def compared(page: Page) -> None:
    """Against dense attention: the table, and the difference in the player."""
    page.get_by_role("tab", name="Compare", exact=True).click()
    place = page.get_by_role("tabpanel", name="Compare")
    place.get_by_role("button", name="Compare").click()
    place.get_by_role("table").first.wait_for(timeout=RUN_MILLIS)


def side_by_side(page: Page) -> None:
    page.get_by_role("tab", name="History").click()
    for pin in page.locator(".history-card").get_by_role("button", name="Pin").all()[:2]:
        pin.click()
    page.locator(".viewer-copy").first.wait_for()


def another_setting(page: Page) -> None:
    before = rev(page)
    slider(page, "Top-p attention").press("ArrowLeft")
    wait_for_state(page, "ready", after_rev=before)


def asked_of_an_upload(page: Page) -> None:
    upload(page, CLIP)
    card = page.get_by_role("button", name=CLIP.name)
    expect(card).to_have_attribute("aria-pressed", "true", timeout=RUN_MILLIS)
    before = rev(page)
    ask(page, "What is in the sky?")
    wait_for_state(page, "ready", after_rev=before)


def refused(page: Page) -> None:
    """An error stands at its field."""
    upload(page, Path(__file__))
    expect_error(page, "video")


def fields(page: Page) -> None:
    page.get_by_role("button", name="Sampling and length").click()
    number(page, "Frames at most").wait_for()


def lanes_on_the_whole_screen(page: Page) -> None:
    page.locator(".lane-box > .full-screen").click()


STATES: dict[str, Callable[[Page], None]] = {
    "word": word_after_it_was_said,
    "heat": head_in_heat,
    "story": story,
    "left": story_left,
    "paper": paper,
    "fields": fields,
    "setting": another_setting,
    "beside": side_by_side,
    "compared": compared,
    "upload": asked_of_an_upload,
    "refused": refused,
    "lanes": lanes_on_the_whole_screen,
}
