"""Runs of any shape and any text in the viewer, at any width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from long import some_of
from playwright.sync_api import Browser, Page, expect
from trace_factory import make_trace
from viewer_page import compare, open_viewer, press, show, snapshot

from adaspark.trace.meta import Meta
from adaspark.trace.trace import Trace

pytestmark = pytest.mark.browser
PAGE_RULES = ("page-has-heading-one",)
"""Rules about a whole page, which the bare page around the viewer does not try to keep."""
NASTY = "<img src=x onerror=alert(1)>${alert(1)}`{{alert(1)}}"


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(
        grids=((8, 6, 10),), cube=(2, 4, 4), layers=4, answer=(" red", " and", " red")
    )


@pytest.mark.parametrize(
    "shape",
    [
        {"grids": ()},
        {"grids": ((1, 1, 1),)},
        {"grids": ((5, 3, 7), (1, 2, 2)), "cube": (2, 2, 2)},
        {"answer": ()},
        {"question": (), "answer": ()},
    ],
    ids=["no video", "one token", "two videos", "no answer", "no words"],
)
def test_any_run_is_drawn_in_every_mode(page: Page, shape: dict[str, Any]) -> None:
    trace = make_trace(layers=2, **shape)
    show(page, trace)
    for mode in ("spotlight", "outline", "heat", "ffn"):
        page.evaluate("mode => viewer.goTo(0, {mode})", mode)
    slices = sum(grid[0] for grid in trace.meta.grids)
    page.evaluate("slice => viewer.goTo(slice)", slices + 5)
    expect(page.locator("#viewer")).to_have_attribute("data-slice", str(max(slices - 1, 0)))
    if slices:
        assert snapshot(page)["grid"] == list(trace.meta.grids[-1])
    else:
        expect(page.locator("#viewer")).to_contain_text("no video")


def test_unknown_times_and_missing_meta_are_said_in_words(page: Page) -> None:
    trace = make_trace(layers=2)
    trace.meta = Meta()
    trace.frame_times[:] = np.nan
    show(page, trace)
    page.evaluate("viewer.goTo(3)")
    expect(page.locator("#viewer .facts").first).to_have_text("slice 3 = frames 6-7, time unknown")


def test_hostile_text_stays_text(page: Page) -> None:
    words = (NASTY, "`${alert(2)}`", "</script>")
    meta = {"question": NASTY, "answer": NASTY, "clip": {"name": NASTY}}
    show(page, make_trace(layers=1, question=words, answer=words, meta=meta))
    page.evaluate("text => viewer.setState('error', text)", NASTY)
    expect(page.locator("#viewer .ribbon")).to_have_text(NASTY)
    page.locator("#viewer .word").first.click()
    assert page.locator("#viewer img").count() == 0
    assert page.locator("#viewer .word").first.text_content() == NASTY


@pytest.mark.long
def test_without_a_video_play_runs_a_clock_of_its_own(page: Page, trace: Trace) -> None:
    show(page, trace)
    press(page, "Play")
    page.wait_for_function("adaspark.scene().slice >= 2")
    press(page, "Pause")
    drawn = snapshot(page)
    assert 2 <= drawn["slice"] <= 7


def test_looking_around_asks_no_server(page: Page, trace: Trace) -> None:
    show(page, trace)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.evaluate("viewer.goTo(3, {layer: 1})")
    compare(page, make_trace(grids=((8, 6, 10),), cube=(2, 4, 4), layers=4, seed=1))
    for name in ("Heat", "FFN", "Difference", "Outline", "Answer", "circle", "3-D cube stack"):
        press(page, name)
    page.get_by_label("Head", exact=True).select_option("1")
    page.evaluate("viewer.preview({attn_top_p: 0.5, ffn_top_p: 0.5})")
    page.mouse.move(300, 300)
    assert requests == []


@pytest.mark.few
@some_of("dark", [False, True], ids=["light", "dark"])
@some_of("width", [360, 1440, 390], always=2)
def test_fits_any_width_in_both_themes(
    chromium: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    page = open_viewer(chromium, width=width, height=900)
    show(page, make_trace(layers=6, question=tuple(f" word{i}" for i in range(30))))
    if dark:
        page.evaluate("document.body.classList.add('dark')")
    page.screenshot(path=tmp_path / f"viewer-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    violations = Axe().run(page).response["violations"]
    assert [v["id"] for v in violations if v["id"] not in PAGE_RULES] == []
    if width < 700:
        small = """[...document.querySelectorAll('#viewer :is(button, select, input)')]
            .filter(part => part.checkVisibility() && part.offsetHeight < 44)
            .map(part => part.outerHTML)"""
        assert page.evaluate(small) == []
    page.close()
