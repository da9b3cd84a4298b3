"""Uploads on the page: played while they are prepared, and mended when the browser fails."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pytest
from app_page import PATIENCE_MILLIS, ask, rev, scene, upload, wait_for_state
from clips import write_clip
from playwright.sync_api import Page, expect
from test_viewer_playback import FPS, FRAMES, OPEN_GOP, expect_frame

pytestmark = [pytest.mark.browser, pytest.mark.long]
PLAYED = """() => {
    window.played = [];
    const video = document.querySelector('#viewer video');
    const source = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'src');
    const set = (url) => source.set.call(video, url);
    const grown = new Promise((go) => {
        video.addEventListener('loadeddata', () => {
            window.played.push(video.getAttribute('src'));
            if (window.played.at(-1).startsWith('studio/growing/')) go();
        });
    });
    const late = (url) => (url.includes('studio/video/') ? grown.then(() => set(url)) : set(url));
    Object.defineProperty(video, 'src', { ...source, set: late });
}"""
"""Notes what plays. The whole copy is shown once the growing one was, however fast it is made."""
SOURCE = "document.querySelector('#viewer video').getAttribute('src')"


def test_a_copy_that_breaks_the_browser_is_replaced_by_a_safe_one(
    open_page: Callable[..., Page], fake_url: str, fake_folder: Path, tmp_path: Path
) -> None:
    page = open_page(fake_url)
    wait_for_state(page, "ready")
    upload(page, write_clip(tmp_path / "mine.mp4", frames=FRAMES, fps=FPS, bf="0"))
    page.wait_for_function(f"{SOURCE}.includes('studio/video/')")
    name = PurePosixPath(unquote(page.evaluate(SOURCE))).name
    (proxy,) = fake_folder.glob(f"kept/*/proxies/{name}")
    broken = write_clip(tmp_path / "open.mp4", frames=FRAMES, fps=FPS, **OPEN_GOP)
    proxy.write_bytes(broken.read_bytes())
    page = open_page(fake_url)  # another browser: this one keeps a video that it has loaded
    wait_for_state(page, "ready")
    before = rev(page)
    upload(page, tmp_path / "mine.mp4")
    page.wait_for_function(f"{SOURCE}.includes('studio/video/')")
    ask(page, "What is it?")
    wait_for_state(page, "ready", after_rev=before)
    page.locator("#viewer").focus()
    for _ in range(7):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(200)
    page.wait_for_function(f"({SOURCE} ?? '').includes('.safe.mp4')")
    wait_for_state(page, "ready")
    expect(page.locator("#viewer .trouble")).to_be_hidden()
    assert scene(page)["slice"] == 7
    page.wait_for_function("!document.querySelector('#viewer video').seeking")
    start_secs = scene(page)["frame_times"][7][0]
    expect_frame(page, int(start_secs * FPS + 0.01))
    page.errors.clear()  # type: ignore[attr-defined]


def test_what_must_be_encoded_plays_while_it_is_encoded(
    open_page: Callable[..., Page], fake_url: str, fake_folder: Path, tmp_path: Path
) -> None:
    page = open_page(fake_url)
    wait_for_state(page, "ready")
    page.evaluate(PLAYED)
    moving = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=80"]
    encoded = ["-c:v", "mpeg4", "-q:v", "8", str(tmp_path / "old.avi")]
    subprocess.run(["ffmpeg", *moving, *encoded], check=True)
    upload(page, tmp_path / "old.avi")
    whole = "(window.played.at(-1) ?? '').endsWith('.safe.mp4')"
    page.wait_for_function(whole, timeout=PATIENCE_MILLIS)
    *_, first, last = page.evaluate("window.played")
    assert first.startswith("studio/growing/")
    expect(page.locator("#viewer .trouble")).to_be_hidden()
    name = PurePosixPath(unquote(last)).name
    left = fake_folder.glob(f"kept/*/proxies/{name.partition('.')[0]}.*")
    assert [path.name for path in left] == [name]
