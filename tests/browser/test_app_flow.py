"""The whole path with the bundled model: a sample, an upload, layers, dials, figures, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_page import (
    PATIENCE_MILLIS,
    SharedPage,
    ask,
    expect_error,
    number,
    question,
    rev,
    scene,
    seen,
    slider,
    upload,
    wait_for_state,
    watch_run,
)
from clips import write_clip
from long import some_of
from playwright.sync_api import Page, expect

from app.media.samples import read_samples

pytestmark = pytest.mark.browser
NASTY = "<img src=x onerror=alert(1)>${alert(1)}`{{alert(1)}}"


@pytest.fixture(scope="module")
def used_page(share_page: Callable[[str], SharedPage], studio_url: str) -> SharedPage:
    return share_page(studio_url)


@pytest.fixture
def studio(use: Page) -> Page:
    return use


@pytest.fixture
def fresh(open_page: Callable[..., Page], studio_url: str) -> Page:
    page = open_page(studio_url)
    wait_for_state(page, "ready")
    return page


def shares(page: Page) -> Any:
    """[layers, cubes]: what is kept of each cube for the question."""
    return np.array(scene(page)["kept_by_kind"]["question"])


def test_a_sample_is_replayed_at_once_and_then_answered_by_the_model(studio: Page) -> None:
    before, sample = rev(studio), read_samples()[1]
    studio.get_by_role("button", name=sample.title, exact=True).click()
    wait_for_state(studio, "ready", after_rev=before)
    expect(studio.get_by_text("Recorded earlier")).to_be_visible()
    expect(question(studio)).to_have_value(sample.questions[0])
    recorded = scene(studio)
    watch_run(studio)
    ask(studio)
    wait_for_state(studio, "ready", after_rev=before + 1)
    phases = seen(studio, "phases")
    assert any("Prefill layer" in text for text in phases), phases
    expect(studio.get_by_text("Done in")).to_be_visible()
    notes = json.loads(sample.path.with_suffix(".json").read_text())
    answer = studio.locator("#answer").inner_text().strip()
    assert answer == notes["items"][0]["answer"]
    drawn = scene(studio)
    assert (drawn["question"], drawn["answer"]) == (sample.questions[0], answer)
    assert (recorded["answer"], recorded["config"]) == (answer, drawn["config"])
    assert 0 < shares(studio).mean() < 1
    assert 0 < np.mean(drawn["ffn_mask"]) < 1


def test_a_layer_is_chosen_with_the_keyboard_and_the_figures_follow(studio: Page) -> None:
    layer = slider(studio, "Layer")
    layer.focus()
    layer.press("Home")
    layer.press("ArrowRight")
    expect(studio.locator("#viewer")).to_have_attribute("data-layer", "1")
    studio.get_by_role("tab", name="Entropy").click()
    shown = studio.get_by_text("Entropy over time, layer 1")
    expect(shown).to_be_visible(timeout=PATIENCE_MILLIS)


TABS = ("Layers and cubes", "FFN tokens", "Layer statistics", "Concentration", "FLOPs and time")


def test_each_figure_is_drawn_when_its_tab_is_opened(studio: Page) -> None:
    for tab in TABS:
        studio.get_by_role("tab", name=tab).click()
        figure = studio.get_by_role("tabpanel", name=tab)
        expect(figure.locator(".main-svg").first).to_be_visible(timeout=PATIENCE_MILLIS)


def test_the_numbers_behind_every_figure_are_a_table(studio: Page) -> None:
    studio.get_by_role("tab", name="Data").click()
    table = studio.get_by_role("table", name="layer density")
    layers = len(scene(studio)["kept"])
    expect(table.get_by_role("row")).to_have_count(layers + 1)
    studio.get_by_role("combobox", name="Table").select_option("flops")
    costs = studio.get_by_role("table", name="FLOPs and time")
    expect(costs.get_by_role("row", name="counted").first).to_contain_text("FLOP")
    expect(costs.get_by_role("row", name="Prefill measured")).to_contain_text("s")


def test_tabs_are_walked_with_the_arrow_keys(studio: Page) -> None:
    studio.get_by_role("tab", name="Entropy").press("Home")
    expect(studio.get_by_role("tab").first).to_be_focused()
    studio.keyboard.press("ArrowLeft")
    expect(studio.get_by_role("tab").last).to_be_focused()
    expect(studio.get_by_role("tab").last).to_have_attribute("aria-selected", "true")


@pytest.mark.long
def test_a_slider_moved_by_keyboard_brings_new_pictures(studio: Page) -> None:
    before, old = rev(studio), shares(studio)
    most = scene(studio)["config"]["attn_top_p"] - 0.39
    watch_run(studio)
    dial = slider(studio, "Top-p attention")
    dial.focus()
    for _ in range(40):
        dial.press("ArrowLeft")
    wait_for_state(studio, "ready", after_rev=before)
    studio.wait_for_function(f"adaspark.scene().config.attn_top_p < {most}")
    assert seen(studio, "states")[:2] == ["ready", "stale"]
    assert shares(studio).mean() < old.mean()


@pytest.mark.long
def test_cube_numbers_bring_new_cubes(studio: Page) -> None:
    before, old = rev(studio), scene(studio)
    number(studio, "Cube t").fill(str(2 * old["config"]["cube"][0]))
    wait_for_state(studio, "ready", after_rev=before)
    assert len(scene(studio)["cubes"]) == len(old["cubes"]) // 2


@pytest.mark.long
def test_fewer_frames_are_described_before_and_shown_after_the_run(fresh: Page) -> None:
    before, facts = rev(fresh), fresh.locator(".picker .facts")
    fresh.get_by_role("button", name="Sampling and length").click()
    number(fresh, "Frames at most").fill("8")
    expect(facts).to_contain_text("8 frames", timeout=PATIENCE_MILLIS)
    wait_for_state(fresh, "ready", after_rev=before)
    assert scene(fresh)["grid"][0] == 4
    number(fresh, "Frames at most").fill("-3")
    expect_error(fresh, "Frames at most must be a whole number from 1")
    expect(facts).to_contain_text("8 frames")


def test_an_upload_is_described_asked_about_and_drawn(fresh: Page, tmp_path: Path) -> None:
    path, before = tmp_path / "phone clip.mp4", rev(fresh)
    write_clip(path, frames=24, size=(96, 128), turn=90)
    upload(fresh, path)
    expect(fresh.get_by_text("96 x 128, 2.0 s, H.264")).to_be_visible()
    expect(fresh.locator("#viewer")).to_have_attribute("data-state", "empty")
    assert scene(fresh) is None
    expect(fresh.locator("#answer")).to_be_empty()
    ask(fresh, "What color is the circle?")
    wait_for_state(fresh, "ready", after_rev=before)
    slices, rows, columns = scene(fresh)["grid"]
    assert rows > columns and slices >= 2
    assert fresh.locator("#viewer video").evaluate("v => v.videoHeight > v.videoWidth")


@pytest.mark.long
def test_text_of_visitors_stays_text(fresh: Page, tmp_path: Path) -> None:
    path, before = tmp_path / NASTY.replace("/", ""), rev(fresh)
    path = path.with_name(path.name + ".mp4")
    write_clip(path, frames=8)
    upload(fresh, path)
    expect(fresh.get_by_role("button", name="<img src=x")).to_be_visible()
    ask(fresh, NASTY)
    wait_for_state(fresh, "ready", after_rev=before)
    assert scene(fresh)["question"] == NASTY
    expect(question(fresh)).to_have_value(NASTY)
    assert fresh.locator("img[src=x]").count() == 0


@pytest.mark.long
def test_the_sample_can_be_taken_again_after_an_upload(fresh: Page, tmp_path: Path) -> None:
    write_clip(tmp_path / "mine.mp4", frames=8)
    upload(fresh, tmp_path / "mine.mp4")
    mine = fresh.get_by_role("button", name="mine.mp4")
    expect(mine).to_have_attribute("aria-pressed", "true")
    fresh.get_by_role("button", name=read_samples()[0].title, exact=True).click()
    expect(mine).to_have_attribute("aria-pressed", "false")
    mine.click()
    expect(mine).to_have_attribute("aria-pressed", "true")


def refused_files(folder: Path) -> dict[str, Path]:
    """File names and files that no model can be shown."""
    text, empty = folder / "renamed.mp4", folder / "empty.mp4"
    text.write_text("this is a letter")
    empty.touch()
    whole, cut = folder / "whole.mp4", folder / "cut.mp4"
    write_clip(whole, frames=48)
    cut.write_bytes(whole.read_bytes()[:2000])
    return {"text": text, "empty": empty, "cut": cut}


@pytest.mark.few
@some_of("kind", ["cut", "text", "empty"])
def test_a_file_that_is_no_video_is_refused_in_one_sentence(
    fresh: Page, tmp_path: Path, kind: str
) -> None:
    path, before = refused_files(tmp_path)[kind], rev(fresh)
    question(fresh).fill("What color is the circle?")
    upload(fresh, path)
    told = expect_error(fresh, path.name)
    assert "\n" not in told.strip() and "Traceback" not in told
    expect(fresh.locator("[data-field=video]")).to_contain_text(path.name)
    expect(question(fresh)).to_have_value("What color is the circle?")
    chosen = fresh.get_by_role("button", name=read_samples()[0].title, exact=True)
    expect(chosen).to_have_attribute("aria-pressed", "true")
    assert rev(fresh) == before
    ask(fresh)
    wait_for_state(fresh, "ready", after_rev=before)
    expect(fresh.locator(".field-error").filter(has_text=path.name)).to_have_count(0)


@pytest.mark.long
def test_a_blank_question_is_refused_and_the_pictures_stay(studio: Page) -> None:
    before, drawn = rev(studio), scene(studio)["cubes"]
    ask(studio, "   ")
    expect_error(studio, "The question is blank")
    assert rev(studio) == before and scene(studio)["cubes"] == drawn


@pytest.mark.long
def test_a_dial_out_of_range_is_refused_by_the_server_too(studio: Page) -> None:
    """The slider cannot be moved out of [0, 1]; a program can send any number."""
    join = studio.url.split("?")[0] + "gradio_api/queue/join"
    with studio.expect_request("**/queue/join*") as asked:
        ask(studio)
    body = {**asked.value.post_data_json, "session_hash": "program"}
    body["data"][1] = 1.5
    studio.request.post(join, data=body)
    events = studio.request.get(join.replace("join", "data") + "?session_hash=program").text()
    assert "Top-p attention must be a number from 0 to 1, got 1.5." in events
