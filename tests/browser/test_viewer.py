"""The viewer in a real Chromium: what is drawn is what the trace holds, and every control works."""

from __future__ import annotations

import numpy as np
import pytest
from page_types import has_keys_of
from playwright.sync_api import Page, expect
from trace_factory import make_trace
from viewer_page import alphas_at, cube_middles, press, show, snapshot, surely_kept

from adaspark.trace.meta import Part
from adaspark.trace.trace import Trace
from viz.data.statistics import TraceView

pytestmark = pytest.mark.browser
NASTY = "<img src=x onerror=alert(1)>${alert(1)}`{{alert(1)}}"


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(
        grids=((8, 6, 10),), cube=(2, 4, 4), layers=4, answer=(" red", " and", " red")
    )


def clear_cubes(page: Page, trace: Trace, slice_: int) -> dict[int, bool]:
    """Whether the overlay leaves the middle of each cube of the slice clear."""
    cubes, places = cube_middles(trace, slice_)
    return {c: a == 0 for c, a in zip(cubes, alphas_at(page, places), strict=True)}


def test_empty_says_what_to_do(page: Page) -> None:
    viewer = page.locator("#viewer")
    expect(viewer).to_have_attribute("data-state", "empty")
    expect(viewer).to_have_attribute("data-rev", "0")
    expect(viewer).to_contain_text("Choose a video and ask a question")
    assert page.evaluate("adaspark.scene()") is None


def test_a_newly_chosen_video_is_shown_without_the_last_runs_cubes(
    page: Page, trace: Trace
) -> None:
    show(page, trace, rev=3)
    page.evaluate("viewer.open(null)")
    expect(page.locator("#viewer")).to_have_attribute("data-state", "empty")
    assert page.evaluate("adaspark.scene()") is None
    assert max(alphas_at(page, cube_middles(trace, 0)[1], grid=(6, 10))) == 0
    expect(page.locator("#viewer .lanes")).to_be_hidden()
    expect(page.locator("#viewer .word")).to_have_count(0)


@pytest.mark.parametrize("kind", ["Video", "Question", "Answer"])
def test_spotlight_dims_exactly_the_dropped_cubes(page: Page, trace: Trace, kind: str) -> None:
    show(page, trace)
    press(page, kind)
    share = TraceView(trace).kept(kind.lower())
    for layer, slice_ in ((0, 0), (3, 5)):
        page.evaluate("([layer, slice]) => viewer.goTo(slice, {layer})", [layer, slice_])
        clear, kept = clear_cubes(page, trace, slice_), surely_kept(share[layer])
        assert set(kept.values()) == {True, False}
        assert {c: clear[c] for c in clear if c in kept} == {c: kept[c] for c in clear if c in kept}


def test_the_snapshot_is_what_the_trace_kept_and_cannot_be_changed(
    page: Page, trace: Trace
) -> None:
    show(page, trace, rev=7)
    drawn = snapshot(page)
    assert (drawn["rev"], drawn["state"], drawn["grid"]) == (7, "ready", [8, 6, 10])
    assert np.abs(np.array(drawn["kept"]) - TraceView(trace).kept("question")).max() <= 1 / 255
    bounds = [[c[k] for k in ("video", "t0", "t1", "r0", "r1", "c0", "c1")] for c in drawn["cubes"]]
    assert bounds == trace.bounds.tolist()
    assert drawn["ffn_mask"] == trace.ffn_mask()[0].tolist()
    assert [word["text"] for word in drawn["words"]][-3:] == [" red", " and", " red"]
    page.evaluate("adaspark.scene().kept[0][0] = 9; adaspark.scene().words.length = 0")
    assert snapshot(page) == drawn and has_keys_of("Snapshot", drawn)


def test_window_has_one_object_more_and_nobody_can_change_it(page: Page, trace: Trace) -> None:
    show(page, trace)
    added = page.evaluate("""() => {
        const frame = document.body.appendChild(document.createElement("iframe"));
        const usual = new Set(Object.getOwnPropertyNames(frame.contentWindow));
        frame.remove();
        return Object.getOwnPropertyNames(window).filter((name) => !usual.has(name));
    }""")
    ours = {"viewer", "asked"}  # of viewer_page.py
    driver = {name for name in added if name.startswith("__pw")}
    assert set(added) - ours - driver == {"adaspark"}
    page.evaluate("""() => {
        window.adaspark = null;
        adaspark.scene = null;
        delete window.adaspark;
    }""")
    assert snapshot(page)["state"] == "ready"


def test_layer_slider_changes_the_layer_drawn(page: Page, trace: Trace) -> None:
    show(page, trace)
    slider = page.get_by_role("slider", name="Layer", exact=True)
    slider.focus()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    expect(page.locator("#viewer")).to_have_attribute("data-layer", "2")
    assert snapshot(page)["ffn_mask"] == trace.ffn_mask()[2].tolist()
    expect(page.locator("#viewer [aria-live]")).to_contain_text("Layer 2, slice 0, 0.00-0.13 s")


def test_ffn_hatches_exactly_the_tokens_that_skip(page: Page, trace: Trace) -> None:
    show(page, trace)
    press(page, "FFN")
    page.evaluate("viewer.goTo(3, {layer: 1})")
    mask = trace.ffn_mask()[1].reshape(8, 6, 10)[3]
    alphas = alphas_at(page, [(row + 0.5, column + 0.5) for row, column in np.ndindex(6, 10)])
    assert ((np.array(alphas) == 0).reshape(6, 10) == mask).all()


def test_heat_tints_all_and_outline_leaves_middles_clear(page: Page, trace: Trace) -> None:
    show(page, trace)
    press(page, "Heat")
    fills = alphas_at(page, cube_middles(trace, 0)[1])
    assert min(fills) > 0 and max(fills) < 100  # the picture stays to be seen
    press(page, "Outline")
    assert all(clear_cubes(page, trace, 0).values())


def test_threshold_says_from_when_a_cube_counts_as_kept(page: Page, trace: Trace) -> None:
    show(page, trace)
    share = TraceView(trace).kept("question")[0]
    for threshold in (0.25, 0.9):
        page.evaluate("threshold => viewer.set({threshold})", threshold)
        clear = clear_cubes(page, trace, 0)
        sure = [cube for cube in clear if abs(share[cube] - threshold) > 0.01]
        assert [clear[cube] for cube in sure] == [share[cube] > threshold for cube in sure]


def test_auto_goes_back_to_the_layers_average_and_dense_keeps_all(page: Page) -> None:
    show(page, make_trace(grids=((8, 6, 10),), layers=2, attn_top_p=1.0))
    for kind in ("Video", "Question", "Answer"):
        press(page, kind)
        assert min(alphas_at(page, cube_middles(make_trace(grids=((8, 6, 10),)), 0)[1])) == 0
        expect(page.locator("#viewer .facts").nth(1)).to_contain_text("6 of 6 cubes kept")
    page.evaluate("viewer.set({threshold: 1})")
    press(page, "Kept from the layer's average")
    assert snapshot(page)["threshold"] == 0.5


def test_a_word_shows_its_own_cubes_though_its_text_repeats(page: Page, trace: Trace) -> None:
    show(page, trace)
    page.evaluate("viewer.set({layer: 3})")
    last = [i for i, word in enumerate(trace.words) if word.text == " red"]
    masks = trace.word_mask()
    for place, index in enumerate(last):
        page.get_by_role("button", name="red", exact=True).nth(place).click()
        expected = masks[3, index - 1].mean(0)  # the query that produced it
        assert np.abs(np.array(snapshot(page)["kept"][3]) - expected).max() <= 1 / 255
        clear, kept = clear_cubes(page, trace, 0), surely_kept(expected)
        assert {c: clear[c] for c in clear if c in kept} == {c: kept[c] for c in clear if c in kept}
    assert (masks[3, last[0] - 1] != masks[3, last[1] - 1]).any()
    page.keyboard.press("Escape")
    assert snapshot(page)["query"] == {"kind": "answer"}


def test_parts_of_a_character_are_words_of_their_own(page: Page) -> None:
    trace = make_trace(layers=2, answer=("日", "", "."))
    for number, word in enumerate(trace.words[-3:-1], start=1):
        word.part = Part(number, 2, "日")
    show(page, trace)
    first, second, stop = page.locator("#viewer .word").all()[-3:]
    assert [chip.inner_text() for chip in (first, second, stop)] == ["日", "\u00b7", "."]
    expect(first).not_to_have_class("word minor")
    expect(second).to_have_accessible_name("日 (part 2 of 2)")
    expect(second).to_have_attribute("title", "日 (part 2 of 2)")
    second.click()
    expect(page.locator("#viewer .inspector h2")).to_contain_text("“日 (part 2 of 2)” keeps")
    assert snapshot(page)["query"]["word"] == int(second.get_attribute("data-position") or -1)


def test_a_clicked_cube_marks_the_words_that_chose_it(page: Page, trace: Trace) -> None:
    show(page, trace)
    box = page.locator("#viewer canvas.overlay").bounding_box()
    assert box
    page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + 0.95 * box["height"])
    pinned = snapshot(page)["pinned"]
    assert pinned == cube_middles(trace, 0)[0][-1]
    expect(page.locator("#viewer .facts").nth(1)).to_contain_text(
        f"Cube {pinned} (slices 0-1, 0.00-0.38 s, rows 4-5, columns 8-9)"
    )
    chose = trace.word_mask()[0, :, :, pinned].any(1)
    for button in page.locator("#viewer .word").all():
        index = int(button.get_attribute("data-index") or -1)
        row = index - (trace.words[index].kind == "answer")
        assert ("used" in (button.get_attribute("class") or "").split()) == chose[row]


def test_facts_say_which_frames_and_sizes(page: Page, trace: Trace) -> None:
    show(page, trace)
    page.evaluate("viewer.goTo(6)")
    expect(page.locator("#viewer .facts").first).to_have_text(
        "slice 6 = frames 12-13, 1.50-1.63 s; 1280 x 720 shown to the model as 280 x 168"
    )


def test_keys_work_only_while_the_viewer_has_focus(page: Page, trace: Trace) -> None:
    show(page, trace)
    page.keyboard.press("ArrowRight")
    assert snapshot(page)["slice"] == 0
    page.locator("#viewer").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowUp", "o"):
        page.keyboard.press(key)
    drawn = snapshot(page)
    assert (drawn["slice"], drawn["layer"], drawn["mode"]) == (1, 1, "outline")
    page.keyboard.press("?")
    expect(page.get_by_text("these keys")).to_be_visible()


def test_a_late_result_is_dropped_and_a_new_one_keeps_the_view(page: Page, trace: Trace) -> None:
    show(page, trace, rev=4)
    page.evaluate("viewer.goTo(5, {layer: 2, mode: 'heat'})")
    show(page, make_trace(layers=1), rev=3)
    assert snapshot(page)["rev"] == 4 and len(snapshot(page)["kept"]) == 4
    page.evaluate("viewer.setState('stale')")
    expect(page.locator("#viewer .ribbon")).to_contain_text("Settings changed")
    assert snapshot(page)["state"] == "stale"
    show(page, make_trace(grids=((8, 6, 10),), layers=4, seed=1), rev=5)
    drawn = snapshot(page)
    assert (drawn["rev"], drawn["layer"], drawn["slice"], drawn["mode"]) == (5, 2, 5, "heat")
    expect(page.locator("#viewer .ribbon")).to_be_hidden()
