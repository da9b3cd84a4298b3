"""What is hidden is not seen: alpha lies on black, and a crop leaves out its pixels alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coloured import (
    BOUND,
    BT601,
    PATCHES,
    chart,
    planes_in,
    planes_of,
    rgb_of,
    write_packed,
    write_planes,
)
from colours_seen import assert_right

from adaspark.video.boxes import Crop
from adaspark.video.probe import scan
from adaspark.video.rgb import RgbPictures
from adaspark.video.turn import Turn
from app.media.browser_frames import BrowserFrames


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [
        ("libvpx-vp9", "yuva420p", "webm"),
        ("libvpx", "yuva420p", "webm"),
        ("prores_ks", "yuva444p10le", "mov"),
        ("ffv1", "yuva420p", "mkv"),
    ],
)
def test_alpha_is_laid_on_black(tmp_path: Path, codec: str, pixel_format: str, suffix: str) -> None:
    bits = 10 if "10" in pixel_format else 8
    planes = planes_of(chart(), 6, full_range=False, bits=bits)
    alpha, expected = with_alpha(planes[0], (1 << bits) - 1)
    path = write_planes(
        tmp_path / f"clip.{suffix}",
        np.stack([*planes, alpha]),
        codec=codec,
        pixel_format=pixel_format,
        colour_range=1,
        **BT601,
    )
    reading = scan(path).colour
    assert reading.has_alpha and not reading.is_complete
    assert_right(path, tmp_path, expected)


@pytest.mark.parametrize(("codec", "pixel_format"), [("png", "rgba"), ("qtrle", "argb")])
def test_alpha_of_rgb_is_laid_on_black(tmp_path: Path, codec: str, pixel_format: str) -> None:
    rgb = np.rint(255 * chart()).astype(np.uint8)
    alpha, expected = with_alpha(rgb[..., 0], 255)
    order = [rgb, alpha[..., None]] if pixel_format == "rgba" else [alpha[..., None], rgb]
    path = write_packed(tmp_path / "clip.mov", np.concatenate(order, -1), codec, pixel_format)
    assert_right(path, tmp_path, expected)


def with_alpha(like: np.ndarray, opaque: int) -> tuple[np.ndarray, np.ndarray]:
    """Alpha that hides the first patch and halves the second, and what is then seen."""
    share = np.array([0, 0.5, 1, 1, 1, 1])
    column = np.arange(like.shape[1]) * len(share) // like.shape[1]
    alpha = np.broadcast_to(np.rint(share[column] * opaque), like.shape).astype(like.dtype)
    return alpha, PATCHES * share[:, None]


def test_what_lost_a_little_of_its_opacity_in_compression_is_opaque(tmp_path: Path) -> None:
    planes = planes_of(chart(), 6, full_range=False)

    def seen(alpha: int) -> np.ndarray:
        path = tmp_path / f"{alpha}.mkv"
        stored = np.stack([*planes, np.full_like(planes[0], alpha)])
        write_planes(path, stored, codec="ffv1", pixel_format="yuva420p", colour_range=1, **BT601)
        found = scan(path)
        frame, _ = next(iter(found.reader.frames([0])))
        return RgbPictures(found.colour, Crop()).picture(frame)

    assert np.array_equal(seen(253), seen(255))
    assert not np.array_equal(seen(250), seen(255))


@pytest.mark.parametrize("kind", ["plain", "hdr", "alpha"])
def test_a_crop_takes_its_pixels_and_no_others(tmp_path: Path, kind: str) -> None:
    planes = planes_of(chart(), 6, full_range=False)
    path = write_planes(
        tmp_path / "clip.mkv",
        planes,
        codec="ffv1",
        pixel_format="yuv444p",
        colour_range=1,
        **BT601,
    )
    found = scan(path)
    reading = replace(found.colour, has_alpha=kind == "alpha", transfer=16 if kind == "hdr" else 1)
    (frame, _), crop = next(iter(found.reader.frames([0]))), Crop(left=33, top=1, right=65)
    whole = RgbPictures(reading, Crop()).picture(frame)
    kept = RgbPictures(reading, crop).picture(frame)
    assert kept.shape == (127, 94, 3)
    assert np.array_equal(kept, whole[1:, 33:-65])
    copied = BrowserFrames(reading, crop, Turn(), (94, 126)).upright(frame)
    seen = rgb_of(planes_in(copied), 6, full_range=False)
    rows = slice(20, 100)
    # Away from edges, which are half as fine in the copy's chroma.
    for column in (12, 45, 80):
        assert np.abs(seen[rows, column] - kept[rows, column]).max() <= BOUND
