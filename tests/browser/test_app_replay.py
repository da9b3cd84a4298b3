"""The page while the model is still loading: complete, and in no hurry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from app_page import (
    PATIENCE_MILLIS,
    ask,
    expect_phase,
    question,
    rev,
    scene,
    slider,
    wait_for_state,
)
from playwright.sync_api import Page, expect
from serving import ROOT, free_port, served

pytestmark = pytest.mark.browser


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "loaded"


@pytest.fixture
def waiting_url(gate: Path, tmp_path: Path) -> Iterator[str]:
    """The app over a fake engine that is loaded once the gate is there."""
    (tmp_path / "samples").mkdir()
    script = ROOT / "tests" / "browser" / "fake_app.py"
    with served(str(script), str(tmp_path / "samples"), str(free_port()), str(gate)) as url:
        yield url
        gate.touch()  # the app waits for its loading thread before it ends


def test_the_page_is_complete_before_the_model_and_the_first_question_waits_for_it(
    open_page: Callable[..., Page], waiting_url: str, gate: Path
) -> None:
    page = open_page(waiting_url)
    wait_for_state(page, "ready")
    chip = page.locator(".status-chip")
    expect(chip).to_have_text("statusreplay, the model is loading")
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
    expect(chip).to_have_text("statusready")
