"""Any usable video becomes upright, correctly timed frames, whichever decoder reads it."""

from __future__ import annotations

import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from clips import copy_packets, hide_after, is_upright, number_in, set_matrix, write_clip

from adaspark.video.clip import (
    Sampling,
    probe,
    read_clip,
    sample_times,
)

SMALL = Sampling(fps=4, max_frames=8, min_pixels=56 * 56, max_pixels=168 * 168)
GAPS_MILLIS = [0, 40, 90, 1000, 1040, 1500, 1541, 3000, 3010, 3500]

KINDS = {
    "h264.mp4": ("libx264", "MP4", "h264"),
    "h264.mov": ("libx264", "MOV", "h264"),
    "h264.mkv": ("libx264", "MKV", "h264"),
    "h264.avi": ("libx264", "AVI", "h264"),
    "hevc.mp4": ("libx265", "MP4", "hevc"),
    "hevc.mkv": ("libx265", "MKV", "hevc"),
    "vp9.webm": ("libvpx-vp9", "WebM", "vp9"),
    "av1.webm": ("libsvtav1", "WebM", "av1"),
    "av1.mp4": ("libsvtav1", "MP4", "av1"),
    "mpeg4.avi": ("mpeg4", "AVI", "mpeg4"),
}


@pytest.mark.few(5)
@pytest.mark.parametrize("name", KINDS)
def test_every_codec_and_container_shows_the_right_frames(name: str, tmp_path: Path) -> None:
    codec, container, codec_name = KINDS[name]
    clip = read_clip(write_clip(tmp_path / name, codec=codec), SMALL)
    assert (clip.info.container, clip.info.codec) == (container, codec_name)
    assert (clip.info.width, clip.info.height, clip.info.frames) == (128, 96, 24)
    assert clip.info.duration_secs == pytest.approx(2, abs=0.002)
    assert [number_in(frame) for frame in clip.frames] == [0, 3, 6, 9, 12, 15, 18, 21]
    assert clip.times_secs == pytest.approx(np.arange(8) / 4, abs=0.001)
    assert all(is_upright(frame) for frame in clip.frames)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("size", [(128, 96), (96, 128)])
def test_a_turned_phone_clip_is_upright(turn: int, size: tuple[int, int], tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "phone.mp4", turn=turn, size=size), SMALL)
    assert (clip.info.rotation, clip.info.width, clip.info.height) == (turn, *size)
    assert [number_in(frame) for frame in clip.frames] == [0, 3, 6, 9, 12, 15, 18, 21]
    assert all(is_upright(frame) for frame in clip.frames)


def test_a_turned_clip_that_starts_black_is_upright(tmp_path: Path) -> None:
    # A black frame looks the same turned or not, so it cannot tell whether decord turned it.
    clip = read_clip(write_clip(tmp_path / "fade.mp4", turn=180, blank_frames=[0]), SMALL)
    assert all(is_upright(frame) for frame in clip.frames[1:])


def test_a_mirrored_clip_is_mirrored_back(tmp_path: Path) -> None:
    plain = read_clip(write_clip(tmp_path / "plain.mp4"), SMALL)
    matrix = (-1, 0, 0, 1)
    mirrored = read_clip(set_matrix(write_clip(tmp_path / "selfie.mp4"), matrix), SMALL)
    difference = (mirrored.frames.flip(-1).int() - plain.frames.int()).abs()
    assert difference.max() <= 2


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_variable_frame_rate_shows_what_is_on_screen_at_each_time(
    container: str, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / f"gaps.{container}", times_millis=GAPS_MILLIS)
    clip = read_clip(path, SMALL)
    wanted_millis = np.array(sample_times(clip.info, SMALL)) * 1000
    on_screen = [max(n for n, t in enumerate(GAPS_MILLIS) if t <= w + 1) for w in wanted_millis]
    assert [number_in(frame) for frame in clip.frames] == on_screen
    assert clip.times_secs == pytest.approx([GAPS_MILLIS[n] / 1000 for n in on_screen], abs=1e-3)
    assert len(set(on_screen)) > 3


@pytest.mark.parametrize("container", ["mp4", "mkv", "webm"])
def test_a_late_start_counts_as_zero(container: str, tmp_path: Path) -> None:
    codec = "libvpx-vp9" if container == "webm" else "libx264"
    late = [5000 + 100 * n for n in range(20)]
    clip = read_clip(
        write_clip(tmp_path / f"late.{container}", times_millis=late, codec=codec), SMALL
    )
    assert clip.times_secs[0] == 0
    assert clip.info.duration_secs < 2.2
    numbers = [number_in(frame) for frame in clip.frames]
    assert clip.times_secs == pytest.approx([n / 10 for n in numbers], abs=0.002)


@pytest.mark.parametrize("name", ["headless.mp4", "headless.mkv"])
def test_frames_before_the_first_key_frame_are_left_out(name: str, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / f"whole-{name}", g="8")
    clip = read_clip(copy_packets(whole, tmp_path / name, first=3), SMALL)
    numbers = [number_in(frame) for frame in clip.frames]
    assert numbers[0] == 8
    assert clip.info.frames == 16
    assert clip.times_secs == pytest.approx((np.array(numbers) - 8) / 12, abs=0.002)


def test_frames_after_the_end_of_the_edit_list_are_left_out(tmp_path: Path) -> None:
    path = hide_after(write_clip(tmp_path / "cut.mp4", preset="medium", bf="2"), 1000)
    assert probe(path).duration_secs == pytest.approx(1, abs=0.09)
    assert max(number_in(frame) for frame in read_clip(path, SMALL).frames) <= 12


def test_a_long_last_frame_of_unstated_length_is_no_sign_of_damage(tmp_path: Path) -> None:
    # Matroska announces 14 s, and five frames that start within 4 s.
    slides = write_clip(
        tmp_path / "slides.mkv",
        times_millis=[0, 1000, 2000, 3000, 4000],
        codec="mjpeg",
        pixel_format="yuvj420p",
    )
    content = bytearray(slides.read_bytes())
    at = content.index(b"\x44\x89\x88") + 3
    content[at : at + 8] = struct.pack(">d", 14_000)
    slides.write_bytes(content)
    assert probe(slides).frames == 5


def test_one_frame_fills_one_slice(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "one.mp4", frames=1), SMALL)
    assert clip.info.frames == 1
    assert (len(clip.frames), clip.grid[0], clip.times_secs) == (2, 1, [0.0, 0.0])
    assert torch.equal(clip.frames[0], clip.frames[1])


@pytest.mark.parametrize(
    ("size", "codec", "pixel_format", "name"),
    [
        ((321, 179), "libx264", "yuv444p", "odd.mp4"),
        ((321, 179), "libvpx-vp9", "yuv420p", "odd.webm"),
        ((127, 95), "png", "rgb24", "odd.mov"),
        ((128, 96), "libx265", "yuv420p10le", "ten-bit.mp4"),
        ((128, 96), "png", "rgba", "alpha.mov"),
        ((128, 96), "prores_ks", "yuva444p10le", "alpha-ten-bit.mov"),
    ],
)
def test_odd_sizes_depths_and_alpha(
    size: tuple[int, int], codec: str, pixel_format: str, name: str, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / name, size=size, codec=codec, pixel_format=pixel_format)
    clip = read_clip(path, SMALL)
    assert (clip.info.width, clip.info.height) == size
    assert [number_in(frame) for frame in clip.frames] == [0, 3, 6, 9, 12, 15, 18, 21]
    assert all(is_upright(frame) for frame in clip.frames)


@pytest.mark.parametrize("size", [(2, 2), (16, 2), (400, 2)])
def test_tiny_and_thin_videos(size: tuple[int, int], tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "tiny.mp4", size=size), SMALL)
    assert (clip.info.width, clip.info.height) == size
    assert clip.frames.shape[0] == 8


def test_stretched_pixels_become_square(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "wide.mp4", pixel_aspect=Fraction(2))
    assert (probe(path).width, probe(path).height) == (256, 96)
    turned = write_clip(tmp_path / "tall.mp4", pixel_aspect=Fraction(2), turn=90, size=(96, 128))
    assert (probe(turned).width, probe(turned).height) == (96, 256)


def test_a_relative_path_and_an_awkward_name_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "plain.mp4", frames=4)
    for name in ("concat:a|b.mp4", "%03d.mp4", "ünï çødé 视频.mp4", "no extension"):
        os.link("plain.mp4", name)
        assert len(read_clip(name, SMALL).frames) == 4


def test_reading_says_nothing_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    read_clip(write_clip(tmp_path / "plain.mp4"), SMALL)
    assert capfd.readouterr() == ("", "")


def test_packaged_real_footage() -> None:
    import gradio

    folder = Path(gradio.__file__).parent / "media_assets" / "videos"
    for name, size in (("b.mp4", (480, 270)), ("b.avi", (480, 270))):
        clip = read_clip(folder / name, SMALL)
        assert (clip.info.width, clip.info.height) == size
        assert clip.frames.shape[:2] == (8, 3)
        with av.open(str(folder / name)) as container:
            decoded_secs = [f.time for f in container.decode(video=0)]
        assert clip.info.frames == len(decoded_secs)
        assert clip.info.duration_secs == pytest.approx(
            decoded_secs[-1] - decoded_secs[0], rel=0.02
        )
