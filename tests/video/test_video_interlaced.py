"""Interlaced video is shown without combs, frame for frame; what is not flagged is left alone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from adaspark.video.clip import DEFAULT_LIMITS, Sampling, read_clip
from adaspark.video.decode import Decoding
from adaspark.video.fields import deinterlaced
from adaspark.video.probe import scan
from app.media.transcode import encode

SIZE = (192, 128)
FRAMES = 30
SAMPLING = Sampling(min_pixels=192 * 112, max_pixels=192 * 128, max_frames=8)


def moment(number: int) -> np.ndarray:
    """Luma [H, W] at one field's time: a bar that moves 4 pixels a field, over still stripes."""
    width, height = SIZE
    luma = np.full((height, width), 60, np.uint8)
    luma[height // 2 :, ::8] = 180
    left = 4 * number % (width - 24)
    luma[: height // 2, left : left + 24] = 220
    return luma


def woven(number: int, *, top_first: bool) -> np.ndarray:
    """The frame of two moments, its lines taken from them in turn."""
    luma = moment(2 * number).copy()
    luma[1 if top_first else 0 :: 2] = moment(2 * number + 1)[1 if top_first else 0 :: 2]
    return luma


def write(path: Path, pictures: list[np.ndarray], codec: str, **options: str) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        for number, luma in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(
                np.concatenate([luma, np.full_like(luma[: SIZE[1] // 2], 128)]), format="yuv420p"
            )
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


H264 = {"crf": "8", "preset": "ultrafast", "flags": "+ildct+ilme", "g": "10"}
FLAGGED = {
    "h264_tff.mp4": ("libx264", {**H264, "x264-params": "tff=1"}, True),
    "h264_bff.mkv": ("libx264", {**H264, "x264-params": "bff=1"}, False),
}


@pytest.fixture(params=FLAGGED)
def interlaced(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    codec, options, top_first = FLAGGED[request.param]
    pictures = [woven(n, top_first=top_first) for n in range(FRAMES)]
    return write(tmp_path / request.param, pictures, codec, **options)


def combs(picture: Any) -> float:
    """How much lines differ from their neighbours' mean in the half with motion, [H, W]."""
    luma = np.asarray(picture, np.float64)[: SIZE[1] // 2 - 4]
    return float(np.abs(luma[1:-1] - (luma[:-2] + luma[2:]) / 2).mean())


COMBED = combs(woven(5, top_first=True))


def stored(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return list(Decoding(container, container.streams.video[0], DEFAULT_LIMITS))


def luma_of(frame: Any) -> np.ndarray:
    return frame.to_ndarray(format="yuv420p")[: SIZE[1]]


def test_the_model_sees_no_combs(interlaced: Path) -> None:
    assert combs(luma_of(stored(interlaced)[5])) > COMBED / 2
    clip = read_clip(interlaced, SAMPLING)
    assert scan(interlaced).colour.interlaced
    for frame in clip.frames:
        assert combs(frame.float().mean(0)) < COMBED / 8


def test_the_browser_sees_no_combs_and_every_frame_at_its_time(
    interlaced: Path, tmp_path: Path
) -> None:
    found = scan(interlaced)
    copy = tmp_path / "copy.mp4"
    encode(found, copy)
    frames = stored(copy)
    assert [frame.time for frame in frames] == pytest.approx(found.index.times_secs.tolist())
    assert not any(frame.interlaced_frame for frame in frames)
    assert max(combs(luma_of(frame)) for frame in frames) < COMBED / 8


def test_a_frame_is_the_same_however_it_was_reached(interlaced: Path) -> None:
    found = scan(interlaced)

    def pictures(wanted: list[int]) -> list[np.ndarray]:
        return [luma_of(frame) for frame, _ in found.reader.frames(wanted)]

    whole = pictures(list(range(FRAMES)))
    for wanted in (0, 1, 9, 10, 11, 20, 29):
        assert np.array_equal(pictures([wanted])[0], whole[wanted])


def test_the_still_half_keeps_every_line(interlaced: Path) -> None:
    lower = slice(SIZE[1] // 2 + 8, SIZE[1] - 8)
    for before, after in zip(
        stored(interlaced)[1:-1], list(deinterlaced(iter(stored(interlaced))))[1:-1], strict=True
    ):
        difference = np.abs(luma_of(before)[lower].astype(int) - luma_of(after)[lower])
        assert difference.mean() < 1


def test_what_is_not_flagged_is_left_alone_and_nothing_is_held_back(tmp_path: Path) -> None:
    pictures = [moment(n) for n in range(6)]
    path = write(tmp_path / "plain.mp4", pictures, "libx264", crf="8", preset="ultrafast")
    frames = stored(path)
    source = iter(frames)
    for frame, made in zip(frames, deinterlaced(source), strict=True):
        assert made is frame
    assert not scan(path).colour.interlaced


@pytest.mark.parametrize("first_flagged", [0, 1, 4])
def test_frames_of_both_kinds_come_out_in_order(tmp_path: Path, first_flagged: int) -> None:
    options = {"crf": "8", "preset": "ultrafast", "bf": "0"}
    plain = stored(write(tmp_path / "a.mp4", [moment(n) for n in range(4)], "libx264", **options))
    codec, flags, _ = FLAGGED["h264_tff.mp4"]
    fields = [woven(n, top_first=True) for n in range(4)]
    flagged = stored(write(tmp_path / "b.mp4", fields, codec, **flags, bf="0"))
    frames = [*plain[:first_flagged], *flagged, *plain[first_flagged:]]
    for number, frame in enumerate(frames):
        frame.pts = number
    made = list(deinterlaced(iter(frames)))
    assert [frame.pts for frame in made] == list(range(8))
    for frame, source in zip(made, frames, strict=True):
        if not source.interlaced_frame:
            assert np.array_equal(luma_of(frame), luma_of(source))
