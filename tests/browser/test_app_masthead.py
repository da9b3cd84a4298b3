"""The head of the page: what it holds on a narrow one, in two rows, and on a wide one."""

from __future__ import annotations

from typing import Any

import pytest
from app_page import resize, wait_for_state
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


@pytest.fixture
def studio(open_page: Any, fake_url: str) -> Page:
    page: Page = open_page(fake_url)
    wait_for_state(page, "ready")
    return page


@pytest.mark.few
@pytest.mark.parametrize("width", [320, 360, 390, 600])
def test_a_narrow_page_has_a_masthead_of_two_rows_and_all_of_it(studio: Page, width: int) -> None:
    resize(studio, width)
    head = studio.locator(".masthead")
    rows = head.evaluate("""(head) => {
      const parts = head.querySelectorAll("h1, .tools > .chips, .tools > .menu, .story-opener");
      const tops = [...parts].map((part) => part.getBoundingClientRect()).map(({ top, bottom }) =>
        Math.round((top + bottom) / 20));
      return new Set(tops).size;
    }""")
    assert rows <= 2
    more = head.get_by_role("button", name="More", exact=True)
    more.click()
    assert head.get_by_role("list", name="What is running").last.inner_text().count("\n") >= 2
    head.get_by_label("Language").select_option("zh")
    expect(studio.get_by_role("button", name="提问", exact=True)).to_be_visible()
    head.get_by_label("语言").select_option("en")
    dark = head.get_by_role("button", name="Dark colours")
    dark.click()
    expect(dark).to_have_attribute("aria-pressed", "true")
    studio.locator("h2").first.click(force=True)
    expect(dark).to_be_hidden()
    assert studio.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.long
def test_a_wide_page_has_no_menu_for_it(studio: Page) -> None:
    resize(studio, 1024)
    head = studio.locator(".masthead")
    expect(head.get_by_role("button", name="More", exact=True)).to_be_hidden()
    for name in ("Language", "Dark colours"):
        expect(head.get_by_label(name, exact=True)).to_be_visible()


@pytest.mark.long
@pytest.mark.parametrize("width", [320, 360, 390])
def test_what_runs_and_what_a_clip_costs_are_brief_on_a_narrow_page(
    studio: Page, width: int
) -> None:
    facts = studio.locator(".picker .facts")
    whole = facts.inner_text()
    assert "shown to the model as" in whole
    resize(studio, width)
    expect(facts).to_have_attribute("title", whole)
    short = facts.inner_text()
    assert short.startswith("8 frames = ") and whole.endswith(short.removeprefix("8 frames"))
    assert facts.evaluate("(line) => line.clientHeight") <= 24
    chip = studio.locator(".tools > .chips .status-chip b")
    assert chip.evaluate("(text) => text.scrollWidth <= text.clientWidth")
    assert chip.inner_text() == "CPU"
    resize(studio, 1440)
    expect(facts).to_have_text(whole)
    assert chip.inner_text().startswith("CPU, ")
