"""Runs beside the one in view: Compare and Ablate, over an engine without a model."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from app_page import (
    PATIENCE_MILLIS,
    ask,
    evaluate_in,
    expect_phase,
    resize,
    rev,
    scene,
    slider,
    wait_for_state,
)
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser


@pytest.fixture
def studio(use: Page) -> Page:
    return use


def panel(page: Page, name: str) -> Locator:
    page.get_by_role("tab", name=name).click()
    return page.get_by_role("tabpanel", name=name)


def expect_note(place: Locator, text: str) -> None:
    expect(place.locator(".beside-note")).to_contain_text(text, timeout=PATIENCE_MILLIS)


def test_a_rule_is_compared_and_the_player_shows_the_differences(studio: Page) -> None:
    before, place = rev(studio), panel(studio, "Compare")
    place.get_by_label("Compare with").select_option("uniform")
    place.get_by_role("button", name="Compare").click()
    expect_note(place, "The answers differ where they are underlined.")
    expect(place.get_by_role("region", name="Answer, AdaSpark").locator("mark")).to_have_text(
        " red"
    )
    expect(place.get_by_role("region", name="Answer, Even").locator("mark")).to_have_text(" blue")
    cells = place.get_by_role("row", name="Prefill, measured").get_by_role("cell")
    for cell in cells.all():  # a time of another visit is not set beside one of this
        expect(cell).to_contain_text("not compared: one of the runs was recorded on another visit")
    expect(studio.get_by_role("button", name="Difference")).to_be_visible()
    assert rev(studio) == before and scene(studio)["mode"] == "difference"


def test_against_dense_the_player_shows_the_attention_that_was_dropped(studio: Page) -> None:
    place = panel(studio, "Compare")
    place.get_by_label("Compare with").select_option("dense")
    place.get_by_role("button", name="Compare").click()
    studio.wait_for_function("adaspark.scene().dropped", timeout=PATIENCE_MILLIS)
    told = scene(studio)
    held = told["dropped"]["held"][told["layer"]]
    assert 0 < held < 1 and sum(told["dropped"]["rows"][told["layer"]]) == pytest.approx(
        1 - held, abs=0.01
    )
    sentence = studio.locator("#viewer .sentence")
    expect(sentence).to_contain_text(f"keeps {round(100 * held)} % of dense attention")
    expect(sentence).to_contain_text("measured in the dense run")
    expect(place.locator(".beside-held")).to_contain_text("of dense attention to the video")
    for name in ("Cubes", "Dropped"):
        choice = studio.locator("#viewer .legend-row").get_by_role("button", name=name, exact=True)
        choice.click()
        expect(choice).to_have_attribute("aria-pressed", "true")
        assert bool(scene(studio)["dropped"]) == (name == "Dropped")
    studio.locator("#viewer").get_by_role("button", name="Video", exact=True).click()
    expect(sentence).to_contain_text("choose the question, the answer or a word")


@pytest.mark.long
def test_fewer_frames_have_no_picture_to_compare(studio: Page) -> None:
    place = panel(studio, "Compare")
    place.get_by_label("Compare with").select_option("frames")
    place.get_by_role("button", name="Compare").click()
    expect_note(place, "Both answers are the same. Their slices differ")
    expect(studio.get_by_role("button", name="Difference")).to_be_hidden()


@pytest.mark.long
def test_pruned_tokens_are_counted_named_and_drawn_where_they_stood(studio: Page) -> None:
    place = panel(studio, "Compare")
    place.get_by_label("Compare with").select_option("prune")
    place.get_by_role("button", name="Compare").click()
    expect_note(place, "Both answers are the same.")
    expect(place.get_by_text("Token pruning shows the language model")).to_contain_text(
        "gone for every layer"
    )
    expect(place.get_by_role("row", name="Visual tokens")).to_contain_text(" of ")
    expect(place.get_by_role("columnheader", name="Pruned to")).to_be_visible()
    studio.wait_for_function("adaspark.scene().mode === 'difference'")


def test_a_pinned_run_is_compared_with_each_run_that_follows(studio: Page) -> None:
    first = rev(studio)
    place = panel(studio, "Compare")
    place.get_by_role("button", name="Pin this run").click()
    expect(place.get_by_text("Pinned: Top-p 0.9 and 0.7, cubes 2 x 2 x 2")).to_be_visible()
    for step, top_p in enumerate(("0.89", "0.88"), start=1):
        slider(studio, "Top-p attention").press("ArrowLeft")
        wait_for_state(studio, "ready", after_rev=first + step - 1)
        label = f"Answer, p {top_p} and 0.7, cubes 2 x 2 x 2"
        expect(place.get_by_role("region", name=label)).to_be_visible(timeout=PATIENCE_MILLIS)
        studio.wait_for_function("adaspark.scene().mode === 'difference'")  # the scene is fetched
        assert scene(studio)["compared_with"] == "p 0.9 and 0.7, cubes 2 x 2 x 2"
    place.get_by_role("button", name="Let the pinned run go").click()
    expect(studio.get_by_role("button", name="Difference")).to_be_hidden()
    slider(studio, "Top-p attention").press("ArrowLeft")
    wait_for_state(studio, "ready", after_rev=first + 2)
    expect(place.get_by_role("table")).to_have_count(0)


@pytest.mark.long
def test_another_video_lets_the_pinned_run_go(studio: Page) -> None:
    first = rev(studio)
    place = panel(studio, "Compare")
    place.get_by_role("button", name="Pin this run").click()
    studio.get_by_role("button", name="Tall").click()
    expect(place.get_by_role("button", name="Pin this run")).to_be_visible()
    wait_for_state(studio, "ready", after_rev=first)
    expect(place.locator(".beside-note")).to_be_empty()


CUT = """row => [...row.children, row]
  .filter((each) => !each.hidden)
  .some((each) => each.scrollHeight > each.clientHeight + 1
    || each.getBoundingClientRect().bottom > row.getBoundingClientRect().bottom + 1)"""
"""Whether some of the legend is cut off."""


@pytest.mark.long
def test_the_legend_of_a_difference_is_read_whole_at_any_width(studio: Page) -> None:
    place = panel(studio, "Compare")
    place.get_by_label("Compare with").select_option("dense")
    place.get_by_role("button", name="Compare").click()
    studio.wait_for_function("adaspark.scene().dropped", timeout=PATIENCE_MILLIS)
    row = studio.locator("#viewer .legend-row")
    for width in (360, 390, 768, 1024, 1366, 1920):
        resize(studio, width)
        for name in ("Dropped", "Cubes", "FFN tokens"):
            row.get_by_role("button", name=name, exact=True).click()
            assert not row.evaluate(CUT), (width, name)
    resize(studio, 1440)


@pytest.mark.long
def test_the_film_of_a_difference_is_saved(studio: Page, tmp_path: Path) -> None:
    place = panel(studio, "Compare")
    place.get_by_role("button", name="Compare").click()
    expect_note(place, "Both answers are the same.")
    choices = studio.locator("#viewer .legend-row")
    choices.get_by_role("button", name="Cubes", exact=True).click()
    studio.get_by_role("button", name="Export", exact=True).click()
    with studio.expect_download() as caught:
        studio.get_by_role("button", name="Film with the overlay (MP4)").click()
    assert "difference" in caught.value.suggested_filename
    legend = choices.locator(".legend")
    assert legend.evaluate("(all) => all.scrollHeight <= all.clientHeight")
    studio.get_by_role("button", name="Film with the overlay (GIF)").click()
    expect(studio.get_by_text("A difference is filmed as MP4 alone.")).to_be_visible()
    caught.value.save_as(tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 24


@pytest.mark.long
def test_a_new_answer_clears_the_comparison(studio: Page) -> None:
    first = rev(studio)
    place = panel(studio, "Compare")
    place.get_by_role("button", name="Compare").click()
    expect_note(place, "Both answers are the same.")
    ask(studio, "what now?")
    wait_for_state(studio, "ready", after_rev=first)
    expect(place.locator(".beside-note")).to_be_empty()
    expect(place.get_by_role("table")).to_have_count(0)
    expect(studio.get_by_role("button", name="Difference")).to_be_hidden()


@pytest.mark.long
@pytest.mark.parametrize("by", ["another video", "a dial"])
def test_a_comparison_that_another_run_ends_says_so(studio: Page, by: str) -> None:
    before, stop = rev(studio), studio.get_by_role("button", name="Stop", exact=True)
    ask(studio, "hold words")  # asked again of the other rule, it runs until it is ended
    expect(studio.locator("#answer")).to_have_text("the", timeout=PATIENCE_MILLIS)
    stop.click()
    wait_for_state(studio, "ready", after_rev=before)
    place, before = panel(studio, "Compare"), rev(studio)
    place.get_by_role("button", name="Compare").click()
    expect_note(place, "layer 4 of 4")
    if by == "a dial":
        slider(studio, "Top-p attention").press("ArrowLeft")
        expect(stop).to_be_enabled()
        expect_phase(studio, "layer 4 of 4")
        stop.click()
    else:
        studio.locator(".picker .card").nth(1).click()
    wait_for_state(studio, "ready", after_rev=before)
    expect_note(place, "Dropped: it was about the run in view before; run it again.")
    before = rev(studio)
    ask(studio, "what now?")  # a comparison that nothing has ended yet is ended by this
    wait_for_state(studio, "ready", after_rev=before)


def test_a_cube_clicked_in_the_player_is_forced_off(studio: Page) -> None:
    place = panel(studio, "Ablate")
    force = place.get_by_role("button", name="Force off")
    expect(force).to_be_disabled()
    evaluate_in(studio, "run.js", "page.viewer().cubes.hold(1)")
    expect(place.get_by_text("Cube 1: slices 0 to 1, rows 0 to 1, columns 2 to 3")).to_be_visible()
    force.click()
    expect_note(place, "Both answers are the same.")
    change = (
        "has a probability of 13.5 % instead of 36.8 %, 0.368 times as much: its log-probability "
        "is \u22122.000 instead of \u22121.000, a change of \u22121.000 nats"
    )
    expect(place.get_by_text(change)).to_be_visible()
    expect(place.get_by_role("region", name="Answer, Cube 1 off")).to_be_visible()


def test_a_region_is_all_that_a_layer_keeps_or_what_is_clicked(studio: Page) -> None:
    place = panel(studio, "Ablate")
    place.get_by_role("button", name="All that it keeps").click()
    shown = scene(studio)
    kept = [i for i, share in enumerate(shown["kept"][shown["layer"]]) if share > 0]
    assert shown["region"] and set(shown["region"]) <= set(kept)
    place.get_by_role("button", name="Clear").click()
    assert scene(studio)["region"] == []
    overlay = studio.locator("#viewer canvas.overlay")
    overlay.scroll_into_view_if_needed()
    box = overlay.bounding_box()
    assert box
    for corner in (0.1, 0.9):
        at = {"x": corner * box["width"], "y": corner * box["height"]}
        overlay.click(position=at, modifiers=["Shift"], force=True)  # type: ignore[arg-type]
    region = scene(studio)["region"]
    assert len(region) == 2
    expect(place.get_by_text(f"Region: 2 cubes ({region[0]}, {region[1]})")).to_be_visible()
    place.get_by_role("button", name="Force off").click()
    expect(place.get_by_role("region", name="Answer, 2 cubes off")).to_be_visible()
    expect(place.get_by_text("0.135 times as much")).to_be_visible()
