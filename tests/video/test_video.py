"""Any usable video becomes upright, correctly timed frames, whichever decoder reads it."""

from __future__ import annotations

import os
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from clips import copy_packets, hide_after, is_upright, number_in, set_matrix, write_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from adaspark.video import clip as video
from adaspark.video import decode as video_decode
from adaspark.video import probe as video_probe
from adaspark.video.clip import Sampling, VideoInfo, probe, read_clip, sample_times, token_grid

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
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


def info_of(*, frames: int, fps: float, size: tuple[int, int] = (640, 360)) -> VideoInfo:
    return VideoInfo(
        path=Path("made-up.mp4"),
        container="MP4",
        codec="h264",
        width=size[0],
        height=size[1],
        rotation=0,
        duration_secs=frames / fps,
        fps=fps,
        frames=frames,
        decoder="pyav",
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("plain") / "plain.mp4")


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


@settings(max_examples=200, deadline=None)
@given(
    frames=st.integers(1, 5000),
    fps=st.sampled_from([0.1, 1.0, 12.0, 24000 / 1001, 25.0, 30.0, 59.94, 240.0]),
    rate=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
    max_frames=st.integers(2, 768),
)
def test_sampling_law(frames: int, fps: float, rate: float, max_frames: int) -> None:
    sampling = Sampling(fps=rate, max_frames=max_frames)
    info = info_of(frames=frames, fps=fps)
    times_secs = sample_times(info, sampling)
    count = len(times_secs)
    assert count % 2 == 0
    assert 2 <= count <= max(max_frames, 2)
    assert times_secs[0] == 0
    assert times_secs[-1] < info.duration_secs
    spacing_secs = np.diff(times_secs)
    assert spacing_secs == pytest.approx(np.full(count - 1, info.duration_secs / count))
    if frames >= 2:
        assert count == transformers_frame_count(frames, fps, sampling)


def transformers_frame_count(frames: int, fps: float, sampling: Sampling) -> int:
    """`Qwen2VLVideoProcessor.sample_frames`, with the same slack for rounded durations."""
    ceiling = min(sampling.max_frames, frames) // 2 * 2
    wanted = min(max(frames / fps * sampling.fps, sampling.min_frames), ceiling, frames)
    return int((wanted + 1e-6) // 2 * 2)


@pytest.mark.parametrize("size", [(128, 96), (96, 128), (321, 179), (64, 8)])
@pytest.mark.parametrize("frames", [1, 3, 24])
def test_the_estimate_before_decoding_is_what_is_decoded(
    size: tuple[int, int], frames: int, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mp4", size=size, frames=frames, pixel_format="yuv444p")
    clip = read_clip(path, SMALL)
    slices, rows, columns = token_grid(probe(path), SMALL)
    assert clip.grid == (slices, rows, columns)
    assert clip.frames.shape == (2 * slices, 3, 28 * rows, 28 * columns)
    patches = video.patchify(clip.frames, SMALL, MEAN, STD)
    assert patches.shape == (slices * rows * columns * 4, 3 * 2 * 14 * 14)
    assert clip.seconds_per_slice == pytest.approx(clip.info.duration_secs / slices)
    assert clip.fps == pytest.approx(len(clip.frames) / clip.info.duration_secs)


def test_streamed_chunks_join_to_the_clip(plain: Path) -> None:
    clip = read_clip(plain, SMALL)
    chunks = list(video.stream_frames(plain, SMALL, slices_per_chunk=3))
    assert [len(chunk.times_secs) for chunk in chunks] == [6, 2]
    assert [t for chunk in chunks for t in chunk.times_secs] == clip.times_secs
    joined = torch.cat([video.patchify(chunk.frames, SMALL, MEAN, STD) for chunk in chunks])
    assert torch.equal(joined, video.patchify(clip.frames, SMALL, MEAN, STD))


def test_streaming_decodes_no_further_than_asked(plain: Path) -> None:
    seen: list[tuple[int, int]] = []
    stream = video.stream_frames(
        plain, SMALL, slices_per_chunk=1, on_progress=lambda done, total: seen.append((done, total))
    )
    next(stream)
    assert len(seen) <= 2
    list(stream)
    assert seen == [(n, 8) for n in range(1, 9)]


def test_progress_can_stop_a_reading(plain: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_clip(plain, SMALL, on_progress=stop)


WANTED = [0, 3, 3, 20, 47, 48, 49, 71, 150, 151, 216, 239, 239]


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv", "long.ts"])
@pytest.mark.parametrize("open_gop", ["0", "1"])
def test_far_jumps_land_on_the_wanted_frame(name: str, open_gop: str, tmp_path: Path) -> None:
    options = {"preset": "medium", "g": "24", "bf": "3", "x264-params": f"open-gop={open_gop}"}
    path = write_clip(tmp_path / name, frames=240, **options)
    shown = list(video_probe.scan(path).reader.frames(WANTED))
    assert [number_of(frame) for frame, _ in shown] == WANTED
    assert all(is_whole for _, is_whole in shown)


def number_of(frame: Any) -> int:
    return number_in(frame.to_ndarray(format="rgb24").transpose(2, 0, 1))


def test_a_seek_that_lands_too_far_starts_again(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=120, g="12")
    index = video_probe.scan(path).index
    with av.open(str(path)) as container:
        landing = Overshooting(container, int(index.pts[24] - index.pts[0]))
        stream = container.streams.video[0]
        cursor = video_decode.Cursor(landing, stream, index, looks_back=False)
        frame = cursor.frame(50)
        assert number_of(frame) == 50
        assert cursor.is_exact(50)


class Overshooting:
    """A container whose index leads two key frames too far, but for the beginning."""

    def __init__(self, container: Any, by_pts: int) -> None:
        self._container, self._by_pts = container, by_pts

    def seek(self, pts: int, *, stream: Any) -> None:
        self._container.seek(pts + self._by_pts if pts else 0, stream=stream)

    def demux(self, stream: Any) -> Any:
        return self._container.demux(stream)


def test_a_relative_path_and_an_awkward_name_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "plain.mp4", frames=4)
    for name in ("concat:a|b.mp4", "%03d.mp4", "ünï çødé 视频.mp4", "no extension"):
        os.link("plain.mp4", name)
        assert len(read_clip(name, SMALL).frames) == 4


def test_content_hash_is_of_the_bytes_alone(plain: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other name.bin"
    copy.write_bytes(plain.read_bytes())
    assert video.content_hash(copy) == video.content_hash(str(plain))
    copy.write_bytes(plain.read_bytes() + b"0")
    assert video.content_hash(copy) != video.content_hash(plain)


def test_reading_says_nothing_on_the_terminal(
    plain: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    read_clip(plain, SMALL)
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
