"""Which frames are taken: the sampling law, the estimate before decoding, and reading in chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from clips import write_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from adaspark.video import clip as video
from adaspark.video.clip import (
    Sampling,
    VideoInfo,
    probe,
    read_clip,
    sample_times,
    token_grid,
)

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
SMALL = Sampling(fps=4, max_frames=8, min_pixels=56 * 56, max_pixels=168 * 168)


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


def test_content_hash_is_of_the_bytes_alone(plain: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other name.bin"
    copy.write_bytes(plain.read_bytes())
    assert video.content_hash(copy) == video.content_hash(str(plain))
    copy.write_bytes(plain.read_bytes() + b"0")
    assert video.content_hash(copy) != video.content_hash(plain)
