"""Uploads: a proxy that shows the same frames at the same times, and words about them."""

from __future__ import annotations

import base64
import io
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import copy_packets, hide_after, is_upright, number_in, write_clip
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from adaspark.errors import UserError
from adaspark.video.clip import Limits, Sampling, content_hash, probe, read_clip
from adaspark.video.probe import scan
from app.media import uploads
from app.media.uploads import check_upload, describe, make_proxy

GAPS_MILLIS = [0, 40, 90, 1000, 1040, 1500, 1541, 3000, 3010, 3500]
SMALL = Sampling(fps=4, max_frames=8, min_pixels=56 * 56, max_pixels=168 * 168)


@dataclass(frozen=True)
class Estimate:
    frames: int
    shown_width: int
    shown_height: int
    video_tokens: int
    note: str = ""


def pictures(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [
            frame.to_ndarray(format="rgb24").transpose(2, 0, 1)
            for frame in container.decode(video=0)
        ]


def assert_plays_everywhere(path: Path) -> None:
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        assert container.streams.video[0].start_time == 0
    proxy = scan(path)
    info = proxy.info
    assert (info.container, info.codec, info.rotation) == ("MP4", "h264", 0)
    assert proxy.pixel_format in ("yuv420p", "yuvj420p")
    assert proxy.square_pixels
    assert max(info.width, info.height) <= 1280
    assert min(info.width, info.height) <= 720


@pytest.mark.few(10)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.mp4", {}),
        ("sound.mp4", {"sound": True}),
        ("b-frames.mp4", {"preset": "medium", "bf": "3"}),
        ("phone.mov", {}),
        ("gaps.mp4", {"times_millis": GAPS_MILLIS}),
        ("gaps.mkv", {"times_millis": GAPS_MILLIS}),
        ("gaps.webm", {"times_millis": GAPS_MILLIS, "codec": "libvpx-vp9"}),
        ("late.mp4", {"times_millis": [5000 + 70 * n for n in range(20)]}),
        ("turned.mp4", {"turn": 90, "size": (96, 128)}),
        ("upside-down.mp4", {"turn": 180}),
        ("turned-left.mp4", {"turn": 270}),
        ("wide-pixels.mp4", {"pixel_aspect": Fraction(2)}),
        ("odd.mp4", {"size": (161, 91), "pixel_format": "yuv444p"}),
        ("ten-bit.mp4", {"codec": "libx265", "pixel_format": "yuv420p10le"}),
        ("rgb.mov", {"codec": "png", "pixel_format": "rgb24"}),
        ("old.avi", {"codec": "mpeg4"}),
        ("b-frames.avi", {"preset": "medium", "bf": "3"}),
        ("new.webm", {"codec": "libsvtav1"}),
        ("one.mp4", {"frames": 1}),
        ("one.mkv", {"frames": 1}),
    ],
)
def test_a_proxy_keeps_frames_and_times(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, **options)
    proxy = make_proxy(check_upload(path), tmp_path / "proxies")
    assert_plays_everywhere(proxy)
    source, copy = scan(path), scan(proxy)
    assert copy.index.times_secs == pytest.approx(source.index.times_secs, abs=1e-4)
    assert copy.info.duration_secs == pytest.approx(source.info.duration_secs, abs=1e-3)
    shown = pictures(proxy)
    assert [number_in(picture) for picture in shown] == list(range(source.info.frames))
    assert all(is_upright(picture) for picture in shown)


def test_a_proxy_shows_the_model_the_same_picture(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "phone.mp4", turn=90, size=(96, 128))
    proxy = make_proxy(probe(path), tmp_path)
    original, copy = read_clip(path, SMALL), read_clip(proxy, SMALL)
    assert original.frames.shape == copy.frames.shape
    assert (original.frames.int() - copy.frames.int()).abs().float().mean() < 4
    assert copy.times_secs == pytest.approx(original.times_secs, abs=1e-4)


@pytest.mark.parametrize(
    ("size", "proxy_size"),
    [((1920, 1080), (1280, 720)), ((1080, 1920), (720, 1280)), ((2000, 400), (1280, 256))],
)
def test_a_proxy_is_at_most_720p(
    size: tuple[int, int], proxy_size: tuple[int, int], tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "large.mp4", size=size, frames=3)
    info = probe(make_proxy(probe(path), tmp_path))
    assert (info.width, info.height) == proxy_size


def test_a_safe_upload_is_copied_without_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "encode", None)
    path = write_clip(tmp_path / "safe.mp4", sound=True)
    proxy = make_proxy(probe(path), tmp_path)
    assert all(np.array_equal(a, b) for a, b in zip(pictures(path), pictures(proxy), strict=True))


def test_a_proxy_is_made_once_for_the_same_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "first.mkv")
    proxy = make_proxy(probe(path), tmp_path / "proxies")
    assert proxy == tmp_path / "proxies" / f"{content_hash(path)}.mp4"
    again = shutil.copy(path, tmp_path / "second.mkv")
    monkeypatch.setattr(uploads, "encode", None)
    monkeypatch.setattr(uploads, "remux", None)
    assert make_proxy(probe(again), tmp_path / "proxies") == proxy


def test_a_stopped_proxy_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", frames=120)
    files_while_writing: list[int] = []

    def stop_at_100(done: int, total: int) -> None:
        assert total == 120
        if done == 100:
            files_while_writing.append(len(list((tmp_path / "proxies").iterdir())))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_proxy(probe(path), tmp_path / "proxies", on_progress=stop_at_100)
    assert files_while_writing == [1]
    assert list((tmp_path / "proxies").iterdir()) == []


def test_a_proxy_leaves_out_what_an_edit_list_hides(tmp_path: Path) -> None:
    path = hide_after(write_clip(tmp_path / "cut.mp4", preset="medium", bf="2"), 1000)
    proxy = make_proxy(probe(path), tmp_path / "proxies")
    assert len(pictures(proxy)) == probe(path).frames < 24


def test_frames_of_the_same_time_are_shown_once(tmp_path: Path) -> None:
    once = write_clip(
        tmp_path / "once.mkv",
        times_millis=[0, 40, 41, 80, 120],
        codec="mjpeg",
        pixel_format="yuvj420p",
    )
    path = copy_packets(once, tmp_path / "twice.mkv", pts_from_pts={41: 40})
    proxy = make_proxy(probe(path), tmp_path / "proxies")
    assert scan(proxy).index.times_secs == pytest.approx([0, 0.04, 0.08, 0.12])
    assert [number_in(picture) for picture in pictures(proxy)] == [0, 1, 3, 4]


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_no_upload_is_a_sentence(nothing: str | None) -> None:
    with pytest.raises(UserError, match="no video yet"):
        check_upload(nothing)


def test_an_upload_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(UserError, match="limit"):
        check_upload(path, Limits(max_duration_secs=1))


@pytest.mark.parametrize(
    ("frames", "fps", "facts"),
    [
        (24, 12, "128 x 96, 2.0 s, H.264; shown to the model as 64 frames of 504 x 280 = 5,760"),
        (200, 2, "128 x 96, 1 min 40 s, H.264;"),
    ],
)
def test_the_facts_line(frames: int, fps: int, facts: str, tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "clip.mp4", frames=frames, fps=fps))
    line = describe(info, Estimate(64, 504, 280, 5760))
    assert line.startswith(facts)
    assert line.endswith(" visual tokens")


def test_the_facts_line_of_one_frame(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "one.mp4", frames=1))
    line = describe(info, Estimate(1, 448, 252, 144))
    assert describe(info, Estimate(1, 448, 252, 144, "smaller here")) == f"{line}; smaller here"
    assert line == (
        "128 x 96, 0.08 s, H.264; shown to the model as 1 frame of 448 x 252 = 144 visual tokens"
    )


OPEN = """async (source) => {
    const video = document.body.appendChild(document.createElement('video'));
    video.muted = true;
    video.src = source;
    await new Promise((ready, failed) => {
        video.onloadeddata = ready;
        video.onerror = () => failed(new Error(video.error.message));
    });
    return video.duration;
}"""
SEEK = """async (time) => {
    const video = document.querySelector('video');
    const sought = new Promise(ready => { video.onseeked = ready; });
    video.currentTime = time;
    await sought;
}"""
PICTURE = """() => {
    const video = document.querySelector('video'), canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext('2d').drawImage(video, 0, 0);
    return canvas.toDataURL('image/png');
}"""
LOOKS = 100


@pytest.mark.few(2)
@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gaps.mkv", {}),
        ("turned.mp4", {"turn": 90, "size": (96, 128)}),
        ("b-frames.mp4", {"preset": "medium", "bf": "3"}),
        ("late.webm", {"codec": "libvpx-vp9"}),
    ],
)
def test_chromium_shows_each_frame_at_its_time(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    late = 3000 if name == "late.webm" else 0
    times_millis = [late + t for t in GAPS_MILLIS]
    path = write_clip(tmp_path / name, times_millis=times_millis, **options)
    proxy = make_proxy(probe(path), tmp_path / "proxies")
    address = "data:video/mp4;base64," + base64.b64encode(proxy.read_bytes()).decode()
    visible = [n for n, gap in enumerate(np.diff(GAPS_MILLIS)) if gap >= 40]
    # Its own thread: another test's Playwright may hold this one's event loop.
    with ThreadPoolExecutor(max_workers=1) as threads:
        duration, shown = threads.submit(in_chromium, address, visible).result()
    assert [number_in(picture) for picture in shown] == visible
    assert all(is_upright(picture) for picture in shown)
    # The last frame's own length is a guess where frames vary and depend on later ones.
    assert duration == pytest.approx(probe(path).duration_secs, abs=0.1)


def in_chromium(address: str, frames: list[int]) -> tuple[float, list[Any]]:
    """A video's duration, and what the system's Chromium, else Playwright's own, shows where
    each of the frames is to be seen.
    """
    system = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        if not (system or Path(playwright.chromium.executable_path).exists()):
            pytest.skip("no Chromium is installed")
        browser = playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
        page = browser.new_page()
        duration = page.evaluate(OPEN, address)
        shown = [settled(page, number) for number in frames]
        browser.close()
    return duration, shown


def settled(page: Page, number: int) -> Any:
    """The picture where a frame is to be seen, when it is that one or has not become it for long:
    a busy machine may paint the old one once more.
    """
    page.evaluate(SEEK, GAPS_MILLIS[number] / 1000 + 0.02)
    for _ in range(LOOKS):
        picture = picture_from_data_url(page.evaluate(PICTURE))
        if number_in(picture) == number:
            break
        page.wait_for_timeout(100)
    return picture


def picture_from_data_url(url: str) -> Any:
    content = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).transpose(2, 0, 1)
