"""Heads, previews and differences: what is drawn is what the recorded probabilities say."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from trace_factory import asking, make_layered_trace, make_trace, nucleus, pruned_trace
from viewer_page import compare, cube_middles, pixels_at, show, snapshot, surely_kept

from adaspark.trace.trace import Trace
from viz.data.statistics import TraceView

pytestmark = pytest.mark.browser
SHAPE: dict[str, Any] = {"grids": ((8, 6, 10),), "cube": (2, 4, 4), "layers": 4}


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(**SHAPE, answer=(" red", " and", " red"))


def preview(page: Page, attn: float, ffn: float) -> None:
    settings = {"attn_top_p": attn, "ffn_top_p": ffn}
    page.evaluate("settings => viewer.preview(settings)", settings)


@pytest.mark.parametrize("on_demand", [False, True], ids=["at once", "on demand"])
def test_a_head_shows_what_it_alone_chose(page: Page, trace: Trace, on_demand: bool) -> None:
    show(page, trace, on_demand=on_demand)
    page.get_by_label("Head", exact=True).select_option("2")
    page.wait_for_function("viewer.data.choices.details.layers[0] !== null")
    mask = trace.word_mask()
    expected = mask[0, asking(trace, "question"), 2].mean(0)
    assert snapshot(page)["kept"][0] == pytest.approx(expected, abs=1e-6)
    page.locator("#viewer .word").last.click()
    assert snapshot(page)["kept"][0] == mask[0, -2, 2].astype(float).tolist()  # what produced it
    page.get_by_role("button", name="After it was said", exact=True).click()
    assert snapshot(page)["kept"][0] == mask[0, -1, 2].astype(float).tolist()
    expect(page.locator("#viewer")).to_have_attribute("data-head", "2")
    page.get_by_role("button", name="Video", exact=True).click()
    expect(page.get_by_label("Head", exact=True)).to_be_disabled()


def test_a_head_shows_its_choice_at_its_layers_own_threshold(page: Page) -> None:
    trace = make_layered_trace([(0.9, 0.7), (0.3, 0.5)], grids=SHAPE["grids"], cube=SHAPE["cube"])
    show(page, trace, on_demand=True)
    page.evaluate("viewer.goTo(0, {layer: 1})")
    page.get_by_label("Head", exact=True).select_option("2")
    page.wait_for_function("viewer.data.choices.details.layers[1] !== null")
    expected = trace.word_mask()[1, asking(trace, "question"), 2].mean(0)
    assert snapshot(page)["kept"][1] == pytest.approx(expected, abs=1e-6)
    assert snapshot(page)["config"]["attn_top_p"] == [0.9, 0.3]
    assert snapshot(page)["ffn_mask"] == trace.ffn_mask()[1].tolist()
    page.evaluate("viewer.preview({attn_top_p: 0.9, ffn_top_p: 0.7})")
    assert snapshot(page)["kept"][1] != pytest.approx(expected, abs=1e-6)


def test_a_layer_is_asked_for_once_and_only_when_it_is_wanted(page: Page, trace: Trace) -> None:
    show(page, trace, on_demand=True)
    page.evaluate("viewer.set({layer: 2})")
    assert page.evaluate("asked") == []
    page.locator("#viewer").press("h")
    page.wait_for_function("asked.length === 3")
    page.evaluate("viewer.set({layer: 1}); viewer.set({layer: 3})")
    page.wait_for_function("asked.length === 4")
    assert sorted(page.evaluate("asked")) == [0, 1, 2, 3]


@pytest.mark.parametrize("on_demand", [False, True], ids=["at once", "on demand"])
@pytest.mark.parametrize(("attn", "ffn"), [(0.0, 0.0), (0.35, 0.4), (0.8, 0.95), (1.0, 1.0)])
def test_a_preview_is_the_rule_on_the_recorded_probabilities(
    page: Page, trace: Trace, attn: float, ffn: float, on_demand: bool
) -> None:
    show(page, trace, on_demand=on_demand)
    preview(page, attn, ffn)
    page.wait_for_function("viewer.data.choices.details.layers[0] !== null")
    drawn = snapshot(page)
    probs = trace.word_probs.astype(np.float64)
    for kind in ("question", "answer"):
        chosen = nucleus(probs[0, asking(trace, kind)], attn).mean((0, 1))
        assert drawn["kept_by_kind"][kind][0] == pytest.approx(chosen, abs=1e-6)
    assert drawn["kept_by_kind"]["video"][0] == pytest.approx(
        TraceView(trace).kept("video")[0], abs=1 / 255
    )
    importance = trace.ffn_importance.astype(np.float64)[0]
    for cube in range(len(trace.bounds)):
        tokens = np.flatnonzero(trace.cube_from_token == cube)
        passed = nucleus(importance[tokens], max(ffn, 1e-6))
        assert np.array(drawn["ffn_mask"])[tokens].tolist() == passed.tolist()


def test_a_preview_is_marked_until_the_exact_run_arrives(page: Page, trace: Trace) -> None:
    show(page, trace)
    viewer, note = page.locator("#viewer"), page.locator("#viewer .note")
    expect(viewer).to_have_attribute("data-tier", "exact")
    exact = snapshot(page)["kept"]
    preview(page, 0.3, 0.3)
    page.evaluate("viewer.setState('stale')")
    expect(viewer).to_have_attribute("data-tier", "preview")
    expect(page.locator("#viewer .tier")).to_have_text("preview")
    expect(page.locator("#viewer .tier")).to_be_visible()
    expect(page.locator("#viewer .ribbon")).to_contain_text("the exact run follows")
    expect(note).to_contain_text("exact for the first affected layer only")
    assert snapshot(page)["kept"] != exact
    show(page, trace, rev=2)
    expect(viewer).to_have_attribute("data-tier", "exact")
    expect(page.locator("#viewer .tier")).to_have_text("exact")
    page.evaluate("viewer.setState('stale')")
    expect(page.locator("#viewer .tier")).to_be_hidden()
    page.evaluate("viewer.setState('ready')")
    expect(note).to_be_hidden()
    assert snapshot(page)["kept"] == exact
    preview(page, 0.3, 0.3)
    page.evaluate("viewer.preview(null)")
    assert snapshot(page)["kept"] == exact


def test_the_video_tokens_own_choices_stay_as_recorded_and_are_said_to(
    page: Page, trace: Trace
) -> None:
    show(page, trace)
    page.get_by_role("button", name="Video", exact=True).click()
    preview(page, 0.2, 0.2)
    expect(page.locator("#viewer .note")).to_contain_text("the scores of video tokens are not")
    expect(page.locator("#viewer")).to_have_attribute("data-tier", "recorded")


SIDES = {(True, True): "both", (True, False): "a", (False, True): "b", (False, False): "none"}


def side_of(pixel: list[int]) -> str:
    """What a pixel of the overlay in Difference says; hatch lines whiten it, never its hue."""
    red, _, blue, alpha = pixel
    if alpha == 0:
        return "both"
    if max(pixel[:3]) < 40:
        return "none"
    return "a" if blue > red else "b"


def test_difference_colours_what_only_one_keeps(page: Page, trace: Trace) -> None:
    other = make_trace(**SHAPE, seed=5)
    show(page, trace)
    assert compare(page, other, ("first <b>", "second"))
    page.get_by_role("button", name="Difference", exact=True).click()
    seen = set()
    for layer, slice_ in product(range(4), (0, 3, 5, 6)):
        page.evaluate("([layer, slice]) => viewer.goTo(slice, {layer})", [layer, slice_])
        kept = [surely_kept(TraceView(t).kept("question")[layer]) for t in (trace, other)]
        cubes, places = cube_middles(trace, slice_)
        for cube, pixel in zip(cubes, pixels_at(page, places), strict=True):
            if all(cube in sure for sure in kept):
                expected = SIDES[kept[0][cube], kept[1][cube]]
                assert side_of(pixel) == expected
                seen.add(expected)
    assert seen == {"both", "a", "b", "none"}
    expect(page.locator("#viewer .legend")).to_contain_text("only A keeps: first <b>")


def test_difference_of_ffn_tokens_and_of_other_cubes_goes_token_by_token(
    page: Page, trace: Trace
) -> None:
    other = make_trace(**{**SHAPE, "cube": (4, 2, 5)}, ffn_top_p=0.4, seed=4)
    show(page, trace)
    assert compare(page, other)
    page.evaluate("viewer.goTo(3, {layer: 1, mode: 'difference'})")
    places = [(row + 0.5, column + 0.5) for row, column in np.ndindex(6, 10)]
    kept = [surely_kept(TraceView(t).kept("question")[1]) for t in (trace, other)]
    token = np.arange(60) + 3 * 60
    for index, pixel in zip(token, pixels_at(page, places), strict=True):
        cubes = trace.cube_from_token[index], other.cube_from_token[index]
        if cubes[0] in kept[0] and cubes[1] in kept[1]:
            assert side_of(pixel) == SIDES[kept[0][cubes[0]], kept[1][cubes[1]]]
    page.get_by_role("button", name="FFN tokens", exact=True).click()
    masks = [t.ffn_mask()[1][token] for t in (trace, other)]
    for a, b, pixel in zip(*masks, pixels_at(page, places), strict=True):
        assert side_of(pixel) == SIDES[bool(a), bool(b)]


def test_pruned_tokens_are_compared_where_they_stood(page: Page, trace: Trace) -> None:
    kept = np.flatnonzero(np.arange(8 * 60) % 3 == 0)
    show(page, trace)
    assert compare(page, pruned_trace((8, 6, 10), kept.tolist(), layers=4))
    page.evaluate("viewer.goTo(3, {layer: 1, mode: 'difference', compared: 'ffn'})")
    places = [(row + 0.5, column + 0.5) for row, column in np.ndindex(6, 10)]
    tokens = np.arange(60) + 3 * 60
    passed, left = trace.ffn_mask()[1][tokens], np.isin(tokens, kept)
    for a, b, pixel in zip(passed, left, pixels_at(page, places), strict=True):
        assert side_of(pixel) == SIDES[bool(a), bool(b)]
    page.get_by_role("button", name="Cubes", exact=True).click()
    sure = surely_kept(TraceView(trace).kept("question")[1])
    for token, pixel in zip(tokens, pixels_at(page, places), strict=True):
        cube = trace.cube_from_token[token]
        if cube in sure:
            assert side_of(pixel) == SIDES[sure[cube], bool(token in kept)]


def test_videos_of_other_grids_are_not_compared(page: Page, trace: Trace) -> None:
    show(page, trace)
    choice = page.get_by_role("button", name="Difference", exact=True)
    expect(choice).to_be_hidden()
    assert not compare(page, make_trace(grids=((4, 6, 10),), layers=4))
    expect(choice).to_be_hidden()
    assert compare(page, make_trace(**SHAPE))
    choice.click()
    page.evaluate("viewer.setOther(null)")
    expect(page.locator("#viewer")).to_have_attribute("data-mode", "spotlight")
    expect(choice).to_be_hidden()
