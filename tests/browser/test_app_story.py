"""The guided story, the tab of the paper, the visit's history, and the page in Chinese."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from app_page import PATIENCE_MILLIS, ask, resize, rev, scene, slider, upload, wait_for_state
from paths import ROOT
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


@pytest.fixture
def studio(open_page: Callable[..., Page], fake_url: str) -> Page:
    page = open_page(fake_url)
    wait_for_state(page, "ready")
    return page


def test_the_story_moves_the_real_controls_and_puts_them_back(studio: Page) -> None:
    before = slider(studio, "Top-p attention").input_value()
    opener = studio.locator(".story-opener")
    opener.click()
    story = studio.get_by_role("dialog")
    expect(story).to_contain_text("1 of 5")
    expect(story).to_contain_text("circle is red")
    studio.keyboard.press("ArrowRight")
    studio.wait_for_function("adaspark.scene().layer === adaspark.scene().kept.length - 1")
    studio.keyboard.press("ArrowRight")
    expect(story).to_contain_text("At Top-p 0.5 it still says", timeout=PATIENCE_MILLIS)
    studio.keyboard.press("ArrowRight")
    expect(story).to_contain_text("Both say “the circle is red”", timeout=PATIENCE_MILLIS)
    expect(slider(studio, "Top-p attention")).to_have_value(before)
    expect(studio.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")
    studio.keyboard.press("Escape")
    expect(story).to_be_hidden()
    expect(opener).to_be_focused()
    expect(opener).to_contain_text("from 4 of 5")
    opener.click()
    expect(story).to_contain_text("4 of 5")
    studio.wait_for_function("adaspark.scene().mode === 'difference'")
    studio.keyboard.press("ArrowRight")
    expect(story).to_contain_text("5 of 5")
    assert scene(studio)["mode"] == "spotlight"
    studio.get_by_role("button", name="Done").click()
    expect(story).to_be_hidden()


def test_the_paper_s_figures_stand_beside_what_was_measured(look: Page) -> None:
    look.get_by_role("tab", name="Paper and results").click()
    panel = look.get_by_role("tabpanel", name="Paper and results")
    expect(panel.get_by_role("link", name="arXiv 2604.08077")).to_be_visible()
    expect(panel.get_by_text("synthetic video")).to_be_visible()
    for figure in (1, 3, 4, 5):
        expect(panel.get_by_text(f"Figure {figure} of the paper.").first).to_be_visible()
    plots = panel.locator(".paper-plot .main-svg")
    expect(plots.first).to_be_visible(timeout=PATIENCE_MILLIS)
    said = panel.locator(".paper-said").first
    expect(said).to_contain_text("%")
    old = said.inner_text()
    panel.get_by_label("Clips, Is attention to video sparse?").select_option("16x112")
    expect(said).not_to_have_text(old)
    panel.get_by_text("BibTeX").click()
    expect(panel.get_by_text("2604.08077; authors")).to_be_visible()
    expect(panel.get_by_role("region", name="Fidelity", exact=True)).to_contain_text("which cubes")
    numbers = panel.get_by_role("table", name="Answers: how far from dense")
    expect(numbers.get_by_role("columnheader", name="condition", exact=True)).to_be_visible()


def test_two_runs_of_the_visit_stand_side_by_side_and_move_together(studio: Page) -> None:
    before = rev(studio)
    ask(studio, "quick please")
    wait_for_state(studio, "ready", after_rev=before)
    slider(studio, "Layer").first.fill("2")
    slider(studio, "Layer").first.press("Tab")
    studio.get_by_role("tab", name="History").click()
    cards = studio.locator(".history-card")
    expect(cards).to_have_count(2)
    for card in cards.all():
        card.get_by_role("button", name="Pin").click()
    copies = studio.locator(".viewer-copy")
    expect(copies).to_have_count(2, timeout=PATIENCE_MILLIS)
    for player in (studio.locator("#viewer"), *copies.all()):
        expect(player).to_have_attribute("data-layer", "2")
    slider(studio, "Layer").first.fill("3")
    for copy in copies.all():
        expect(copy).to_have_attribute("data-layer", "3")
    cards.last.get_by_role("button", name="Show").click()
    studio.wait_for_function("q => (adaspark.scene()?.question ?? q) !== q", arg="quick please")


@pytest.mark.long
def test_a_trace_that_is_dropped_opens_like_a_run(studio: Page, tmp_path: Path) -> None:
    before = rev(studio)
    upload(studio, ROOT / "assets" / "traces" / "1_needle.npz")
    wait_for_state(studio, "ready", after_rev=before)
    assert scene(studio)["question"] == "What color is the star?"
    expect(studio.locator("#answer")).to_have_text("yellow")
    (tmp_path / "bad.npz").write_text("no trace")
    upload(studio, tmp_path / "bad.npz")
    expect(studio.locator("[data-field=video]")).to_contain_text(
        "bad.npz is not a trace", timeout=PATIENCE_MILLIS
    )


@pytest.mark.long
def test_the_page_is_chinese_on_demand_and_english_again(
    open_page: Callable[..., Page], fake_url: str
) -> None:
    page = open_page(fake_url, query="?lang=zh")
    wait_for_state(page, "ready")
    expect(page.get_by_role("button", name="提问", exact=True)).to_be_visible()
    expect(page.get_by_role("slider", name="注意力 Top-p")).to_have_count(1)
    page.get_by_role("button", name="热图").click()
    assert scene(page)["mode"] == "heat"
    expect(page.locator("#answer")).to_contain_text("circle")
    page.get_by_label("语言").select_option("en")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
    expect(slider(page, "Top-p attention")).to_have_count(1)


@pytest.mark.long
def test_a_term_is_explained_to_pointer_and_keyboard(look: Page) -> None:
    slider(look, "Layer").focus()
    expect(look.get_by_role("tooltip")).to_contain_text("model's steps")
    look.keyboard.press("Escape")
    expect(look.get_by_role("tooltip")).to_be_hidden()
    look.get_by_role("button", name="Heat", exact=True).hover()
    expect(look.get_by_role("tooltip")).to_contain_text("share of words")


def test_on_a_narrow_page_a_term_is_explained_where_it_stands_alone(look: Page) -> None:
    resize(look, 390)
    look.get_by_role("button", name="Ask", exact=True).hover()
    expect(look.get_by_role("tooltip")).to_be_hidden()
    told = """(dial) => {  // what is drawn meanwhile moves the dial, and hides the tip
        dial.blur();
        dial.focus();
        const tip = document.querySelector("#tip");
        return !tip.hidden && tip.textContent.includes("share of attention reaches this");
    }"""
    dial = slider(look, "Top-p attention").element_handle()
    look.wait_for_function(told, arg=dial, timeout=PATIENCE_MILLIS)
