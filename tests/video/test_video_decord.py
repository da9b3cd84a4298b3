"""A second decoder agrees on which frame is when: decord, on files that it reads rightly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from coded_clip import number_of, write_coded_clip

from adaspark.video.clip import Sampling, read_clip
from adaspark.video.probe import scan

decord = pytest.importorskip("decord", reason="decord has no build for this processor")
EVERY = Sampling(fps=120, max_frames=256, min_pixels=28 * 28, max_pixels=10**6)


def test_both_show_every_frame_under_its_number(tmp_path: Path) -> None:
    path = write_coded_clip(tmp_path / "clip.mp4", frames=24)
    theirs = decord.VideoReader(str(path))
    clip = read_clip(path, EVERY)
    mine = [number_of(float(frame.float().mean())) for frame in clip.frames]
    other = [number_of(float(theirs[i].asnumpy().mean())) for i in range(len(theirs))]
    assert mine == other == list(range(24))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_both_give_every_frame_the_same_time(suffix: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip.{suffix}", frames=20)
    theirs = decord.VideoReader(str(path))
    begins = theirs.get_frame_timestamp(range(len(theirs)))[:, 0]
    mine = scan(path).index.times_secs
    assert len(mine) == len(begins)
    assert np.abs(mine - (begins - begins[0])).max() < 1e-3
