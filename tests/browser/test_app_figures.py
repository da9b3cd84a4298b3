"""Every figure follows the player: whose choices, which word, head, layer and slice."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from app_page import PATIENCE_MILLIS, scene, slider
from long import some_of
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser
LINES = """plot => (plot.layout.shapes ?? [])
    .filter(({ type }) => type === "line")
    .map(({ x0, x1, y0, y1 }) => x0 === x1 ? ["x", x0] : ["y", y0])"""
"""The marks of a plot: which way they stand, and where."""


def shown(page: Page, tab: str, name: str) -> Locator:
    """A figure of a tab, drawn."""
    page.get_by_role("tab", name=tab, exact=True).click()
    plot = page.locator(f".plot[data-figure={name}]")
    plot.scroll_into_view_if_needed()
    expect(plot.locator(".main-svg").first).to_be_visible(timeout=PATIENCE_MILLIS)
    return plot


def expect_sentence(plot: Locator, words: str) -> None:
    """The sentence under a figure, once it is in sight again: the controls stand above it."""
    plot.scroll_into_view_if_needed()
    expect(plot.locator("xpath=../figcaption")).to_contain_text(words, timeout=PATIENCE_MILLIS)


def kept_by(page: Page, kind: str) -> None:
    page.get_by_role("group", name="Whose attention").get_by_role("button", name=kind).click()


def choose_head(page: Page, head: str) -> None:
    page.locator("#viewer").get_by_label("Head", exact=True).select_option(head)


def expect_mark(page: Page, plot: Locator, mark: list[object]) -> None:
    plot.scroll_into_view_if_needed()
    page.wait_for_function(
        f"([plot, mark]) => ({LINES})(plot).some((line) => String(line) === String(mark))",
        arg=[plot.element_handle(), mark],
        timeout=PATIENCE_MILLIS,
    )


@pytest.mark.few
@some_of(
    "tab, name",
    [
        ("Entropy", "entropy_by_layer"),
        ("Concentration", "concentration"),
        ("Layers and cubes", "selection_maps"),
        ("Layer statistics", "layer_statistics"),
        ("Entropy", "effective_cubes"),
        ("Layers and cubes", "selection_map"),
        ("Layers and cubes", "heads_by_layer"),
    ],
    always=3,
)
def test_a_sentence_is_of_the_kind_or_the_word_that_is_looked_at(
    look: Page, tab: str, name: str
) -> None:
    plot = shown(look, tab, name)
    expect_sentence(plot, "What produced “the”")
    kept_by(look, "Question")
    expect_sentence(plot, "uestion")
    kept_by(look, "Answer")
    expect_sentence(plot, "nswer")
    look.locator("#viewer .words").get_by_text("circle", exact=True).click()
    expect_sentence(plot, "“circle”")
    if name not in ("entropy_by_layer", "effective_cubes", "heads_by_layer"):
        choose_head(look, "1")
        expect_sentence(plot, "“circle”, head 1")


def test_the_head_and_the_layer_are_marked_among_the_heads(look: Page) -> None:
    plot = shown(look, "Layers and cubes", "heads_by_layer")
    slider(look, "Layer").fill("3")
    expect_mark(look, plot, ["x", 3])
    choose_head(look, "1")
    expect_mark(look, plot, ["y", 1])
    choose_head(look, "")
    plot.scroll_into_view_if_needed()
    look.wait_for_function(
        f"plot => !({LINES})(plot).some(([way]) => way === 'y')", arg=plot.element_handle()
    )


@pytest.mark.few
@some_of(
    "tab, name",
    [
        ("Layer statistics", "layer_density"),
        ("FFN tokens", "ffn_inertia"),
        ("Entropy", "entropy_by_layer"),
        ("Entropy", "effective_cubes"),
        ("Layer statistics", "layer_statistics"),
        ("Concentration", "concentration"),
    ],
    always=2,
)
def test_the_layer_in_view_is_marked(look: Page, tab: str, name: str) -> None:
    plot = shown(look, tab, name)
    for layer in (3, 1):
        slider(look, "Layer").fill(str(layer))
        expect_mark(look, plot, ["x", layer])


@pytest.mark.long
def test_the_table_holds_the_word_that_is_looked_at(look: Page) -> None:
    look.locator("#viewer .words").get_by_text("circle", exact=True).click()
    look.get_by_role("tab", name="Data", exact=True).click()
    panel = look.get_by_role("tabpanel", name="Data")
    panel.get_by_label("Table").select_option("entropy_by_layer")
    heads = panel.get_by_role("columnheader")
    expect(heads.filter(has_text="“circle”")).to_have_count(1, timeout=PATIENCE_MILLIS)
    kept_by(look, "Question")
    panel.scroll_into_view_if_needed()  # what is out of sight is drawn later
    expect(heads.filter(has_text="“circle”")).to_have_count(0, timeout=PATIENCE_MILLIS)
    assert scene(look)["query"]["kind"] == "question"


def test_the_data_tab_gives_the_table_in_view_as_csv(look: Page) -> None:
    look.get_by_role("tab", name="Data", exact=True).click()
    panel = look.get_by_role("tabpanel", name="Data")
    panel.get_by_label("Table").select_option("entropy_by_layer")
    expect(panel.get_by_role("table", name="Entropy by layer")).to_be_visible()
    with look.expect_download() as begun:
        panel.get_by_role("link", name="As CSV").click()
    assert begun.value.suggested_filename == "entropy_by_layer.csv"
    header, *rows = csv.reader(Path(begun.value.path()).read_text("utf-8").splitlines())
    columns = panel.get_by_role("columnheader").all_inner_texts()
    assert header == columns
    assert len(rows) == len(scene(look)["kept"])


def test_colour_bars_keep_their_colours_when_the_address_changes(look: Page) -> None:
    look.get_by_role("tab", name="Layers and cubes").click()
    look.locator("[data-figure=selection_maps] .cbfill").first.wait_for(state="attached")
    fills = look.evaluate(
        "[...document.querySelectorAll('.figures .cbfill')].map((e) => getComputedStyle(e).fill)"
    )
    assert fills and all(fill.startswith('url("#') for fill in fills), fills
