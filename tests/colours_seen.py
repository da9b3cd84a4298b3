"""The colours of a test video's patches as the model and as a browser see them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from coloured import BOUND, PATCHES, patches_in, planes_in, rgb_of

from adaspark.video.clip import Sampling, read_clip
from adaspark.video.probe import scan
from app.media.transcode import encode

SAMPLING = Sampling(min_pixels=192 * 128, max_pixels=400 * 224, max_frames=2)


def shown(path: Path) -> np.ndarray:
    """The patches as the model is shown them."""
    return patches_in(read_clip(path, SAMPLING).frames[0].permute(1, 2, 0))


def played(path: Path, folder: Path) -> np.ndarray:
    """The patches of the browser's copy, by its tags alone, which must be complete."""
    copy = folder / "copy.mp4"
    encode(scan(path), copy)
    with av.open(str(copy)) as container:
        context = container.streams.video[0].codec_context
        told = (context.colorspace, context.color_primaries, context.color_trc)
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == told == (6, 1, 1)
    assert frame.format.name == "yuv420p" and frame.color_range == 1
    return patches_in(rgb_of(planes_in(frame), frame.colorspace, full_range=False))


def assert_right(path: Path, folder: Path, expected: np.ndarray = PATCHES) -> None:
    assert np.abs(shown(path) - expected).max() <= BOUND
    assert np.abs(played(path, folder) - expected).max() <= BOUND
