"""Words and cubes both ways, the cube stack, and panels that follow each other's selection."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from trace_factory import make_trace
from viewer_page import compare, cube_middles, open_viewer, show, snapshot

from adaspark.trace.trace import Trace

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(
        grids=((8, 6, 10),), cube=(2, 4, 4), layers=4, answer=(" red", " and", " red")
    )


def selections(page: Page) -> list[dict[str, Any]]:
    """What `adaspark:select` has said since this was first called."""
    heard: list[dict[str, Any]] = page.evaluate("""() => {
        if (!window.heard) {
            window.heard = [];
            addEventListener('adaspark:select', ({detail}) => heard.push(detail));
        }
        return heard;
    }""")
    return heard


def in_sight(page: Page) -> dict[int, tuple[float, float]]:
    """The cubes that the stack shows, each with a place on the page where one can point at it."""
    found: dict[str, list[float]] = page.evaluate("""() => {
        const canvas = document.querySelector('#viewer .stack'), found = {};
        const box = canvas.getBoundingClientRect();
        for (let y = box.top + 2; y < box.bottom; y += 3) {
            for (let x = box.left + 2; x < box.right; x += 3) {
                const at = {clientX: x, clientY: y, pointerId: 1};
                canvas.dispatchEvent(new PointerEvent('pointermove', at));
                if (viewer.view.hovered !== null) found[viewer.view.hovered] ??= [x, y];
            }
        }
        canvas.dispatchEvent(new PointerEvent('pointerleave', {pointerId: 1}));
        return found;
    }""")
    return {int(cube): (place[0], place[1]) for cube, place in found.items()}


def test_a_held_cube_lists_the_words_layers_and_heads_that_used_it(
    page: Page, trace: Trace
) -> None:
    show(page, trace)
    cube = cube_middles(trace, 0)[0][-1]
    page.evaluate("cube => viewer.set({layer: 2, pinned: cube})", cube)
    mask = trace.word_mask()[..., cube]  # [L, W, H]
    rows = {w: w - (word.kind == "answer") for w, word in enumerate(trace.words)}
    mask = mask[:, [rows[w] for w in range(len(rows))]]  # of the queries that stand for the words
    users = [w for w in range(1, len(trace.words)) if mask[:, w].any()]
    table = page.get_by_role("table", name=f"Words that chose cube {cube}")
    expect(table.locator("tbody tr")).to_have_count(len(users))
    order = sorted(users, key=lambda w: -mask[:, w].mean(1).sum())
    totals = []
    for row in table.locator("tbody tr").all():
        word, layers, heads, share = row.locator("th, td").all_text_contents()
        match = next(w for w in order if trace.words[w].text.strip() == word.split(" ")[0])
        order.remove(match)
        totals.append(mask[:, match].mean(1).sum())
        assert numbers(layers) == np.flatnonzero(mask[:, match].any(1)).tolist()
        assert numbers(heads.split(" (")[0]) == np.flatnonzero(mask[2, match]).tolist()
        assert share == f"{100 * mask[2, match].mean():.0f} %"
    assert totals == sorted(totals, reverse=True)


def test_a_held_cube_shows_the_tokens_inside_it(page: Page, trace: Trace) -> None:
    show(page, trace)
    cube = cube_middles(trace, 0)[0][-1]
    page.evaluate("cube => viewer.set({layer: 2, pinned: cube})", cube)
    inside = np.flatnonzero(trace.cube_from_token == cube)
    kept = trace.ffn_mask()[2, inside]
    above = trace.ffn_importance[2, inside].astype(float) * len(inside)
    heading = page.locator("#viewer .inspector h3")
    expect(heading).to_have_text(
        f"Tokens that pass through the FFN in layer 2: {kept.sum()} of {len(inside)}"
    )
    cells = page.locator("#viewer .tokens tbody td").all()
    assert [cell.get_attribute("class") == "passes" for cell in cells] == kept.tolist()
    for cell, importance in zip(cells, above, strict=True):
        text = str(cell.text_content())
        if not text.startswith("≥"):  # past the robust range
            shown = 1.0 if text == "≤ 1" else float(text)
            assert shown == pytest.approx(max(importance, 1), abs=0.02)
    page.evaluate("viewer.set({layer: 3})")
    expect(heading).to_contain_text(f"in layer 3: {trace.ffn_mask()[3, inside].sum()} of")


def test_words_in_pieces_say_like_others_who_chose_a_cube(page: Page) -> None:
    pieces = (" What", " is", " being", " co", "oked", "?")
    trace = make_trace(grids=((8, 6, 10),), cube=(2, 4, 4), layers=4, question=pieces)
    show(page, trace)
    page.evaluate("cube => viewer.set({pinned: cube})", cube_middles(trace, 0)[0][-1])
    expect(page.locator("#viewer .inspector h3").first).to_be_visible()
    toggle, words = page.get_by_role("button", name="Pieces"), page.locator("#viewer .word")
    toggle.click()
    words.filter(has_text="oked").click()
    expect(words.filter(has_text="oked")).to_have_attribute("aria-pressed", "true")
    expect(toggle).to_have_attribute("aria-pressed", "true")
    toggle.click()
    expect(words.filter(has_text="cooked")).to_have_attribute("aria-pressed", "true")


def numbers(text: str) -> list[int]:
    """[0, 2, 3] of "0, 2-3"; none of "none"."""
    found: list[int] = []
    for part in text.split(", ") if text != "none" else []:
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def test_every_button_of_the_transport_has_a_drawing_of_its_own(page: Page, trace: Trace) -> None:
    show(page, trace)
    shape = "(n) => getComputedStyle(n, '::before').clipPath"
    play = page.get_by_role("button", name="Play", exact=True)
    others = [page.get_by_role("button", name=f"{which} slice") for which in ("Previous", "Next")]
    shapes = [button.evaluate(shape) for button in (play, *others)]
    play.click()
    shapes.append(page.get_by_role("button", name="Pause", exact=True).evaluate(shape))
    assert all(found.startswith("polygon") for found in shapes)
    assert len(set(shapes)) == len(shapes)


def test_a_held_word_lists_when_its_cubes_are_and_goes_there(page: Page, trace: Trace) -> None:
    show(page, trace)
    page.evaluate("viewer.set({layer: 3})")
    page.get_by_role("button", name="circle", exact=True).click()
    drawn = snapshot(page)
    kept = [
        c
        for c, share in zip(drawn["cubes"], drawn["kept"][3], strict=True)
        if share > 0 and share >= drawn["threshold"] - 0.002
    ]
    slabs = sorted({c["t0"] for c in kept})
    times = page.locator("#viewer .time")
    expect(times).to_have_count(len(slabs))
    times.last.click()
    expect(page.locator("#viewer")).to_have_attribute("data-slice", str(slabs[-1]))
    page.get_by_role("button", name="Let go").click()
    expect(page.locator("#viewer .inspector")).to_be_hidden()
    assert snapshot(page)["query"] == {"kind": "question"}


def test_pointing_at_a_word_shows_its_cubes_only_while_it_lasts(page: Page, trace: Trace) -> None:
    show(page, trace)
    page.evaluate("viewer.set({layer: 3})")
    before = snapshot(page)["kept"][3]
    page.locator("#viewer .word").last.hover()
    assert snapshot(page)["kept"][3] == pytest.approx(trace.word_mask()[3, -2].mean(0), abs=1e-6)
    assert snapshot(page)["query"] == {"kind": "question"}
    page.locator("#viewer .facts").first.hover()
    assert snapshot(page)["kept"][3] == before


def test_the_selection_is_said_once_and_obeyed_when_another_says_it(
    page: Page, trace: Trace
) -> None:
    show(page, trace)
    selections(page)
    page.evaluate("viewer.goTo(4, {layer: 2})")
    page.evaluate("viewer.set({pinned: 9}); viewer.draw()")
    page.locator("#viewer .word").last.click()
    word = len(trace.words) - 1
    said = {"layer": 2, "head": None, "slice": 4, "cube": 9, "word": word}
    assert selections(page)[-1] == said
    assert len(selections(page)) == 3
    page.evaluate("""() => dispatchEvent(new CustomEvent('adaspark:select',
        {detail: {layer: 1, head: 3, slice: 6, cube: 20, word: null}}))""")
    drawn = snapshot(page)
    names = ("layer", "head", "slice", "pinned", "query")
    assert [drawn[name] for name in names] == [1, 3, 6, 20, {"kind": "answer"}]


def test_a_click_in_the_stack_holds_the_cube_and_goes_to_its_time(page: Page, trace: Trace) -> None:
    show(page, trace)
    page.evaluate("viewer.set({threshold: 0.01, layer: 1})")
    places = in_sight(page)
    cube = max(places)
    assert trace.bounds[cube, 1] > 0
    page.mouse.click(*places[cube])
    drawn = snapshot(page)
    assert (drawn["pinned"], drawn["slice"]) == (cube, trace.bounds[cube, 1])


def test_the_stack_turns_by_drag_and_by_keys_and_not_the_layer(page: Page, trace: Trace) -> None:
    show(page, trace)
    stack = page.locator("#viewer .stack")
    picture = "document.querySelector('#viewer .stack').toDataURL()"
    pictures = [page.evaluate(picture)]
    stack.focus()
    for key in ("ArrowLeft", "ArrowUp"):
        stack.press(key)
        pictures.append(page.evaluate(picture))
    box = stack.bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 120)
    page.mouse.up()
    pictures.append(page.evaluate(picture))
    assert len(set(pictures)) == 4
    assert snapshot(page)["layer"] == 0 and snapshot(page)["pinned"] is None
    stack.press("Home")
    page.mouse.move(0, 0)
    assert page.evaluate(picture) == pictures[0]


def test_the_stack_draws_kept_cubes_and_no_others(page: Page, trace: Trace) -> None:
    show(page, trace)
    page.evaluate("viewer.goTo(0, {threshold: 0.5, layer: 3})")
    drawn = snapshot(page)
    shown = set(in_sight(page))
    kept = {c for c, share in enumerate(drawn["kept"][3]) if share >= 0.5 - 0.002}
    current = set(cube_middles(trace, 0)[0])
    assert current <= shown <= kept | current
    assert len(shown & (kept - current)) >= 0.5 * len(kept - current) > 0


def test_the_stack_is_off_on_a_phone_until_it_is_asked_for(chromium: Browser) -> None:
    page = open_viewer(chromium, width=390)
    show(page, make_trace(layers=2))
    expect(page.locator("#viewer .stack")).to_be_hidden()
    page.get_by_role("button", name="3-D cube stack").click()
    expect(page.locator("#viewer .stack")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


@pytest.mark.long
def test_every_state_of_the_viewer_passes_axe(chromium: Browser, trace: Trace) -> None:
    page = open_viewer(chromium, reduced_motion="reduce")
    show(page, trace)
    compare(page, make_trace(grids=((8, 6, 10),), cube=(2, 4, 4), layers=4, seed=2))
    for state in (
        "viewer.set({pinned: 3})",
        "viewer.pickWord(2), viewer.set({pinned: null, mode: 'heat'})",
        "viewer.set({mode: 'difference', compared: 'ffn'})",
        "viewer.preview({attn_top_p: 0.5, ffn_top_p: 0.5}), viewer.setState('stale')",
    ):
        for theme in ("remove", "add"):
            page.evaluate(f"{state}; document.body.classList.{theme}('dark')")
            violations = Axe().run(page).response["violations"]
            names = [v["id"] for v in violations if v["id"] != "page-has-heading-one"]
            assert names == [], [n["html"] for v in violations for n in v["nodes"]]
    page.close()


def test_keys_hold_cubes_of_the_slice_one_after_the_other(page: Page, trace: Trace) -> None:
    show(page, trace)
    cubes = cube_middles(trace, 0)[0]
    page.locator("#viewer").focus()
    for key, expected in (("n", cubes[0]), ("n", cubes[1]), ("p", cubes[0]), ("p", cubes[-1])):
        page.keyboard.press(key)
        assert snapshot(page)["pinned"] == expected
    page.keyboard.press("Escape")
    assert snapshot(page)["pinned"] is None
    page.locator("#viewer .lanes").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    drawn = snapshot(page)
    assert (drawn["slice"], drawn["layer"]) == (1, 1)


@pytest.mark.parametrize("panel", ["overlay", "lanes", "stack"])
def test_a_panel_leaves_as_png_and_as_svg(page: Page, trace: Trace, panel: str) -> None:
    show(page, trace)
    saved = page.evaluate(
        """async panel => {
            const blobs = [await viewer.picture('png', panel), await viewer.picture('svg', panel)];
            const image = new Image();
            image.src = URL.createObjectURL(blobs[1]);
            await image.decode();
            const canvas = Object.assign(document.createElement('canvas'),
                {width: image.naturalWidth, height: image.naturalHeight});
            canvas.getContext('2d').drawImage(image, 0, 0);
            const bytes = new Uint8Array(await blobs[0].arrayBuffer());
            return [btoa(String.fromCharCode(...bytes.subarray(0, 200000))), canvas.toDataURL()];
        }""",
        panel,
    )
    drawn, vector = (picture(text.split(",")[-1]) for text in saved)
    assert drawn.shape == vector.shape
    opaque = drawn[..., 3] == 255
    difference = np.abs(drawn[..., :3].astype(int) - vector[..., :3]).max(-1)
    assert (difference[opaque] > 40).mean() < 0.05


def picture(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGBA"))


def test_pointing_at_a_cube_outlines_it_and_leaves_nothing_behind(page: Page, trace: Trace) -> None:
    show(page, trace)
    drawn = "document.querySelector('#viewer canvas.overlay').toDataURL()"
    before = page.evaluate(drawn)
    page.locator("#viewer .stage").hover()
    assert page.evaluate(drawn) != before
    page.mouse.move(0, 0)
    assert page.evaluate(drawn) == before
    assert snapshot(page)["pinned"] is None
