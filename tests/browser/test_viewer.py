"""The viewer in a real Chromium: what is drawn is what the trace holds, and every control works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from page_types import has_keys_of
from playwright.sync_api import Browser, Page, expect
from trace_factory import make_trace
from viewer_page import alphas_at, compare, cube_middles, open_viewer, show, snapshot, surely_kept

from adaspark.trace.meta import Meta, Part
from adaspark.trace.trace import Trace
from viz.data.statistics import TraceView
from viz.palette import cividis

pytestmark = pytest.mark.browser
NASTY = "<img src=x onerror=alert(1)>${alert(1)}`{{alert(1)}}"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    page = open_viewer(chromium)
    yield page
    assert page.errors == []  # type: ignore[attr-defined]
    page.close()


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(
        grids=((8, 6, 10),), cube=(2, 4, 4), layers=4, answer=(" red", " and", " red")
    )


def clear_cubes(page: Page, trace: Trace, slice_: int) -> dict[int, bool]:
    """Whether the overlay leaves the middle of each cube of the slice clear."""
    cubes, places = cube_middles(trace, slice_)
    return {c: a == 0 for c, a in zip(cubes, alphas_at(page, places), strict=True)}


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


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


def test_heat_covers_all_and_outline_leaves_middles_clear(page: Page, trace: Trace) -> None:
    show(page, trace)
    press(page, "Heat")
    assert min(alphas_at(page, cube_middles(trace, 0)[1])) > 150
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


def test_stretched_colours_name_their_top(page: Page, trace: Trace) -> None:
    show(page, trace)
    press(page, "Heat")
    kept = TraceView(trace).kept("question")
    expect(page.locator("#viewer .legend")).to_contain_text("0 to 100 %")
    press(page, "Rescale to this layer")
    expect(page.locator("#viewer .legend")).to_contain_text(f"0 to {100 * kept[0].max():.0f} %")
    press(page, "Stretch colours")
    expect(page.locator("#viewer .lane-scale")).to_have_text(f"0{100 * kept.max():.0f} %")


def test_a_word_shows_its_own_cubes_though_its_text_repeats(page: Page, trace: Trace) -> None:
    show(page, trace)
    page.evaluate("viewer.set({layer: 3})")
    last = [i for i, word in enumerate(trace.words) if word.text == " red"]
    masks = trace.word_mask()
    for place, index in enumerate(last):
        page.get_by_role("button", name="red", exact=True).nth(place).click()
        expected = masks[3, index].mean(0)
        assert np.abs(np.array(snapshot(page)["kept"][3]) - expected).max() <= 1 / 255
        clear, kept = clear_cubes(page, trace, 0), surely_kept(expected)
        assert {c: clear[c] for c in clear if c in kept} == {c: kept[c] for c in clear if c in kept}
    assert (masks[3, last[0]] != masks[3, last[1]]).any()
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
        assert ("used" in (button.get_attribute("class") or "").split()) == chose[index]


def test_lanes_go_to_the_layer_and_slice_clicked(page: Page, trace: Trace) -> None:
    show(page, trace)
    box = page.locator("#viewer .lanes").bounding_box()
    assert box
    at = {"x": box["width"] * 6.5 / 8, "y": box["height"] * 1.5 / 4}
    page.locator("#viewer .lanes").click(position=at)  # type: ignore[arg-type]
    expect(page.locator("#viewer")).to_have_attribute("data-slice", "6")
    expect(page.locator("#viewer")).to_have_attribute("data-layer", "2")


def test_lanes_are_coloured_by_the_share_of_each_layer_and_slice(page: Page, trace: Trace) -> None:
    show(page, trace)
    share = TraceView(trace).by_slice(TraceView(trace).kept("question"))
    lanes = page.locator("#viewer .lanes").bounding_box()
    assert lanes
    reading = """([x, y]) => {
        const lanes = document.querySelector('#viewer .lanes');
        const copy = new OffscreenCanvas(lanes.width, lanes.height).getContext('2d');
        copy.drawImage(lanes, 0, 0);
        const at = [x * lanes.width, y * lanes.height].map(Math.floor);
        return [...copy.getImageData(...at, 1, 1).data.slice(0, 3)];
    }"""
    for layer, slice_ in ((1, 2), (3, 7)):
        place = {"x": (slice_ + 0.5) / 8 * lanes["width"], "y": (3.5 - layer) / 4 * lanes["height"]}
        page.locator("#viewer .lanes").hover(position=place)  # type: ignore[arg-type]
        tip = f"Layer {layer}, slice {slice_}: {100 * share[layer, slice_]:.0f} %"
        expect(page.locator("#viewer .lanes")).to_have_attribute("title", tip)
        pixel = page.evaluate(reading, [(slice_ + 0.5) / 8, (3 - layer + 0.4) / 4])
        assert np.abs(np.array(pixel) - cividis(share[layer, slice_]).astype(int)).max() <= 3


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


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 1440])
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


PAGE_RULES = ("page-has-heading-one",)
"""Rules about a whole page, which the bare page around the viewer does not try to keep."""
