"""The page while the model is still loading, complete and in no hurry, and without any model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from app_page import (
    PATIENCE_MILLIS,
    SharedPage,
    ask,
    expect_error,
    expect_phase,
    number,
    question,
    rev,
    scene,
    slider,
    upload,
    wait_for_state,
)
from clips import write_clip
from playwright.sync_api import Page, expect
from serving import ROOT, served

pytestmark = [pytest.mark.browser, pytest.mark.long]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "loaded"


@pytest.fixture
def waiting_url(gate: Path, tmp_path: Path) -> Iterator[str]:
    """The app over a fake engine that is loaded once the gate is there."""
    (tmp_path / "samples").mkdir()
    script = ROOT / "tests" / "browser" / "fake_app.py"
    with served(str(script), str(tmp_path / "samples"), "0", str(gate)) as url:
        yield url
        gate.touch()  # the app waits for its loading thread before it ends


def test_the_page_is_complete_before_the_model_and_the_first_question_waits_for_it(
    waiting_url: str, open_page: Callable[..., Page], gate: Path
) -> None:
    page = open_page(waiting_url)  # a fixture of its own, made first: the page closes before it
    wait_for_state(page, "ready")
    chip = page.locator(".tools > .chips .status-chip")
    expect(chip).to_have_text("runs onReplay: model loading")
    expect(page.locator(".picker .facts")).to_contain_text("visual tokens")
    page.get_by_role("tab", name="Concentration").click()
    figure = page.locator("[data-figure=concentration] .main-svg").first
    expect(figure).to_be_visible(timeout=PATIENCE_MILLIS)
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download():
        page.get_by_role("button", name="Trace (NPZ)").click()
    slider(page, "Top-p attention").press("ArrowLeft")
    expect(page.locator("#viewer")).to_have_attribute("data-tier", "preview")
    expect_phase(page, "still loading")
    ask(page, "quick please")
    expect_phase(page, "still loading")
    assert rev(page) == 1 and scene(page)["question"] != "quick please"
    gate.touch()
    wait_for_state(page, "ready", after_rev=1)
    assert scene(page)["question"] == "quick please"
    expect(question(page)).to_have_value("quick please")
    expect(chip).to_have_text("runs onCPU, float32")


@pytest.fixture(scope="module")
def replay_url() -> Iterator[str]:
    """The app as it is on a machine that cannot run any model."""
    arguments = ("-m", "app", "--port", "0", "--no-browser")
    with served(*arguments, ADASPARK_REPLAY_ONLY="1") as url:
        yield url


@pytest.fixture(scope="module")
def used_page(share_page: Callable[[str], SharedPage], replay_url: str) -> SharedPage:
    return share_page(replay_url)


@pytest.fixture
def replay(use: Page) -> Page:
    return use


def test_without_a_model_asking_is_off_and_says_why(replay: Page) -> None:
    expect(replay.locator(".tools > .chips .status-chip")).to_have_text(
        "runs onReplay: recorded runs only"
    )
    for name in ("Ask", "Stop"):
        expect(replay.get_by_role("button", name=name, exact=True)).to_be_disabled()
    note = replay.get_by_role("note")
    expect(note).to_contain_text("only replays recorded runs")
    expect(note).to_contain_text("start your own studio to ask")
    expect(question(replay)).to_be_disabled()
    for side in ("Cube t", "Cube h", "Cube w"):
        expect(number(replay, side)).to_be_disabled()


def test_without_a_model_the_gallery_is_complete(replay: Page) -> None:
    for card in replay.locator(".picker .card").all():
        if card.get_attribute("aria-pressed") == "false":
            before = rev(replay)
            card.click()
            wait_for_state(replay, "ready", after_rev=before)
        drawn = scene(replay)
        expect(question(replay)).to_have_value(drawn["question"])
        expect(replay.locator("#answer")).to_have_text(drawn["answer"])
        expect(replay.locator(".question-chips button")).to_have_text([drawn["question"]])
    expect(replay.locator("#error")).to_be_empty()


def test_a_run_opens_on_the_last_frame_of_its_slice(replay: Page) -> None:
    """What appears within a slice is not there in its first frame."""
    drawn = scene(replay)
    first, *_, last = drawn["frame_times"][drawn["slice"]]
    assert first < last
    replay.wait_for_function(
        "last => Math.abs(document.querySelector('#viewer video').currentTime - last) < 0.01",
        arg=last,
        timeout=PATIENCE_MILLIS,
    )


def test_without_a_model_a_dial_previews_and_nothing_waits_for_an_exact_run(replay: Page) -> None:
    viewer, dial = replay.locator("#viewer"), slider(replay, "Top-p attention")
    dial.press("ArrowLeft")
    expect(viewer).to_have_attribute("data-tier", "preview")
    expect(viewer.locator(".ribbon")).to_contain_text("this server has no model to run them")
    expect(viewer).to_have_attribute("data-state", "stale")
    dial.press("ArrowRight")
    expect(viewer).to_have_attribute("data-tier", "exact")
    expect(viewer).to_have_attribute("data-state", "ready")
    expect(replay.locator("#error")).to_be_empty()


def test_without_a_model_an_upload_and_a_comparison_are_refused_in_words(
    replay: Page, tmp_path: Path
) -> None:
    upload(replay, write_clip(tmp_path / "mine.mp4"))
    expect_error(replay, "only replays recorded runs")
    before = rev(replay)
    replay.locator(".picker .card").first.click()
    wait_for_state(replay, "ready", after_rev=before)
    replay.get_by_role("tab", name="Compare").click()
    place = replay.get_by_role("tabpanel", name="Compare")
    place.get_by_role("button", name="Compare", exact=True).click()
    expect(place.locator(".beside-note")).to_contain_text("only replays recorded runs")


def test_a_links_settings_without_a_model_are_said_not_to_be_shown(
    open_page: Callable[..., Page], replay_url: str
) -> None:
    page = open_page(replay_url, query="?sample=2_order&attn=0.5&frames=4")
    wait_for_state(page, "stale")
    expect(page.locator("#viewer .ribbon")).to_contain_text("Other settings than the recorded")
    assert scene(page)["question"] == "Which color comes first?"
    expect(page.locator("#error")).to_be_empty()
