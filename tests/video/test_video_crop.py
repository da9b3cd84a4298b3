"""Crops of the container are taken away before the picture is turned and stretched."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import MATRIX_FROM_TURN, clip_aperture, crop_matroska, set_matrix, write_clip

from adaspark.video.boxes import Crop
from adaspark.video.clip import Sampling, probe, read_clip
from adaspark.video.probe import scan

AS_STORED = Sampling(fps=1, max_frames=2, min_pixels=28 * 28, max_pixels=10**6)


def stored(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_matroska_and_mp4_say_the_same_crop(tmp_path: Path) -> None:
    mkv = write_clip(tmp_path / "a.mkv", size=(168, 112))
    crop_matroska(mkv, left=28, top=20, right=56, bottom=8)
    # 84 x 84 is kept, whose middle lies 14 to the left of the picture's and 6 below it.
    mp4 = clip_aperture(write_clip(tmp_path / "a.mp4", size=(168, 112)), (84, 84), (-14, 6))
    for path in (mkv, mp4):
        assert scan(path).crop == Crop(left=28, top=20, right=56, bottom=8)
        clip = read_clip(path, AS_STORED)
        assert (clip.info.width, clip.info.height) == (84, 84)
        expected = stored(path)[20:104, 28:112]
        assert np.array_equal(clip.frames[0].permute(1, 2, 0).numpy(), expected)


def test_a_crop_comes_before_the_turn(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", size=(168, 112))
    set_matrix(clip_aperture(path, (112, 84), (28, 14)), MATRIX_FROM_TURN[90])
    clip = read_clip(path, AS_STORED)
    assert (clip.info.width, clip.info.height, clip.info.rotation) == (84, 112, 90)
    expected = np.rot90(stored(path)[28:112, 56:168], k=-1)
    assert np.array_equal(clip.frames[0].permute(1, 2, 0).numpy(), expected)


def test_a_crop_comes_before_the_aspect(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", size=(168, 112), pixel_aspect=Fraction(2))
    clip_aperture(path, (84, 112))
    assert (probe(path).width, probe(path).height) == (168, 112)


@pytest.mark.parametrize("size", [(0, 84), (400, 84)])
def test_a_crop_that_does_not_fit_is_ignored(size: tuple[int, int], tmp_path: Path) -> None:
    path = clip_aperture(write_clip(tmp_path / "a.mp4", size=(168, 112)), size)
    assert (probe(path).width, probe(path).height) == (168, 112)


def test_a_crop_of_the_stream_itself_is_applied(tmp_path: Path) -> None:
    # H.264 stores whole blocks of 16: 104 rows as 112, eight of them cropped.
    assert probe(write_clip(tmp_path / "a.mp4", size=(168, 104))).height == 104
