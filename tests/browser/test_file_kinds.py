"""Every file of the set in Chromium: at each slice, stepped by keyboard, the page shows the frame
that the model was shown, in the colours of the file's source.

`ADASPARK_FILES` names a folder in which the made files are kept; files of one's own in it are
played like the rest, and their colours compared with the model's.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numbered import BASES, MORE, PATCHES, SMALL, make, number_in, patches_in
from playwright.sync_api import Browser, Page, expect
from trace_factory import make_trace
from viewer_page import open_viewer, show

from adaspark.video.clip import Clip, Sampling, read_clip
from app.media.uploads import check_upload, make_proxy

pytestmark = pytest.mark.browser
SAMPLING = Sampling(fps=4, max_frames=48, min_pixels=56 * 56, max_pixels=336 * 224)
COLOUR_LEVELS = 6
COPIED = ("plain.mp4", "plain.mkv", "untagged.mp4")
PIXELS = """() => {
    const video = document.querySelector('#viewer video');
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext('2d').drawImage(video, 0, 0);
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const text = Array.from(data, (value) => String.fromCharCode(value)).join('');
    return [canvas.height, canvas.width, btoa(text)];
}"""
FOLDER = os.environ.get("ADASPARK_FILES")
MADE = {**SMALL, **MORE, **BASES}
KEPT = sorted(p.name for p in Path(FOLDER).iterdir()) if FOLDER and Path(FOLDER).is_dir() else []
OWN = [name for name in KEPT if name not in MADE]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(FOLDER) if FOLDER else tmp_path_factory.mktemp("files")


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    page = open_viewer(chromium)
    yield page
    page.close()


@pytest.mark.few
@pytest.mark.parametrize("name", SMALL)
def test_the_page_shows_what_the_model_is_shown(
    page: Page, folder: Path, tmp_path: Path, name: str
) -> None:
    proxy = play(page, folder, tmp_path, name)
    assert proxy.name.endswith(".safe.mp4") is (name not in COPIED)


@pytest.mark.files
@pytest.mark.parametrize("name", [*MORE, *OWN])
def test_the_page_shows_what_the_model_is_shown_of_the_rest(
    page: Page, folder: Path, tmp_path: Path, name: str
) -> None:
    play(page, folder, tmp_path, name)


def play(page: Page, folder: Path, tmp_path: Path, name: str) -> Path:
    """Make a file and its proxy, and step through its slices on the page; returns the proxy."""
    path = folder / name if name in OWN else make(folder, name)
    shown = pictures(read_clip(path, SAMPLING))
    wanted = [number_in(picture) for picture in shown[::2]]
    proxy = make_proxy(check_upload(path), tmp_path)
    clip = read_clip(proxy, SAMPLING)  # as the app does
    assert [number_in(picture) for picture in pictures(clip)[::2]] == wanted
    show(page, trace_of(clip), clip=proxy)
    page.locator("#viewer").focus()
    seen = []
    for slice_, number in enumerate(wanted):
        expect(page.locator("#viewer")).to_have_attribute("data-slice", str(slice_))
        picture = settled(page, number)
        seen.append(number_in(picture))
        colours = patches_in(shown[2 * slice_]) if name in OWN else PATCHES
        levels = np.abs(patches_in(picture) - colours).max()
        assert levels <= COLOUR_LEVELS, f"slice {slice_}: {patches_in(picture).round()}"
        page.keyboard.press("ArrowRight")
    assert seen == wanted
    if name not in OWN:
        assert np.abs(patches_in(shown[0]) - PATCHES).max() <= COLOUR_LEVELS
        assert len(set(wanted)) == len(wanted), "each slice of the model has its own frame"
    expect(page.get_by_role("alert")).to_have_count(0)
    return proxy


def pictures(clip: Clip) -> np.ndarray:
    """uint8 [F, H, W, 3]."""
    return clip.frames.permute(0, 2, 3, 1).numpy()


def trace_of(clip: Clip) -> object:
    trace = make_trace(grids=(clip.grid,), cube=(1, 2, 2), layers=2)
    trace.frame_times = np.array(clip.times_secs).reshape(-1, 2)
    return trace


def settled(page: Page, number: int) -> np.ndarray:
    """The picture on screen, uint8 [H, W, 3], when it is the wanted one or has not changed long."""
    page.wait_for_function("!document.querySelector('#viewer video').seeking")
    for _ in range(20):
        picture = on_screen(page)
        if number_in(picture) == number:
            break
        page.wait_for_timeout(100)
    return picture


def on_screen(page: Page) -> np.ndarray:
    height, width, data = page.evaluate(PIXELS)
    pixels = np.frombuffer(base64.b64decode(data), np.uint8)
    return pixels.reshape(height, width, 4)[..., :3]
