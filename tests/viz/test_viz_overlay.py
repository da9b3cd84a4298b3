"""What is burned into frames is what the trace kept, at the time the frame is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from coded_clip import number_of, write_coded_clip
from PIL import Image
from trace_factory import make_trace

from adaspark.trace.trace import Trace
from viz.data.statistics import TraceView
from viz.palette import cividis
from viz.video import encode as film
from viz.video import overlay

FRAME = np.full((180, 320, 3), 200, np.uint8)
FRAME[..., 0] = 90  # coloured, so that losing colour shows


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(grids=((12, 9, 16),), cube=(2, 4, 5), layers=2, fps=8.0)


def middles(trace: Trace, slice_: int) -> list[tuple[int, int, int]]:
    """(cube, y, x) of the middle of each cube that covers a slice, in a 180 x 320 frame."""
    return [
        (i, int((r0 + r1) / 2 * 180 / 9), int((c0 + c1) / 2 * 320 / 16))
        for i, (_, t0, t1, r0, r1, c0, c1) in enumerate(trace.bounds.tolist())
        if t0 <= slice_ < t1
    ]


@pytest.mark.parametrize("kind", ["video", "question", "answer"])
def test_spotlight_leaves_kept_cubes_and_dims_dropped_ones(trace: Trace, kind: Any) -> None:
    picture = overlay.draw(FRAME, trace, 1, 5, kind=kind, mode="spotlight")
    share = TraceView(trace).kept(kind)[1]
    kept = share >= min(share.mean(), 0.5) - 0.002
    for cube, y, x in middles(trace, 5):
        if kept[cube]:
            assert (picture[y, x] == FRAME[y, x]).all()
        else:
            assert picture[y, x].max() < 70 and np.ptp(picture[y, x].astype(int)) < 12


def test_outline_touches_no_middle_and_heat_follows_the_share(trace: Trace) -> None:
    outline = overlay.draw(FRAME, trace, 1, 5, mode="outline")
    heat = overlay.draw(FRAME, trace, 1, 5, mode="heat")
    share = TraceView(trace).kept("question")[1]
    for cube, y, x in middles(trace, 5):
        assert (outline[y, x] == FRAME[y, x]).all()
        expected = 0.35 * FRAME[y, x] + 0.65 * cividis(share[cube])
        assert np.abs(heat[y, x] - expected).max() <= 1
    assert (outline != FRAME).any()


def test_ffn_darkens_exactly_the_tokens_that_skip(trace: Trace) -> None:
    picture = overlay.draw(FRAME, trace, 0, 3, mode="ffn")
    mask = trace.ffn_mask()[0].reshape(12, 9, 16)[3]
    for row in range(9):
        for column in range(16):
            cell = picture[row * 20 : row * 20 + 20, column * 20 : column * 20 + 20]
            same = (cell == FRAME[:20, :20]).all()
            assert same == mask[row, column]


def test_drawing_leaves_the_frame_alone_and_a_slice_beyond_the_video_undrawn(trace: Trace) -> None:
    before = FRAME.copy()
    picture = overlay.draw(FRAME, trace, 0, 99)
    assert (picture == before).all() and (before == FRAME).all()


def test_second_video_has_its_own_grid() -> None:
    trace = make_trace(grids=((4, 4, 4), (2, 2, 2)), cube=(4, 4, 4), layers=1, ffn_top_p=0.3)
    picture = overlay.draw(FRAME, trace, 0, 5, mode="ffn")
    mask = trace.ffn_mask()[0, 64 + 4 :].reshape(2, 2)
    for row in range(2):
        for column in range(2):
            cell = picture[row * 90 : row * 90 + 90, column * 160 : column * 160 + 160]
            assert (cell == FRAME[:90, :160]).all() == mask[row, column]


def test_slice_at_uses_presentation_times() -> None:
    starts = np.array([0.0, 0.4, 2.0, np.nan])
    times = [-1, 0, 0.39, 0.3999, 0.4, 1.99, 2.0, 50]
    assert [film.slice_at(starts, t) for t in times] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert film.slice_at(np.array([np.nan]), 3.0) == 0


def test_png_is_the_drawing(trace: Trace, tmp_path: Path) -> None:
    overlay.write_png(tmp_path / "a.png", FRAME, trace, 1, 5, mode="heat")
    with Image.open(tmp_path / "a.png") as image:
        assert (np.asarray(image) == overlay.draw(FRAME, trace, 1, 5, mode="heat")).all()


def test_mp4_keeps_times_and_shows_each_frames_own_slice(trace: Trace, tmp_path: Path) -> None:
    clip = write_coded_clip(tmp_path / "in.mp4", frames=24, fps=8)
    out = tmp_path / "out.mp4"
    overlay.write_mp4(trace, clip, out, layer=1, mode="spotlight")
    with av.open(str(clip)) as before, av.open(str(out)) as after:
        times = [frame.time for frame in before.decode(video=0)]
        frames = list(after.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx(times)
    share = TraceView(trace).kept("question")[1]
    kept = share >= min(share.mean(), 0.5) - 0.002
    for number, frame in enumerate(frames):
        pixels = frame.to_ndarray(format="rgb24").astype(float)
        for cube, y, x in middles(trace, number // 2):
            if kept[cube]:
                assert number_of(pixels[y - 2 : y + 3, x - 2 : x + 3].mean()) == number


def test_mp4_of_an_odd_size_loses_at_most_one_row_and_column(tmp_path: Path) -> None:
    trace = make_trace(grids=((2, 2, 2),), layers=1)
    clip = tmp_path / "odd.webm"
    with av.open(str(clip), "w") as sink:
        stream = sink.add_stream("libvpx-vp9", rate=8)
        stream.width, stream.height, stream.pix_fmt = 33, 21, "yuv420p"
        for _ in range(3):
            pixels = np.full((21, 33, 3), 128, np.uint8)
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        sink.mux(stream.encode())
    overlay.write_mp4(trace, clip, tmp_path / "out.mp4", layer=0)
    with av.open(str(tmp_path / "out.mp4")) as after:
        assert (after.streams.video[0].width, after.streams.video[0].height) == (32, 20)
        assert len(list(after.decode(video=0))) == 3
