"""The page for everyone: widths, light and dark, keyboard, names, contrast, and no other host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from app_page import PATIENCE_MILLIS, ask, question, resize, rev, slider, wait_for_state
from axe_playwright_python.sync_playwright import Axe
from long import some_of
from playwright.sync_api import Browser, Page, Route, expect

pytestmark = pytest.mark.browser

GRADIOS_OWN = {("image-redundant-alt", "footer")}
"""What axe finds in elements that Gradio draws; the test fails where it grows or shrinks."""


def test_nothing_is_wider_than_the_window(look: Page) -> None:
    for width in (360, 390, 768, 1100, 1440, 1920):
        resize(look, width)
        too_wide = look.evaluate(
            """() => [...document.querySelectorAll("main *")]
              .filter((n) => !n.closest("[role=tablist], .table-scroll, .plot, .word-row"))
              .filter((n) => !n.closest(".cards, .question-chips"))
              .filter((n) => n.getClientRects().length && getComputedStyle(n).clipPath === "none")
              .filter((n) => n.getBoundingClientRect().right > innerWidth + 1)
              .map((n) => n.outerHTML.slice(0, 120))"""
        )
        assert too_wide == [], width
        assert look.evaluate("document.documentElement.scrollWidth") <= width


def test_the_first_screen_holds_the_video_its_lanes_the_answer_and_the_dials(look: Page) -> None:
    for part in (".stage", ".lanes", "#answer", "#cards", "[aria-label='Top-p FFN']"):
        box = look.locator(part).last.bounding_box()
        assert box and box["y"] + box["height"] <= 900, part


@pytest.mark.long
def test_on_a_phone_the_charts_of_a_figure_stand_under_each_other(
    look: Page, open_page: Callable[..., Page], fake_url: str
) -> None:
    tops = {}
    narrow = open_page(fake_url, width=390, height=800)
    wait_for_state(narrow, "ready")
    for width, page in ((390, narrow), (1440, look)):
        page.get_by_role("tab", name="FLOPs and time").click()
        plots = page.locator("[role=tabpanel]:not([hidden]) .plot .subplot")
        expect(plots).to_have_count(2)
        boxes = [
            plot.evaluate("n => n.querySelector('.gridlayer').getBoundingClientRect().top")
            for plot in plots.all()
        ]
        tops[width] = boxes[1] - boxes[0]
    assert tops[390] > 150 and abs(tops[1440]) < 5


def test_what_is_touched_on_a_phone_is_large_enough(look: Page) -> None:
    resize(look, 390)
    look.get_by_role("button", name="Export", exact=True).click()
    too_low = look.evaluate(
        """() => [...document.querySelectorAll(
            "main :is(button, select, summary, [role=tab], input[type=range])")]
          .filter((n) => n.getClientRects().length && n.dataset.testid !== "reset-button")
          .filter((n) => n.getBoundingClientRect().height < 43.5)
          .map((n) => n.outerHTML.slice(0, 120))"""
    )
    assert too_low == []  # but for the reset buttons of Gradio's sliders


@some_of("theme", ["light", "dark"])
def test_axe_finds_nothing_in_our_own_elements(look: Page, theme: str) -> None:
    look.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
    look.get_by_role("tab", name="Data").click()
    look.get_by_role("button", name="Export", exact=True).click()
    assert violations(look) == GRADIOS_OWN


@pytest.mark.long
@some_of("theme", ["light", "dark"])
def test_axe_finds_nothing_in_a_comparison(
    open_page: Callable[..., Page], fake_url: str, theme: str
) -> None:
    page = open_page(fake_url, theme=theme, width=390, height=800)
    wait_for_state(page, "ready")
    page.get_by_role("tab", name="Compare").click()
    place = page.get_by_role("tabpanel", name="Compare")
    place.get_by_label("Compare with").select_option("prune")
    place.get_by_role("button", name="Compare", exact=True).click()
    expect(place.get_by_role("table")).to_be_visible(timeout=PATIENCE_MILLIS)
    place.get_by_role("button", name="Pin this run").click()
    assert violations(page) == GRADIOS_OWN
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("tab", name="How it works").click()
    page.get_by_role("button", name="Share link", exact=True).click()
    ask(page, "")
    page.get_by_role("alert").filter(has_text="blank").wait_for()
    assert violations(page) == GRADIOS_OWN


def violations(page: Page) -> set[tuple[str, str]]:
    """(rule, element) of all that axe finds; the element is "footer" or its HTML."""
    found = Axe().run(page).response["violations"]
    nodes = [(v["id"], n) for v in found for n in v["nodes"]]
    return {(rule, "footer" if in_footer(page, n) else n["html"][:160]) for rule, n in nodes}


def in_footer(page: Page, node: Any) -> bool:
    return bool(
        page.evaluate("s => !!document.querySelector(s)?.closest('footer')", node["target"][0])
    )


def test_a_question_is_asked_with_the_keyboard_alone(
    open_page: Callable[..., Page], fake_url: str
) -> None:
    page = open_page(fake_url)
    wait_for_state(page, "ready")
    names = []
    for _ in range(10):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.getAttribute('aria-label') || ''"))
        if question(page).evaluate("node => node === document.activeElement"):
            break
    expect(question(page)).to_be_focused()
    assert "Video" in names
    page.keyboard.press("Control+A")
    page.keyboard.type("quick please")
    page.keyboard.press("Enter")
    wait_for_state(page, "ready", after_rev=1)


def test_every_control_has_its_name(look: Page) -> None:
    for name in ("Top-p attention", "Top-p FFN", "Layer"):
        expect(slider(look, name)).to_have_count(1)
    for name in ("Cube t", "Cube h", "Cube w"):
        expect(look.get_by_role("spinbutton", name=name, exact=True)).to_have_count(1)
    for name in ("Ask", "Stop"):
        expect(look.get_by_role("button", name=name, exact=True)).to_have_count(1)
    expect(look.get_by_label("Video", exact=True)).to_have_attribute("type", "file")
    expect(question(look)).to_have_count(1)
    expect(look.locator("#answer")).to_have_count(1)


def test_the_theme_can_change_while_the_page_is_open(look: Page) -> None:
    look.get_by_role("tab", name="Entropy").click()
    ink = "[role=tabpanel]:not([hidden]) .plot .xtick text"
    look.locator(ink).first.wait_for()
    light = look.locator(ink).first.evaluate("node => node.style.fill")
    look.evaluate("document.body.classList.add('dark')")
    look.wait_for_function(
        "([ink, old]) => document.querySelector(ink)?.style.fill !== old", arg=[ink, light]
    )


@pytest.mark.long
def test_the_page_works_without_any_other_host(chromium: Browser, fake_url: str) -> None:
    context = chromium.new_context()
    foreign: list[str] = []

    def only_here(route: Route) -> None:
        if route.request.url.startswith((fake_url, "data:", "blob:")):
            route.continue_()
        else:
            foreign.append(route.request.url)
            route.abort()

    context.route("**/*", only_here)
    page = context.new_page()
    page.goto(fake_url)
    wait_for_state(page, "ready")
    page.get_by_role("tab", name="FLOPs and time").click()
    page.locator("[role=tabpanel]:not([hidden]) .main-svg").first.wait_for()
    ask(page, "quick please")
    wait_for_state(page, "ready", after_rev=rev(page))
    context.close()
    assert foreign == []
