"""The dials on the page: preview at once, exact pictures after; budget, presets, what fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from app_page import (
    PATIENCE_MILLIS,
    ask,
    expect_error,
    expect_phase,
    load_anew,
    number,
    rev,
    scene,
    seen,
    slider,
    upload,
    wait_for_state,
    watch_run,
)
from clips import write_clip
from playwright.sync_api import Page, expect

from adaspark.model.trained import BUNDLED_FRAMES

pytestmark = pytest.mark.browser


@pytest.fixture
def studio(use: Page) -> Page:
    return use


@pytest.fixture
def fresh(open_page: Callable[..., Page], fake_url: str) -> Page:
    page = open_page(fake_url)
    wait_for_state(page, "ready")
    return page


def test_a_preview_is_drawn_at_once_and_marked_until_the_exact_run(studio: Page) -> None:
    first = rev(studio)
    ask(studio, "hold layers")  # what follows waits for it: nothing exact can come
    expect_phase(studio, "layer 1 of 4")
    viewer, before = studio.locator("#viewer"), scene(studio)["kept"]
    slider(studio, "Top-p attention").fill("0.2")
    expect(viewer).to_have_attribute("data-tier", "preview")
    assert scene(studio)["kept"] != before and scene(studio)["config"]["attn_top_p"] == 0.9
    ask(studio, "quick please")
    wait_for_state(studio, "ready", after_rev=first)
    expect(viewer).to_have_attribute("data-tier", "exact")
    assert scene(studio)["config"]["attn_top_p"] == pytest.approx(0.2)


@pytest.mark.long
def test_the_questions_threshold_follows_attention_until_it_is_moved(fresh: Page) -> None:
    words = slider(fresh, "Top-p of the question")
    slider(fresh, "Top-p attention").fill("0.3")
    expect(words).to_have_value("0.3")
    wait_for_state(fresh, "ready", after_rev=1)
    assert "text_top_p" not in scene(fresh)["config"]
    words.fill("1")
    wait_for_state(fresh, "ready", after_rev=2)
    assert scene(fresh)["config"]["text_top_p"] == 1
    slider(fresh, "Top-p attention").fill("0.6")
    wait_for_state(fresh, "ready", after_rev=3)
    config = scene(fresh)["config"]
    expect(words).to_have_value("1")
    assert (config["attn_top_p"], config["text_top_p"]) == (pytest.approx(0.6), 1)


@pytest.mark.long
def test_the_questions_preview_goes_by_its_own_threshold(fresh: Page) -> None:
    ask(fresh, "hold layers")  # nothing exact can come
    expect_phase(fresh, "layer 1 of 4")
    row = "adaspark.scene().kept.join()"
    slider(fresh, "Top-p of the question").fill("0.2")
    expect(fresh.locator("#viewer")).to_have_attribute("data-tier", "preview")
    few = fresh.evaluate(row)
    slider(fresh, "Top-p attention").fill("0.7")
    fresh.wait_for_function("adaspark.scene().preview.attn_top_p === 0.7")
    assert fresh.evaluate(row) == few
    slider(fresh, "Top-p of the question").fill("1")
    fresh.wait_for_function(f"{row} !== '{few}'")


@pytest.mark.long
def test_how_importance_is_measured_is_a_dial_of_its_own(fresh: Page) -> None:
    dial = fresh.get_by_role("combobox", name="FFN importance")
    expect(dial).to_have_value("Residual norm (paper)")
    dial.focus()
    expect(fresh.get_by_role("tooltip")).to_contain_text("as it comes to the FFN (paper)")
    dial.click()
    fresh.get_by_role("option", name="FFN input norm (ours)").click()
    wait_for_state(fresh, "ready", after_rev=1)
    assert scene(fresh)["config"]["ffn_importance"] == "input"
    fresh.wait_for_function("new URLSearchParams(location.search).get('importance') === 'input'")
    fresh.get_by_role("tab", name="History").click()
    expect(fresh.locator(".history-card").first).to_contain_text("0.7 by FFN input, cubes")
    load_anew(fresh)
    expect(dial).to_have_value("FFN input norm (ours)")
    assert scene(fresh)["config"]["ffn_importance"] == "input"


@pytest.mark.long
def test_frames_past_training_are_told_before_the_run_and_beside_its_answer(
    fresh: Page, tmp_path: Path
) -> None:
    notes = fresh.get_by_role("note").filter(has_text="extrapolated")
    expect(notes).to_have_count(0)
    frames = 4 * (BUNDLED_FRAMES // 4 + 1)
    clip = write_clip(tmp_path / "long.mp4", frames=frames, fps=4)
    upload(fresh, clip)
    expect(fresh.get_by_role("button", name="long.mp4")).to_be_visible(timeout=PATIENCE_MILLIS)
    expect(notes).to_have_count(0)  # of so many frames the model is shown few
    fresh.get_by_text("Sampling and length").click()
    number(fresh, "Frames at most").fill(str(frames))
    words = f"at most {BUNDLED_FRAMES} frames and is shown {frames}"
    before = fresh.get_by_role("note", name="About the answer to expect")
    expect(before).to_contain_text(words, timeout=PATIENCE_MILLIS)
    shown = rev(fresh)
    ask(fresh, "quick please")
    wait_for_state(fresh, "ready", after_rev=shown)
    expect(fresh.get_by_role("note", name="About this answer")).to_contain_text(words)
    number(fresh, "Frames at most").fill("8")
    wait_for_state(fresh, "ready", after_rev=shown + 1)
    expect(notes).to_have_count(0)


def test_the_budget_sets_both_thresholds_between_its_points(studio: Page) -> None:
    """The table: 0.2 and 0.6, with half of that for attention and that for the FFN; 1 is dense."""
    first = rev(studio)
    slider(studio, "Budget").fill("0.4")
    wait_for_state(studio, "ready", after_rev=first)
    expect(slider(studio, "Top-p attention")).to_have_value("0.2")
    expect(slider(studio, "Top-p FFN")).to_have_value("0.4")
    config = scene(studio)["config"]
    assert (config["attn_top_p"], config["ffn_top_p"]) == (pytest.approx(0.2), pytest.approx(0.4))


@pytest.mark.long
def test_the_budget_says_where_thresholds_were_set_by_hand_since(studio: Page) -> None:
    first = rev(studio)
    dial = studio.locator(".budget-dial")
    slider(studio, "Budget").fill("0.5")
    expect(slider(studio, "Top-p attention")).to_have_value("0.25")
    expect(dial).not_to_have_attribute("data-by-hand", "")
    slider(studio, "Top-p attention").fill("0.7")
    expect(dial).to_have_attribute("data-by-hand", "")
    # The run of the budget alone may come into view yet: it is told of until the next one is there.
    studio.wait_for_function("""() => getComputedStyle(
        document.querySelector(".budget-dial [data-testid=block-info]"), "::after"
    ).content.includes("by hand")""")
    slider(studio, "Budget").fill("0.6")
    expect(dial).not_to_have_attribute("data-by-hand", "")
    wait_for_state(studio, "ready", after_rev=first)


@pytest.mark.long
def test_the_budget_goes_by_keyboard_to_its_ends(studio: Page) -> None:
    first = rev(studio)
    budget = slider(studio, "Budget")
    assert (budget.get_attribute("min"), budget.get_attribute("max")) == ("0.2", "1")
    budget.press("Home")
    expect(slider(studio, "Top-p FFN")).to_have_value("0.2")
    budget.press("End")
    expect(slider(studio, "Top-p attention")).to_have_value("1")
    expect(slider(studio, "Top-p FFN")).to_have_value("1")
    wait_for_state(studio, "ready", after_rev=first)


@pytest.mark.long
def test_a_preset_sets_the_sides_and_sides_name_the_preset(studio: Page) -> None:
    first = rev(studio)
    preset = studio.get_by_role("combobox", name="Cube preset")
    preset.click()
    studio.get_by_role("option", name="4 x 4 x 4").click()
    wait_for_state(studio, "ready", after_rev=first)
    assert scene(studio)["config"]["cube"] == [4, 4, 4]
    expect(number(studio, "Cube w")).to_have_value("4")
    number(studio, "Cube w").fill("3")
    expect(preset).to_have_value("Custom")
    wait_for_state(studio, "ready", after_rev=first + 1)
    for axis in "thw":
        number(studio, f"Cube {axis}").fill("2")
    expect(preset).to_have_value("2 x 2 x 2 (own)")


def test_a_single_move_runs_at_once_and_close_ones_once_they_rest(studio: Page) -> None:
    first = rev(studio)
    asked: list[str] = []
    studio.on("request", lambda r: asked.append(r.url) if "queue/join" in r.url else None)
    dial = slider(studio, "Top-p FFN")
    dial.focus()
    for _ in range(20):
        studio.keyboard.press("ArrowLeft")
    studio.wait_for_function("adaspark.scene().config.ffn_top_p < 0.505")
    wait_for_state(studio, "ready", after_rev=first)
    assert len(asked) < 20 and scene(studio)["config"]["ffn_top_p"] == pytest.approx(0.5)


@pytest.mark.long
def test_what_does_not_fit_is_said_before_the_run_with_what_does(
    fresh: Page, tmp_path: Path
) -> None:
    write_clip(tmp_path / "long.mp4", frames=64, size=(112, 112))
    upload(fresh, tmp_path / "long.mp4")
    expect(fresh.get_by_text("128 visual tokens, the model holds 100")).to_be_visible()
    fit = fresh.get_by_role("button", name="Show it 6 frames")
    watch_run(fresh)
    fit.click()
    expect(fit).to_be_hidden()
    expect(fresh.locator(".picker .facts")).to_contain_text("6 frames")
    fresh.get_by_role("button", name="Sampling and length").click()
    expect(number(fresh, "Frames at most")).to_have_value("6")
    assert "running" not in seen(fresh, "states")


def test_a_video_dropped_anywhere_is_taken_and_its_cost_told(fresh: Page, tmp_path: Path) -> None:
    path = tmp_path / "dropped.mp4"
    write_clip(path, frames=8)
    fresh.evaluate(
        """async (bytes) => {
          const carried = new DataTransfer();
          carried.items.add(new File([new Uint8Array(bytes)], "dropped.mp4", {type: "video/mp4"}));
          for (const type of ["dragover", "drop"]) {
            const options = {dataTransfer: carried, bubbles: true, cancelable: true};
            document.querySelector(".figures").dispatchEvent(new DragEvent(type, options));
          }
        }""",
        list(path.read_bytes()),
    )
    expect(fresh.get_by_role("button", name="dropped.mp4")).to_be_visible()
    expect(fresh.locator(".picker .facts")).to_contain_text("visual tokens, about")


def test_a_click_in_a_figure_moves_the_viewer(look: Page) -> None:
    look.get_by_role("tab", name="Entropy").click()
    place = look.locator("[data-figure=entropy_by_layer]")
    place.locator(".main-svg").first.wait_for()
    place.evaluate("node => node.emit('plotly_click', {points: [{x: 3}]})")
    expect(look.locator("#viewer")).to_have_attribute("data-layer", "3")


def test_a_dial_that_is_refused_leaves_the_exact_pictures(studio: Page) -> None:
    before = rev(studio)
    number(studio, "Cube t").fill("-3")
    expect_error(studio, "A cube is three whole numbers")
    assert rev(studio) == before
    remembered = studio.evaluate("JSON.parse(sessionStorage.adaspark)")
    assert remembered["ticket"] == ""  # a page that is loaded anew does not take it up


def test_a_number_typed_past_its_dial_is_the_end_of_it(fresh: Page) -> None:
    typed = fresh.get_by_label("number input for Top-p attention")
    typed.fill("5")
    typed.press("Tab")
    expect(typed).to_have_value("1")
    fresh.wait_for_function(
        "window.adaspark.scene().config.attn_top_p === 1", timeout=PATIENCE_MILLIS
    )
    expect(fresh.get_by_role("alert").filter(has_text="Top-p")).to_have_count(0)
