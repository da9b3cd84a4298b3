"""The same laws on files that FFmpeg's own program wrote, with its pictures as the oracle."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from clips import SIZE, number_in, set_matrix, write_clip

from adaspark.video.clip import Sampling, probe, read_clip

FFMPEG = shutil.which("ffmpeg")
SMALL = Sampling(fps=4, max_frames=8, min_pixels=56 * 56, max_pixels=168 * 168)
# Frames at their own size: 112 x 112 divides by 28, so nothing is resized.
AS_STORED = Sampling(fps=4, max_frames=8, min_pixels=28 * 28, max_pixels=10**6)

pytestmark = pytest.mark.skipif(FFMPEG is None, reason="the ffmpeg program is not installed")


def ffmpeg(*arguments: str | Path) -> bytes:
    command = [FFMPEG or "ffmpeg", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 numbered frames, lossless, 12 a second."""
    return write_clip(
        tmp_path_factory.mktemp("source") / "source.mkv",
        codec="ffv1",
        frames=48,
        pixel_format="yuv444p",
    )


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("b-frames.mp4", "-c:v libx264 -pix_fmt yuv420p -bf 3"),
        ("fragments.mp4", "-c:v libx264 -pix_fmt yuv420p -movflags frag_keyframe+empty_moov -g 12"),
        ("b-frames.avi", "-c:v libx264 -pix_fmt yuv420p -bf 3"),
        ("divx.avi", "-c:v mpeg4 -bf 2 -q:v 3"),
        ("full-range.mov", "-c:v mjpeg -pix_fmt yuvj420p -q:v 2"),
        ("live.mkv", "-c:v libx264 -pix_fmt yuv420p -f matroska -live 1"),
        ("live.webm", "-c:v libvpx -b:v 1M -deadline realtime -cpu-used 8 -f webm -live 1"),
        ("low-delay.mp4", "-c:v libx265 -x265-params log-level=none -tag:v hvc1"),
    ],
)
def test_files_of_another_writer(name: str, arguments: str, source: Path, tmp_path: Path) -> None:
    # One thread: those of libvpx spin, on busy cores for minutes.
    ffmpeg("-i", source, *arguments.split(), "-threads", "1", tmp_path / name)
    clip = read_clip(tmp_path / name, SMALL)
    numbers = [number_in(frame) for frame in clip.frames]
    assert numbers == [0, 6, 12, 18, 24, 30, 36, 42]
    assert clip.times_secs == pytest.approx(np.array(numbers) / 12, abs=0.002)


def test_a_cut_without_re_encoding_starts_where_its_edit_list_says(
    source: Path, tmp_path: Path
) -> None:
    whole, part = tmp_path / "whole.mp4", tmp_path / "part.mp4"
    ffmpeg("-i", source, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "48", whole)
    ffmpeg("-ss", "1.5", "-i", whole, "-c", "copy", part)
    clip = read_clip(part, SMALL)
    numbers = [number_in(frame) for frame in clip.frames]
    assert numbers[0] == 18
    assert clip.info.frames == 30
    assert clip.times_secs == pytest.approx((np.array(numbers) - 18) / 12, abs=0.002)


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv"])
def test_a_shifted_start(name: str, source: Path, tmp_path: Path) -> None:
    ffmpeg("-i", source, "-c:v", "libx264", "-output_ts_offset", "7.5", tmp_path / name)
    clip = read_clip(tmp_path / name, SMALL)
    assert [number_in(frame) for frame in clip.frames] == [0, 6, 12, 18, 24, 30, 36, 42]
    assert clip.times_secs == pytest.approx(np.arange(8) / 2, abs=0.002)
    assert clip.info.duration_secs == pytest.approx(4, abs=0.01)


@pytest.mark.parametrize(
    "matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1)]
)
def test_upright_is_what_ffmpeg_shows(matrix: tuple[int, int, int, int], tmp_path: Path) -> None:
    path = set_matrix(write_clip(tmp_path / "turned.mp4", size=(112, 56)), matrix)
    raw = ffmpeg("-i", path, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    info = probe(path)
    shown = np.frombuffer(raw, np.uint8).reshape(info.height, info.width, 3)
    ours = read_clip(path, AS_STORED).frames[0].permute(1, 2, 0).numpy()
    assert ours.shape == shown.shape
    assert np.abs(ours.astype(int) - shown).mean() < 3


def test_a_header_that_overstates_the_duration_is_corrected(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "boast.mp4"
    ffmpeg("-i", source, "-c:v", "libx264", "-pix_fmt", "yuv420p", path)
    content = bytearray(path.read_bytes())
    at = content.index(b"mvhd") + 4 + 16
    content[at : at + 4] = (3_600_000).to_bytes(4, "big")
    path.write_bytes(content)
    assert probe(path).duration_secs == pytest.approx(4, abs=0.01)


def test_colours_are_those_of_the_tagged_matrix(tmp_path: Path) -> None:
    for matrix in ("bt601", "bt709"):
        path = tmp_path / f"{matrix}.mp4"
        tag = {"bt601": "smpte170m", "bt709": "bt709"}[matrix]
        ffmpeg(
            *("-f", "lavfi", "-i", f"color=0x2060c0:s={SIZE[0]}x{SIZE[1]}:d=1:r=4"),
            *("-vf", f"scale=out_color_matrix={matrix}", "-colorspace", tag),
            *("-c:v", "libx264", "-pix_fmt", "yuv420p", path),
        )
        shown = read_clip(path, SMALL).frames[0].float().mean(dim=(1, 2))
        assert shown.tolist() == pytest.approx([0x20, 0x60, 0xC0], abs=4)
