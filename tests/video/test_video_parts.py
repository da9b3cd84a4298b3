"""A clip that is read in parts, several at a time, is the clip that is read as one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from clips import write_clip
from hypothesis import given
from hypothesis import strategies as st

from adaspark.errors import UserError
from adaspark.video import clip as video
from adaspark.video import parts
from adaspark.video.parts import in_parts, part_length


@given(st.integers(0, 60), st.integers(1, 25), st.integers(1, 5))
def test_all_come_in_order(count: int, length: int, readers: int) -> None:
    times = [float(n) for n in range(count)]
    assert list(in_parts(iter, times, length=length, readers=readers)) == times


@given(st.integers(0, 40), st.integers(0, 39), st.integers(1, 9), st.integers(1, 4))
def test_what_fails_in_a_part_is_for_the_whole_to_judge(
    count: int, broken: int, length: int, readers: int
) -> None:
    times = [float(n) for n in range(count)]

    def read(asked: Sequence[float]) -> Iterator[float]:
        for time_secs in asked:
            if time_secs == broken and len(asked) < count:
                raise UserError("a part has lost too much")
            yield time_secs

    assert list(in_parts(read, times, length=length, readers=readers)) == times


def test_what_fails_in_the_whole_too_is_said() -> None:
    def read(asked: Sequence[float]) -> Iterator[float]:
        yield from asked[:1]
        raise UserError("damaged")

    with pytest.raises(UserError, match="damaged"):
        list(in_parts(read, [0.0, 1.0, 2.0, 3.0], length=2, readers=2))


def test_an_error_of_ours_is_not_hidden() -> None:
    def read(asked: Sequence[float]) -> Iterator[float]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_parts(read, [0.0, 1.0, 2.0], length=1, readers=2))


def test_no_more_than_the_readers_parts_are_begun_ahead() -> None:
    begun: list[float] = []

    def read(asked: Sequence[float]) -> Iterator[float]:
        begun.append(asked[0])
        yield from asked

    frames = in_parts(read, [float(n) for n in range(40)], length=4, readers=3)
    for taken in range(40):
        next(frames)
        assert max(begun) <= 4 * (taken // 4 + 2)  # the part in hand, and two after it
    frames.close()


def test_who_goes_away_leaves_no_thread() -> None:
    def read(asked: Sequence[float]) -> Iterator[float]:
        yield from asked

    frames = in_parts(read, [float(n) for n in range(400)], length=50, readers=4)
    next(frames)
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("part")]


def test_short_clips_and_large_frames_are_read_as_one() -> None:
    assert part_length(4 * parts.LEAST_FRAMES - 4, 1, readers=4) == 4 * parts.LEAST_FRAMES - 4
    assert part_length(4 * parts.LEAST_FRAMES, 1, readers=4) == parts.LEAST_FRAMES
    too_large = parts.PART_BYTES // parts.LEAST_FRAMES + 1
    assert part_length(1000, too_large, readers=4) == 1000
    assert part_length(0, 1, readers=4) == 1
    assert part_length(1000, 1, readers=1) == 1000


def test_the_first_of_many_frames_are_soon_at_hand() -> None:
    """While the tower encodes them, others are read; near ones would be decoded twice."""
    assert part_length(1000, 1, 2, parts.SPREAD_FRAMES) == parts.MOST_FRAMES
    assert part_length(1000, 1, 2, parts.SPREAD_FRAMES - 1) == 500


@pytest.mark.parametrize(("cores", "near", "far"), [(1, 1, 1), (2, 1, 2), (8, 2, 2), (64, 2, 2)])
def test_frames_far_apart_have_two_readers_on_two_cores(
    cores: int, near: int, far: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.os, "cpu_count", lambda: cores)
    assert parts.readers_here(parts.FAR_FRAMES - 1) == near
    assert parts.readers_here(parts.FAR_FRAMES) == far


def test_a_few_frames_far_apart_are_parts() -> None:
    assert part_length(64, 1, 2, parts.FAR_FRAMES) == 32
    assert part_length(64, 1, 2, parts.FAR_FRAMES - 1) == 64
    assert part_length(14, 1, 2, parts.FAR_FRAMES) == 14


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9"])
def test_far_frames_by_two_readers_are_those_of_one(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels and times of a long clip, where each frame is sought."""
    options = {"g": "50"} | ({"bf": "2"} if codec == "libx264" else {})
    path = write_clip(tmp_path / "clip.mkv", frames=700, codec=codec, **options)
    sampling = video.Sampling(max_frames=20, min_pixels=56 * 56, max_pixels=112 * 112)
    found = []
    for cores in (1, 2):
        monkeypatch.setattr(parts.os, "cpu_count", lambda cores=cores: cores)
        found.append(video.read_clip(path, sampling))
    one, two = found
    assert len(one.frames) == 20 and one.info.frames / 20 >= parts.FAR_FRAMES
    assert torch.equal(one.frames, two.frames) and one.times_secs == two.times_secs


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clip.mp4", {"bf": "2", "g": "12", "preset": "veryfast"}),
        ("one-key.mp4", {"g": "1000"}),
        ("clip.webm", {"codec": "libvpx-vp9", "g": "15"}),
        ("clip.mkv", {"codec": "libx265", "g": "9"}),
        ("clip.avi", {"codec": "mpeg4", "bf": "2"}),
    ],
)
def test_a_file_in_parts_is_the_file_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, str]
) -> None:
    path = write_clip(tmp_path / name, frames=90, **options)
    sampling = video.Sampling(fps=8, max_frames=60, min_pixels=56 * 56, max_pixels=112 * 112)
    as_one = video.read_clip(path, sampling)
    monkeypatch.setattr(parts, "LEAST_FRAMES", 5)
    monkeypatch.setattr(video, "readers_here", lambda _: 3)
    done: list[int] = []
    in_several = video.read_clip(path, sampling, on_progress=lambda n, _: done.append(n))
    assert torch.equal(as_one.frames, in_several.frames)
    assert as_one.times_secs == in_several.times_secs
    assert done == list(range(1, len(as_one.frames) + 1))
