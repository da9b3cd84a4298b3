"""A patch arrives at the model, and in the browser's copy, in the colour that was stored."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from coloured import (
    BT601,
    BT709,
    BT2020,
    PATCHES,
    chart,
    hdr_of,
    planes_of,
    write_packed,
    write_planes,
)
from colours_seen import assert_right

from adaspark.errors import UserError
from adaspark.video.colour import ColourTags, read_colour
from adaspark.video.probe import scan


@pytest.mark.few(6)
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
@pytest.mark.parametrize(
    ("codec", "name"),
    [("libx265", "clip.mp4"), ("prores_ks", "clip.mov"), ("libsvtav1", "clip.mkv")],
)
def test_hdr_comes_back_as_the_sdr_it_was_made_from(
    tmp_path: Path, transfer: str, codec: str, name: str
) -> None:
    planes = planes_of(hdr_of(chart(), transfer), 9, full_range=False, bits=10)
    path = write_planes(
        tmp_path / name,
        planes,
        codec=codec,
        pixel_format="yuv422p10le" if codec == "prores_ks" else "yuv420p10le",
        colour_range=1,
        matrix=9,
        primaries=9,
        transfer={"pq": 16, "hlg": 18}[transfer],
    )
    assert not scan(path).colour.is_complete
    assert_right(path, tmp_path)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [("libx264rgb", "rgb24", "mp4"), ("png", "rgb24", "mov"), ("ffv1", "rgb48le", "mkv")],
)
def test_rgb_has_no_matrix(tmp_path: Path, codec: str, pixel_format: str, suffix: str) -> None:
    deep = pixel_format == "rgb48le"
    pixels = np.rint(chart() * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)
    path = write_packed(tmp_path / f"clip.{suffix}", pixels, codec, pixel_format)
    assert_right(path, tmp_path)


@pytest.mark.parametrize("stated", [0, 1, 2])
@pytest.mark.parametrize(("pixel_format", "bits"), [("gray", 8), ("gray10le", 10)])
def test_grey_is_spread_to_the_full_range(
    tmp_path: Path, stated: int, pixel_format: str, bits: int
) -> None:
    planes = planes_of(chart(), 6, full_range=stated != 1, bits=bits)[:1]
    path = write_planes(
        tmp_path / "clip.mkv",
        planes,
        codec="ffv1",
        pixel_format=pixel_format,
        colour_range=stated,
    )
    grey = PATCHES @ np.array([0.299, 0.587, 0.114])
    assert_right(path, tmp_path, np.repeat(grey[:, None], 3, axis=1))


def test_a_matrix_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    planes = planes_of(chart(), 6, full_range=False)
    path = write_planes(tmp_path / "clip.mp4", planes, matrix=8)
    with pytest.raises(UserError, match=r"clip.mp4 stores its colours .* convert it to BT.709"):
        scan(path)


def test_dolby_vision_without_a_base_is_refused_by_name(tmp_path: Path) -> None:
    path = write_planes(tmp_path / "a.mp4", planes_of(chart(), 6, full_range=True), colour_range=2)
    with av.open(str(path)) as container:
        plain = next(container.decode(video=0))
    dolby = SimpleNamespace(
        side_data={"DOVI_RPU_BUFFER": b""},
        colorspace=2,
        color_primaries=2,
        color_trc=2,
        color_range=2,
        format=plain.format,
        height=plain.height,
    )
    nothing = ColourTags(None, None, None, None)
    with pytest.raises(UserError, match=r"^a.mp4 is Dolby Vision .*\(profile 5\)"):
        read_colour(nothing, dolby, "hevc", "a.mp4", interlaced=False)
    dolby.color_range = 1  # profile 8.2, whose base is SDR
    assert not read_colour(nothing, dolby, "hevc", "a.mp4", interlaced=False).is_hdr
    dolby.color_trc = 18  # profile 8.4, as phones write it, has a base in HLG
    assert read_colour(nothing, dolby, "hevc", "a.mp4", interlaced=False).is_hdr


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
