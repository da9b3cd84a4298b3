"""Where things stand: the loop of question, picture and dial on one screen, at every width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from app_page import PATIENCE_MILLIS, question, resize, scene, upload, wait_for_state
from clips import write_clip
from long import some_of
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_question_picture_and_dials_fit_a_laptop(look: Page) -> None:
    resize(look, 1366, 768)
    parts = ("#question", ".stage", ".transport", ".words", "#answer", "[aria-label='Layer']")
    for part in (*parts, "[aria-label='Top-p attention']", "[aria-label='Top-p FFN']"):
        box = look.locator(part).last.bounding_box()
        assert box and box["y"] + box["height"] <= 768, part


@pytest.mark.few
@some_of("width", [1440, 1366, 1024, 768])
def test_every_tab_of_the_figures_is_in_sight(look: Page, width: int) -> None:
    resize(look, width, 768)
    tabs = look.locator(".figures [role=tablist]")
    assert tabs.evaluate("(list) => list.scrollWidth <= list.clientWidth")
    last = tabs.get_by_role("tab").last
    last.click()
    expect(last).to_have_attribute("aria-selected", "true")


def test_no_button_lies_on_what_is_said_of_a_run(look: Page) -> None:
    apart = """(part) => {
      const [text, button] = [part.querySelector(".phase-text"), part.querySelector(".full-screen")]
        .map((each) => each.getBoundingClientRect());
      return button.bottom <= text.top || button.top >= text.bottom;
    }"""
    resize(look, 1366, 768)
    assert look.locator(".outcome").evaluate(apart)


def test_headings_stand_above_their_text(look: Page) -> None:
    look.get_by_role("tab", name="How it works").click()
    lefts = """(how) => ["h3", "p"].map((part) => {
      const words = document.createRange();
      words.selectNodeContents(how.querySelector(part));
      return Math.round(words.getBoundingClientRect().left);
    })"""
    heading, text = look.locator(".how").first.evaluate(lefts)
    assert heading == text


def test_a_list_to_choose_from_has_its_arrow(look: Page) -> None:
    looks = "(list) => getComputedStyle(list).appearance"
    lists = look.locator(":is(.masthead, .figures, #viewer) select").all()
    assert len(lists) >= 3 and {each.evaluate(looks) for each in lists} == {"auto"}


@some_of("width, height", [(390, 844), (683, 384), (1024, 768)])
def test_on_a_narrow_page_the_question_stands_under_the_player(
    look: Page, width: int, height: int
) -> None:
    resize(look, width, height)
    transport = look.locator(".transport").bounding_box()
    asked = question(look).bounding_box()
    lanes = look.locator(".lane-box").bounding_box()
    assert transport and asked and lanes
    end = transport["y"] + transport["height"]
    assert end <= asked["y"] <= end + 80 and asked["y"] < lanes["y"]


@pytest.mark.long
def test_the_panel_moves_with_the_width_and_keeps_what_was_typed(
    open_page: Any, fake_url: str
) -> None:
    page = open_page(fake_url, width=1366, height=768)
    wait_for_state(page, "ready")
    question(page).fill("quick please, how many?")
    page.set_viewport_size({"width": 900, "height": 768})
    expect(page.locator("#viewer #question")).to_have_count(1)
    expect(question(page)).to_have_value("quick please, how many?")
    page.get_by_role("button", name="Ask", exact=True).click()
    wait_for_state(page, "ready", after_rev=1)
    page.set_viewport_size({"width": 1366, "height": 768})
    expect(page.locator("#viewer #question")).to_have_count(0)


def test_letters_typed_under_the_player_are_no_shortcuts(look: Page) -> None:
    resize(look, 900, 768)
    mode = scene(look)["mode"]
    question(look).press_sequentially("ooo hhh")
    assert scene(look)["mode"] == mode and scene(look)["head"] is None


def test_a_click_on_a_word_of_the_answer_shows_its_cubes(look: Page) -> None:
    resize(look, 1366, 768)
    answer = look.locator("#answer")
    said = answer.inner_text().strip()
    word = answer.get_by_role("button", name="circle", exact=True)
    word.click()
    expect(word).to_have_attribute("aria-pressed", "true")
    drawn = scene(look)
    assert drawn["words"][drawn["query"]["word"]]["text"].strip() == "circle"
    assert answer.inner_text().strip() == said


@pytest.mark.long
def test_the_title_of_the_lanes_is_read_whole_at_any_width(look: Page) -> None:
    long = "Share of the heads after “purple” was said that keep a cube, as recorded"
    for width in (360, 600, 768, 1024, 1366, 1440, 1920):
        resize(look, width)
        cut = look.locator("#viewer .lane-title").evaluate(
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


def test_no_button_lies_on_the_lanes(look: Page) -> None:
    resize(look, 390, 844)
    button = look.locator(".lane-box > .full-screen").bounding_box()
    lanes = look.locator("#viewer .lanes").bounding_box()
    assert button and lanes and button["y"] + button["height"] <= lanes["y"]


def test_on_the_whole_screen_each_layer_s_number_stands_at_its_lane(look: Page) -> None:
    look.locator(".lane-box > .full-screen").click()
    look.wait_for_function("document.fullscreenElement?.matches('.lane-box')")
    box = look.locator(".lane-box").bounding_box()
    assert box
    look.wait_for_function(
        "least => document.querySelector('#viewer .lanes').clientHeight > least",
        arg=box["height"] / 2,
    )
    lanes = look.locator("#viewer .lanes")
    area, labels = lanes.bounding_box(), look.locator("#viewer .lane-layers > *").all()
    assert area and lanes.evaluate("canvas => canvas.height / devicePixelRatio") == pytest.approx(
        area["height"], abs=1
    )
    each = area["height"] / len(labels)
    assert [label.inner_text() for label in labels] == ["3", "2", "1", "0"]
    for lane, label in enumerate(labels):
        place = label.bounding_box()
        assert place
        middle = place["y"] + place["height"] / 2
        assert area["y"] + lane * each <= middle <= area["y"] + (lane + 1) * each
    look.evaluate("document.exitFullscreen()")
    look.wait_for_function("!document.fullscreenElement")


CUT = """() => {
  const seen = (each) => each.checkVisibility({ visibilityProperty: true });
  const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
  const texts = all("#viewer p, .outcome p, #viewer select");
  const cut = texts.filter((each) => {
    if (!each.matches("select")) {
      const { scrollWidth, clientWidth, scrollHeight, clientHeight } = each;
      const hidden = Math.max(scrollWidth - clientWidth, scrollHeight - clientHeight);
      return getComputedStyle(each).overflowX === "hidden" && hidden > 1;
    }
    const whole = each.cloneNode(true);
    whole.style.cssText = "position: absolute; flex: none; width: max-content";
    each.after(whole);
    const wider = whole.offsetWidth > each.offsetWidth;
    whole.remove();
    return wider;
  });
  const written = texts.flatMap((each) => {
    const range = document.createRange();
    range.selectNodeContents(each);
    return [...range.getClientRects()].map((box) => ({ each, box }));
  });
  const covered = all(".full-screen").flatMap((button) => {
    const { left, right, top, bottom } = button.getBoundingClientRect();
    const meets = (box) => box.right > left && box.left < right;
    const lies = ({ box }) => meets(box) && box.bottom > top && box.top < bottom;
    return written.filter(lies).map(({ each }) => each);
  });
  const found = [...cut, ...covered].filter((each) => !each.matches(".live"));
  return found.map((each) => each.textContent);
}"""
"""Texts of the viewer and the answer that are cut off, or that a button lies on."""


@pytest.mark.few
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 390])
def test_on_a_phone_no_line_is_cut_off(look: Page, width: int, theme: str) -> None:
    resize(look, width, 700)
    look.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
    expect(look.locator("#viewer .stack-box p")).to_be_visible()
    assert look.evaluate(CUT) == []
    assert look.evaluate("document.documentElement.scrollWidth") <= width
    look.get_by_role("tab", name="A real answer").click()
    expect(look.locator(".figures .real pre").first).to_be_visible()
    beside = "nodes => nodes.every((node) => node.getBoundingClientRect().right <= innerWidth)"
    assert look.locator(".figures .real > *").evaluate_all(beside)


def test_on_a_narrow_page_the_stack_is_seen_as_it_is_shown(look: Page) -> None:
    resize(look, 390, 700)
    stack, button = look.locator("#viewer .stack-box"), look.locator(".transport .spatial")
    if button.get_attribute("aria-pressed") == "true":
        button.click()
    button.click()
    expect(stack).to_be_in_viewport()


def test_both_ends_of_the_lanes_zoom_stand_together(look: Page) -> None:
    resize(look, 1366, 768)
    look.get_by_role("button", name="FFN", exact=True).click()
    fewer, more = (look.locator(".lane-zoom button").nth(i).bounding_box() for i in range(2))
    assert fewer and more and fewer["y"] == more["y"]


@some_of("width", [320, 390])
def test_the_card_that_is_chosen_is_seen_and_the_page_stays(
    open_page: Any, fake_url: str, tmp_path: Path, width: int
) -> None:
    page = open_page(fake_url, width=width, height=700)
    wait_for_state(page, "ready")
    upload(page, write_clip(tmp_path / "mine.mp4"))
    card = page.locator(".card[aria-pressed=true]")
    expect(card).to_contain_text("mine.mp4", timeout=PATIENCE_MILLIS)
    box, row = card.bounding_box(), page.locator(".cards").bounding_box()
    assert box and row
    assert row["x"] <= box["x"] + 1 and box["x"] + box["width"] <= row["x"] + row["width"] + 1
    assert page.evaluate("scrollY") == 0
