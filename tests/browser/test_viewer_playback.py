"""A video that the browser cannot show right: it is said, and a safe copy takes its place."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_page import PATIENCE_MILLIS
from clips import number_in, write_clip
from playwright.sync_api import Browser, Page, expect
from trace_factory import make_trace
from viewer_page import open_viewer, show, snapshot

from adaspark.trace.trace import Trace

pytestmark = pytest.mark.browser
FPS, FRAMES, SLICES = 12, 48, 8
OPEN_GOP = {"preset": "veryfast", "x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}
PIXELS = """() => {
    const video = document.querySelector('#viewer video');
    const canvas = new OffscreenCanvas(128, 96), context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 128, 96);
    return [...context.getImageData(0, 0, 128, 96).data];
}"""


def eight_slices() -> Trace:
    """8 slices of 2 frames, evenly spread over the clip's 4 s."""
    trace = make_trace(grids=((SLICES, 4, 6),), cube=(1, 2, 2), layers=2)
    trace.frame_times = np.arange(2 * SLICES).reshape(SLICES, 2) / 4
    return trace


def data_url(clip: Path) -> str:
    return "data:video/mp4;base64," + base64.b64encode(clip.read_bytes()).decode()


def mounted(chromium: Browser, safe_copy: str, argument: Any = None) -> Page:
    """A page with a viewer that asks `safe_copy`, a JavaScript function, for other copies."""
    page = open_viewer(chromium)
    page.evaluate(
        f"""async (argument) => {{
            const {{ mount }} = await import("viz/mount.js");
            document.getElementById('viewer').remove();
            const safeCopy = {safe_copy};
            window.viewer = mount(document.getElementById('host'), {{safeCopy}});
        }}""",
        argument,
    )
    return page


def frame_on_screen(page: Page) -> int:
    pixels = np.array(page.evaluate(PIXELS)).reshape(96, 128, 4)[..., :3]
    return number_in(pixels.transpose(2, 0, 1))


def expect_frame(page: Page, number: int) -> None:
    """Wait until that frame is on screen: it comes some time after the video has sought it."""
    for _ in range(PATIENCE_MILLIS // 100):
        if frame_on_screen(page) == number:
            return
        page.wait_for_timeout(100)
    assert frame_on_screen(page) == number


def test_a_video_whose_decoder_dies_is_replaced_at_the_same_place(
    chromium: Browser, tmp_path: Path
) -> None:
    broken = write_clip(tmp_path / "open.mp4", frames=FRAMES, fps=FPS, **OPEN_GOP)
    safe = write_clip(tmp_path / "safe.mp4", frames=FRAMES, fps=FPS, bf="0")
    asks = """async (url) => {
        window.wanted = url;
        await new Promise((go) => { window.go = go; });
        return argument;
    }"""
    page = mounted(chromium, asks, data_url(safe))
    show(page, eight_slices(), clip=broken)
    page.locator("#viewer").focus()
    while not page.evaluate("'wanted' in window"):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(150)
    slice_ = snapshot(page)["slice"]
    expect(page.locator("#viewer")).to_have_attribute("data-state", "error")
    expect(page.get_by_role("alert")).to_contain_text("a safe copy is being made")
    assert page.evaluate("document.querySelector('#viewer video').videoWidth") == 0
    page.evaluate("go()")
    expect(page.locator("#viewer")).to_have_attribute("data-state", "ready")
    expect(page.get_by_role("alert")).to_be_hidden()
    assert snapshot(page)["slice"] == slice_
    expect_frame(page, 6 * slice_)
    page.close()


@pytest.mark.long
def test_a_frame_that_is_not_the_wanted_one_is_replaced_too(
    chromium: Browser, tmp_path: Path
) -> None:
    """No error is told: only the time of the frame that is presented gives it away."""
    times = [n * 1000 // FPS for n in range(FRAMES) if not 12 < n < 30]
    wrong = write_clip(tmp_path / "wrong.mp4", times_millis=times, bf="0")
    safe = write_clip(tmp_path / "safe.mp4", frames=FRAMES, fps=FPS, bf="0")
    page = mounted(chromium, "async () => argument", data_url(safe))
    show(page, eight_slices(), clip=wrong)
    page.evaluate("viewer.goTo(3)")
    expect(page.get_by_role("alert")).to_contain_text("the one in view is another's")
    page.wait_for_function(
        "(url) => document.querySelector('#viewer video').src === url", arg=data_url(safe)
    )
    page.wait_for_function("!document.querySelector('#viewer video').seeking")
    expect(page.get_by_role("alert")).to_be_hidden()
    assert snapshot(page)["slice"] == 3
    expect_frame(page, 18)
    page.close()


def test_without_a_safe_copy_the_cubes_lie_on_plain_ground_and_it_is_said(
    chromium: Browser, tmp_path: Path
) -> None:
    broken = write_clip(tmp_path / "open.mp4", frames=FRAMES, fps=FPS, **OPEN_GOP)
    page = mounted(chromium, "async () => { throw new Error('It is gone; upload it again.'); }")
    show(page, eight_slices(), clip=broken)
    page.evaluate("viewer.goTo(5)")
    expect(page.get_by_role("alert")).to_contain_text("on plain ground. It is gone; upload it")
    expect(page.locator("#viewer")).to_have_attribute("data-state", "ready")
    assert page.evaluate("document.querySelector('#viewer video').videoWidth") == 0
    page.evaluate("viewer.goTo(6)")
    assert snapshot(page)["slice"] == 6
    page.close()


@pytest.mark.long
def test_neighbours_that_begin_with_the_same_frame_can_each_be_looked_at(
    chromium: Browser, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=FRAMES, fps=FPS, bf="0")
    page, trace = open_viewer(chromium), eight_slices()
    trace.frame_times[3:6] = trace.frame_times[3]
    show(page, trace, clip=clip)
    page.locator("#viewer").focus()
    for key, slices in (("ArrowRight", range(1, SLICES)), ("ArrowLeft", range(SLICES - 2, -1, -1))):
        for slice_ in slices:
            page.keyboard.press(key)
            page.wait_for_function("!document.querySelector('#viewer video').seeking")
            page.wait_for_timeout(100)
            assert snapshot(page)["slice"] == slice_
    page.close()
