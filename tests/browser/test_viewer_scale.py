"""A run of a real model's size, 28 layers of 28 heads, told as it is in a real Chromium."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from trace_factory import REAL, REAL_CUBES, asking, make_trace, nucleus
from viewer_page import show, snapshot

from adaspark.trace.trace import Trace

pytestmark = pytest.mark.browser
LAYER = 14
ALL_KNOWN = "viewer.data.choices.knowsAll({...viewer.view.query, head: viewer.view.head})"


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(cube=REAL_CUBES[1600], **REAL)


@pytest.fixture
def page(page: Page, trace: Trace) -> Page:
    show(page, trace)
    page.evaluate(f"viewer.goTo(50, {{layer: {LAYER}}})")
    return page


@pytest.mark.long
def test_every_head_draws_its_own_choices_in_every_layer(page: Page, trace: Trace) -> None:
    mask = trace.word_mask()
    rows = asking(trace, "question")
    for head in (0, 5, 27):
        page.get_by_label("Head", exact=True).select_option(str(head))
        page.wait_for_function(ALL_KNOWN)
        expected = mask[:, rows, head].mean(1)
        assert np.abs(np.array(snapshot(page)["kept"]) - expected).max() < 1e-6
    expect(page.locator("#viewer .lane-title")).to_contain_text("question's words (head 27)")


@pytest.mark.long
def test_a_word_is_told_exactly_before_and_after_it_was_said(page: Page, trace: Trace) -> None:
    mask = trace.word_mask()
    said = max(i for i, word in enumerate(trace.words) if word.text == " red")
    page.get_by_role("button", name="red", exact=True).click()
    for name, row in (("What produced it", said - 1), ("After it was said", said)):
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_function(ALL_KNOWN)
        expected = mask[:, row].mean(1)
        assert np.abs(np.array(snapshot(page)["kept"]) - expected).max() < 1e-6


def test_a_cube_s_panel_lists_all_its_layers_and_heads(page: Page, trace: Trace) -> None:
    cube = 801
    page.evaluate("cube => viewer.set({pinned: cube})", cube)
    kept = trace.word_mask()[..., cube]
    row = page.get_by_role("table", name=f"Words that chose cube {cube}").locator("tbody tr")
    jacket = next(i for i, word in enumerate(trace.words) if word.text == " jacket")
    mine = row.filter(has_text="jacket")
    expect(mine).to_have_count(1)
    _, layers, heads, share = mine.locator("th, td").all_text_contents()
    assert numbers(layers) == np.flatnonzero(kept[:, jacket].any(1)).tolist()
    assert numbers(heads.split(" (")[0]) == np.flatnonzero(kept[LAYER, jacket]).tolist()
    assert share == f"{100 * kept[LAYER, jacket].mean():.0f} %"


@pytest.mark.long
def test_a_preview_is_one_or_says_that_it_is_none(page: Page, trace: Trace) -> None:
    viewer, probs = page.locator("#viewer"), trace.word_probs.astype(np.float64)
    page.get_by_label("Head", exact=True).select_option("5")
    page.evaluate("viewer.preview({attn_top_p: 0.5, ffn_top_p: 0.5})")
    expect(viewer).to_have_attribute("data-tier", "preview")
    chosen = nucleus(probs[LAYER][asking(trace, "question"), 5], 0.5).mean(0)
    assert np.abs(np.array(snapshot(page)["kept"][LAYER]) - chosen).max() < 1e-6
    page.get_by_role("button", name="Video", exact=True).click()
    expect(viewer).to_have_attribute("data-tier", "recorded")
    expect(page.locator("#viewer .tier")).to_have_text("recorded")


def numbers(text: str) -> list[int]:
    """[0, 2, 3] of "0, 2-3"; none of "none"."""
    found: list[int] = []
    for part in text.split(", ") if text not in ("none", "") else []:
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
