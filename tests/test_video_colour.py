"""A patch arrives at the model, and in the browser's copy, in the colour that was stored."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from coloured import (
    BOUND,
    PATCHES,
    chart,
    hdr_of,
    patches_in,
    planes_in,
    planes_of,
    rgb_of,
    write_planes,
)

from adaspark.errors import UserError
from adaspark.video import Sampling, read_clip
from adaspark.video_probe import scan
from app.proxy import encode

SAMPLING = Sampling(min_pixels=192 * 128, max_pixels=400 * 224, max_frames=2)
BT601 = {"matrix": 6, "primaries": 6, "transfer": 6}
BT709 = {"matrix": 1, "primaries": 1, "transfer": 1}
BT2020 = {"matrix": 9, "primaries": 9, "transfer": 14}


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


@pytest.mark.parametrize("tags", [BT601, {**BT601, "matrix": 5, "primaries": 5}, BT709, BT2020])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(
    ("codec", "pixel_format", "bits", "suffix"),
    [
        ("libx264", "yuv420p", 8, "mp4"),
        ("libx265", "yuv420p10le", 10, "mp4"),
        ("libvpx-vp9", "yuv420p", 8, "webm"),
        ("ffv1", "yuv444p12le", 12, "mkv"),
    ],
)
def test_stated_colours_arrive(
    tmp_path: Path,
    tags: dict[str, int],
    full_range: bool,
    codec: str,
    pixel_format: str,
    bits: int,
    suffix: str,
) -> None:
    planes = planes_of(chart(), tags["matrix"], full_range=full_range, bits=bits)
    path = write_planes(
        tmp_path / f"clip.{suffix}",
        planes,
        codec=codec,
        pixel_format=pixel_format,
        colour_range=2 if full_range else 1,
        **tags,
    )
    assert_right(path, tmp_path)


@pytest.mark.parametrize(
    ("codec", "suffix", "height", "matrix"),
    [
        ("libx264", "mp4", 718, 6),
        ("libx264", "mp4", 720, 1),
        ("libx265", "mp4", 720, 1),
        ("mpeg4", "avi", 720, 1),
        ("libvpx", "webm", 720, 6),
        ("libvpx-vp9", "webm", 720, 6),
        ("libsvtav1", "mp4", 720, 6),
    ],
)
def test_without_tags_the_matrix_is_that_of_chromium(
    tmp_path: Path, codec: str, suffix: str, height: int, matrix: int
) -> None:
    planes = planes_of(chart((320, height)), matrix, full_range=False)
    path = write_planes(tmp_path / f"clip.{suffix}", planes, codec=codec, frames=2)
    assert scan(path).colour.matrix == matrix
    assert_right(path, tmp_path)


@pytest.mark.parametrize(
    ("stated", "matrix", "full_range"),
    [
        ({"matrix": 1}, 1, False),
        ({"primaries": 1}, 1, False),
        ({"primaries": 1, "transfer": 1}, 1, False),
        ({"matrix": 5, "colour_range": 2}, 5, True),
        ({"colour_range": 2}, 6, True),
        ({"transfer": 1}, 6, False),
        ({"matrix": 9}, 9, False),
    ],
)
def test_what_half_tagged_files_state_is_believed(
    tmp_path: Path, stated: dict[str, int], matrix: int, full_range: bool
) -> None:
    planes = planes_of(chart(), matrix, full_range=full_range)
    path = write_planes(tmp_path / "clip.mp4", planes, **stated)
    reading = scan(path).colour
    assert (reading.matrix, reading.full_range) == (matrix, full_range)
    assert not reading.is_complete
    assert_right(path, tmp_path)


@pytest.mark.parametrize("full_range", [False, True])
def test_the_container_speaks_for_vp8_whose_bitstream_cannot(
    tmp_path: Path, full_range: bool
) -> None:
    planes = planes_of(chart(), 1, full_range=full_range)
    colour_range = 2 if full_range else 1
    path = write_planes(
        tmp_path / "clip.webm", planes, codec="libvpx", colour_range=colour_range, **BT709
    )
    assert_right(path, tmp_path)


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_hdr_comes_back_as_the_sdr_it_was_made_from(tmp_path: Path, transfer: str) -> None:
    planes = planes_of(hdr_of(chart(), transfer), 9, full_range=False, bits=10)
    path = write_planes(
        tmp_path / "clip.mp4",
        planes,
        codec="libx265",
        pixel_format="yuv420p10le",
        colour_range=1,
        matrix=9,
        primaries=9,
        transfer={"pq": 16, "hlg": 18}[transfer],
    )
    assert not scan(path).colour.is_complete
    assert_right(path, tmp_path)


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


def write_packed(path: Path, pixels: np.ndarray, codec: str, pixel_format: str) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=12)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = pixel_format
        for _ in range(2):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=pixel_format)))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [("libx264rgb", "rgb24", "mp4"), ("png", "rgb24", "mov"), ("ffv1", "rgb48le", "mkv")],
)
def test_rgb_has_no_matrix(tmp_path: Path, codec: str, pixel_format: str, suffix: str) -> None:
    deep = pixel_format == "rgb48le"
    pixels = np.rint(chart() * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)
    path = write_packed(tmp_path / f"clip.{suffix}", pixels, codec, pixel_format)
    assert_right(path, tmp_path)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("pixel_format", "bits"), [("gray", 8), ("gray10le", 10)])
def test_grey_is_spread_to_the_full_range(
    tmp_path: Path, full_range: bool, pixel_format: str, bits: int
) -> None:
    planes = planes_of(chart(), 6, full_range=full_range, bits=bits)[:1]
    path = write_planes(
        tmp_path / "clip.mkv",
        planes,
        codec="ffv1",
        pixel_format=pixel_format,
        colour_range=2 if full_range else 1,
    )
    grey = PATCHES @ np.array([0.299, 0.587, 0.114])
    assert_right(path, tmp_path, np.repeat(grey[:, None], 3, axis=1))


def test_a_matrix_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    planes = planes_of(chart(), 6, full_range=False)
    path = write_planes(tmp_path / "clip.mp4", planes, matrix=8)
    with pytest.raises(UserError, match=r"clip.mp4 stores its colours .* convert it to BT.709"):
        scan(path)


@pytest.mark.parametrize(
    ("tags", "complete"),
    [
        ({**BT709, "colour_range": 1}, True),
        ({**BT601, "colour_range": 2}, True),
        ({**BT2020, "colour_range": 1}, False),
        ({"matrix": 1, "primaries": 1, "colour_range": 1}, False),
        ({}, False),
    ],
)
def test_only_tags_that_leave_nothing_open_are_complete(
    tmp_path: Path, tags: dict[str, int], complete: bool
) -> None:
    path = write_planes(tmp_path / "clip.mp4", planes_of(chart(), 6, full_range=False), **tags)
    assert scan(path).colour.is_complete is complete
