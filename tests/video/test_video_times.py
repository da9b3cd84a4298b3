"""One reading of one file: whoever reads it, each frame has one number and one time."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from clips import SIZE, copy_packets, number_in, picture, write_clip

from adaspark.video.clip import Sampling, probe, read_clip
from adaspark.video.decode import Cursor
from adaspark.video.order import best_effort, one_clock
from adaspark.video.probe import scan
from app.media.uploads import make_proxy

FFMPEG = shutil.which("ffmpeg")
SMALL = Sampling(fps=4, max_frames=16, min_pixels=56 * 56, max_pixels=168 * 168)
FPS = 12

needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="the ffmpeg program is not installed")


def ffmpeg(*arguments: str | Path) -> None:
    command = [FFMPEG or "ffmpeg", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 numbered frames, lossless, 12 a second."""
    path = tmp_path_factory.mktemp("source") / "source.mkv"
    return write_clip(path, codec="ffv1", frames=48, pixel_format="yuv444p")


def frame_number(frame: Any) -> int:
    return number_in(frame.to_ndarray(format="rgb24").transpose(2, 0, 1))


def all_numbers(path: Path) -> list[int]:
    return [frame_number(frame) for _, frame in scan(path).reader.numbered()]


def asp_in_mp4(source: Path, folder: Path) -> Path:
    """MPEG-4 with B-frames, copied out of AVI: decoding order passes for times."""
    ffmpeg("-i", source, "-c:v", "mpeg4", "-bf", "2", "-q:v", "3", folder / "asp.avi")
    ffmpeg("-i", folder / "asp.avi", "-c", "copy", folder / "asp.mp4")
    return folder / "asp.mp4"


def late_b_frames_in_mp4(folder: Path) -> Path:
    """The same, but its first 40 frames are no B-frames, so the trial of the first sees nothing."""
    path = folder / "late.avi"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=FPS, options={"bf": "2", "b": "2M"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(80):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            frame = frame.reformat(format="yuv420p")
            frame.pict_type = PictureType.P if number < 40 else PictureType.NONE
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    ffmpeg("-i", path, "-c", "copy", folder / "late.mp4")
    return folder / "late.mp4"


@pytest.mark.parametrize("name", ["order.mp4", "order.mkv", "order.flv"])
def test_h264_whose_times_are_its_decoding_order(name: str, tmp_path: Path) -> None:
    options = {"preset": "medium", "bf": "3", "g": "12", "x264-params": "b-adapt=0"}
    whole = write_clip(tmp_path / "whole.mkv", frames=48, **options)
    with av.open(str(whole)) as container, av.open(str(tmp_path / name), "w") as output:
        stream = output.add_stream_from_template(container.streams.video[0])
        packets = [packet for packet in container.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            packet.pts = packet.dts = round(1000 * number / FPS)
            packet.stream = stream
            output.mux(packet)
    clip = read_clip(tmp_path / name, SMALL)
    numbers = [number_in(frame) for frame in clip.frames]
    assert numbers == sorted(numbers)
    assert clip.info.frames == 48
    assert clip.times_secs == pytest.approx(np.array(numbers) / FPS, abs=0.002)
    assert len(set(numbers)) >= 14


@needs_ffmpeg
def test_decoding_order_that_passes_for_times_is_not_believed(source: Path, tmp_path: Path) -> None:
    path = asp_in_mp4(source, tmp_path)
    clip = read_clip(path, SMALL)
    numbers = [number_in(frame) for frame in clip.frames]
    assert clip.info.frames == 48
    assert numbers == list(range(0, 48, 3))
    assert clip.times_secs == pytest.approx(np.array(numbers) / FPS, abs=0.002)


@needs_ffmpeg
def test_nor_where_only_later_frames_are_out_of_order(tmp_path: Path) -> None:
    path = late_b_frames_in_mp4(tmp_path)
    assert all_numbers(path) == list(range(80))
    assert scan(path).index.times_secs == pytest.approx(np.arange(80) / FPS, abs=0.1)


def test_a_transport_stream_is_searched_not_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned = scan(write_clip(tmp_path / "long.ts", frames=240, g="24", preset="medium", bf="3"))
    sought: list[int] = []
    seek = Cursor._seek
    monkeypatch.setattr(
        Cursor, "_seek", lambda self, stamp: (sought.append(stamp), seek(self, stamp))
    )
    assert [frame_number(f) for f, _ in scanned.reader.frames([60, 130, 220])] == [60, 130, 220]
    assert len(sought) == 3


@needs_ffmpeg
@pytest.mark.parametrize("name", ["asp.mp4", "packed.avi", "b-frames.ts", "b-frames.mpg"])
def test_the_app_plays_what_the_command_line_reads(name: str, source: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "asp.mp4":
        asp_in_mp4(source, tmp_path)
    else:
        codec = {
            "packed.avi": "-c:v libxvid -q:v 2 -bf 2",
            "b-frames.ts": "-c:v libx264 -pix_fmt yuv420p -bf 3",
            "b-frames.mpg": "-c:v mpeg2video -q:v 2 -bf 2 -r 25",
        }[name]
        try:
            ffmpeg("-i", source, *codec.split(), path)
        except subprocess.CalledProcessError:
            pytest.skip("this ffmpeg has no such encoder")
    read, played = scan(path), scan(make_proxy(probe(path), tmp_path / "proxies"))
    assert len(played.index) == len(read.index) >= 46
    assert played.index.times_secs == pytest.approx(read.index.times_secs, abs=0.001)
    numbers = [frame_number(frame) for _, frame in played.reader.numbered()]
    assert numbers == all_numbers(path)
    assert numbers == sorted(numbers)


BACK = {
    "back.ts": "-c:v libx264 -pix_fmt yuv420p -bf 2",
    "mpeg2.ts": "-c:v mpeg2video -q:v 2 -bf 2 -r 25",
    "back.mpg": "-c:v mpeg2video -q:v 2 -bf 2 -r 25",
    "back.mkv": "-c:v libx264 -pix_fmt yuv420p -bf 2",
    "back.flv": "-c:v libx264 -pix_fmt yuv420p -bf 2",
    "back.ogv": "-c:v libtheora -q:v 9",
}


@needs_ffmpeg
@pytest.mark.parametrize("name", BACK)
def test_times_that_go_back_are_counted_on_and_said(
    name: str, source: Path, tmp_path: Path
) -> None:
    """Two recordings in one file, each with a clock of its own."""
    path = tmp_path / name
    parts = [path.with_stem("a"), path.with_stem("b")]
    for part, place in zip(parts, (("-t", "2"), ("-ss", "2")), strict=True):
        ffmpeg(*place, "-i", source, *BACK[name].split(), part)
    head = 13 if name.endswith("flv") else 0  # which FLV has once
    path.write_bytes(parts[0].read_bytes() + parts[1].read_bytes()[head:])
    clip = read_clip(path, SMALL)
    numbers = [number_in(frame) for frame in clip.frames]
    assert clip.info.duration_secs == pytest.approx(4, abs=0.09)
    # One frame of the source, and one of the 25 a second that some were given.
    assert clip.times_secs == pytest.approx(np.array(numbers) / FPS, abs=1 / FPS + 1 / 25)
    assert numbers[-1] > numbers[8] >= 23
    assert clip.warnings == (
        f"{name} changes its clock at 2.0 s: times are counted on from there.",
    )


def test_a_leap_of_a_broadcast_clock_is_no_long_frame(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "whole.mkv", frames=48, g="12")
    leap = {round(1000 * n / FPS): round(1000 * n / FPS) + 3_600_000 for n in range(24, 48)}
    clip = read_clip(copy_packets(path, tmp_path / "leap.ts", pts_from_pts=leap), SMALL)
    assert clip.info.duration_secs == pytest.approx(4, abs=0.1)
    assert "changes its clock at 2.0 s" in clip.warnings[0]
    assert [number_in(frame) for frame in clip.frames] == list(range(0, 48, 3))


@needs_ffmpeg
def test_a_clock_that_wraps_goes_on(source: Path, tmp_path: Path) -> None:
    # 2**33 ticks of 1/90,000 s are 95,443.7 s: the count starts again in the middle.
    path = tmp_path / "wrap.ts"
    codec = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
    ffmpeg("-i", source, *codec, "-output_ts_offset", "95441", path)
    clip = read_clip(path, SMALL)
    assert [number_in(frame) for frame in clip.frames] == list(range(0, 48, 3))
    assert clip.times_secs == pytest.approx(np.arange(16) / 4, abs=0.002)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
def test_a_picture_that_starts_after_its_sound_keeps_its_times(
    name: str, source: Path, tmp_path: Path
) -> None:
    h264, path = tmp_path / "h264.mp4", tmp_path / name
    ffmpeg("-i", source, "-c:v", "libx264", "-pix_fmt", "yuv420p", h264)
    tone = ("-f", "lavfi", "-i", "sine=d=6")
    late = (*tone, "-itsoffset", "3", "-i", h264, "-map", "0:a", "-map", "1:v")
    ffmpeg(*late, "-c:v", "copy", "-c:a", "aac", path)
    clip = read_clip(path, SMALL)
    numbers = [number_in(frame) for frame in clip.frames]
    assert numbers == list(range(0, 48, 3))
    # What an encoder of sound primes itself with moves both by up to 1,024 samples of 44,100.
    assert clip.info.start_secs == pytest.approx(3, abs=0.03)
    assert clip.times_secs == pytest.approx(3 + np.array(numbers) / FPS, abs=0.03)
    assert clip.info.duration_secs == pytest.approx(4, abs=0.01)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["both.mp4", "both.mkv", "both.ts"])
def test_priming_of_the_sound_is_no_late_picture(name: str, source: Path, tmp_path: Path) -> None:
    tone = ("-f", "lavfi", "-i", "sine=d=4")
    codecs = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "3", "-c:a", "aac")
    ffmpeg("-i", source, *tone, *codecs, tmp_path / name)
    assert read_clip(tmp_path / name, SMALL).times_secs[0] == 0


def test_best_effort_takes_the_stamps_that_rise() -> None:
    rising, falling = [0, 10, 20, None], [0, 20, 10, 30]
    assert best_effort(falling, rising)[:3].tolist() == [0, 10, 20]
    assert best_effort([5, 15, 25, 35], [0, 10, 20, 30]).tolist() == [5, 15, 25, 35]


def times(*stamps: float, longest_gap: float = np.inf) -> list[float]:
    return one_clock(np.array(stamps), usual_gap=10, longest_gap=longest_gap)[0].tolist()


def test_one_clock() -> None:
    nan = float("nan")
    assert times(3, 13, 23) == [3, 13, 23]
    assert times(0, nan, 20) == [0, 10, 20]
    assert times(0, 10, 10, 20) == [0, 10, 15, 20]
    assert times(0, 20, 10, 30) == [0, 10, 20, 30]
    assert times(500, 510, 0, 10) == [500, 510, 520, 530]
    assert times(0, 10, 5000, 5010) == [0, 10, 5000, 5010]
    assert times(0, 10, 5000, 5010, longest_gap=1000) == [0, 10, 20, 30]
    assert times(7) == [7]
