"""Checkpoints of the newer families on the page, from an upload to the drawn layers, and by API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_page import ask, question, rev, scene, upload, wait_for_state
from checkpoints import hub_checkpoint
from clips import write_clip
from gradio_client import Client, handle_file
from playwright.sync_api import Page, expect
from serving import served

pytestmark = [pytest.mark.browser, pytest.mark.long]
LAYERS = 4


@pytest.fixture(
    scope="module", params=["qwen3_vl", pytest.param("qwen3_5", marks=pytest.mark.long)]
)
def family_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("hub") / request.param
    hub_checkpoint(folder, family=request.param, layout="new", layers=LAYERS)
    arguments = ("--port", "0", "--no-browser", "--model", str(folder))
    with served("-m", "app", *arguments) as url:
        yield url


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    return write_clip(folder / "clip.mp4", frames=24, fps=6, size=(160, 96))


def drawn(page: Page) -> Any:
    """[layers, cubes]: what is kept of each cube for the question."""
    return np.array(scene(page)["kept_by_kind"]["question"])


def test_an_upload_is_asked_and_its_layers_are_drawn(
    open_page: Callable[..., Page], family_url: str, clip: Path
) -> None:
    page = open_page(family_url)
    wait_for_state(page, "ready")
    before = rev(page)
    upload(page, clip)
    question(page).fill("What happens?")
    ask(page)
    wait_for_state(page, "ready", after_rev=before)
    expect(page.get_by_text("Done in")).to_be_visible()
    shares = drawn(page)
    assert len(shares) == LAYERS and shares[-1].max() > 0
    assert shares.shape[1] == len(scene(page)["cubes"])


def test_the_api_answers(family_url: str, clip: Path) -> None:
    studio = Client(family_url, verbose=False)
    answer, told, _ = studio.predict(
        handle_file(str(clip)), "What happens?", 0.5, 0.5, api_name="/ask"
    )
    assert answer.strip() and told["attention_density"] < 1 and told["ffn_density"] < 1
    # Three layers of Qwen3.5 have no attention, and so no density.
    without = [layer["attention_density"] is None for layer in told["layers"]]
    assert without in ([False] * LAYERS, [True] * (LAYERS - 1) + [False])
    assert any(without) == ("warnings" in told)
