"""Which H.264 streams are plain, in which containers, and what their decoding times are then."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from clips import copy_packets, write_clip

from app.media.plain_h264 import PlainStream, read_plain

B_FRAMES = {"preset": "veryfast", "bf": "3", "g": "12"}


def plain(path: Path) -> PlainStream | None:
    with av.open(str(path)) as container:
        return read_plain(container, container.streams.video[0])


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.flv"])
def test_a_plain_stream_is_plain_in_every_container(name: str, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mp4", frames=48, **B_FRAMES)
    found = plain(copy_packets(source, tmp_path / name))
    assert found is not None and len(found.pts) == 48
    decoding = found.decoding_times
    assert (np.diff(decoding) > 0).all()
    assert (decoding <= found.pts).all() and (decoding == found.pts).any()


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "ultrafast", "bf": "0"},
        {"preset": "veryfast", "x264-params": "slices=4"},
        {"preset": "veryfast", "x264-params": "bframes=16:b-adapt=2:keyint=40"},
        {"preset": "veryfast", "profile": "baseline", "x264-params": "scenecut=0"},
        {"size": (320, 180)},  # cropped below, from 192 lines
    ],
    ids=["no-b", "slices", "many-b", "baseline", "cropped"],
)
def test_these_are_plain(options: dict[str, Any], tmp_path: Path) -> None:
    assert plain(write_clip(tmp_path / "a.mp4", frames=48, **options)) is not None


@pytest.mark.parametrize(
    "params",
    [
        "open-gop=1:keyint=12:bframes=3:scenecut=0",
        "open-gop=1:bluray-compat=1:keyint=12:bframes=3:scenecut=0:level=41",
        "intra-refresh=1:keyint=12:bframes=0",
        "interlaced=1:tff=1",
        "fake-interlaced=1",
        "bframes=0:ref=1",  # changes of scene: key frames that are no IDR pictures
        "keyint=9999:scenecut=0",
    ],
)
def test_these_are_not(params: str, tmp_path: Path) -> None:
    frames = 1200 if "9999" in params else 48
    clip = write_clip(
        tmp_path / "a.mp4", frames=frames, preset="veryfast", **{"x264-params": params}
    )
    assert plain(clip) is None


@pytest.mark.parametrize(
    ("pixel_format", "options"),
    [
        ("yuv422p", {}),
        ("yuv444p", {}),
        ("yuv420p10le", {}),
        ("yuv420p", {"x264-params": "sar=4/3"}),
        ("yuv420p", {"x264-params": "videoformat=pal:crop-rect=2,2,0,0"}),
    ],
    ids=["4:2:2", "4:4:4", "10 bit", "wide pixels", "cropped at the left"],
)
def test_nor_are_other_pictures(pixel_format: str, options: dict[str, str], tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", pixel_format=pixel_format, **options)
    assert plain(clip) is None


def test_a_stream_that_begins_in_the_middle_is_not(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", frames=48, **B_FRAMES)
    assert plain(copy_packets(whole, tmp_path / "cut.ts", first=5)) is None


@pytest.mark.parametrize(("open_gop", "is_plain"), [("0", True), ("1", False)])
def test_an_mp4_that_does_not_list_its_key_frames_goes_by_its_packets(
    open_gop: str, is_plain: bool, tmp_path: Path
) -> None:
    params = f"open-gop={open_gop}:keyint=12:bframes=3:scenecut=0"
    clip = write_clip(tmp_path / "a.mp4", frames=48, preset="veryfast", **{"x264-params": params})
    clip.write_bytes(clip.read_bytes().replace(b"stss", b"free"))
    assert (plain(clip) is not None) is is_plain


@pytest.mark.parametrize("second", [{"size": (160, 96)}, {"preset": "medium", "refs": "4"}])
def test_parameters_that_change_in_the_middle_are_not(
    second: dict[str, Any], tmp_path: Path
) -> None:
    """Two byte streams in a row, as a camera writes that was turned or reset."""
    parts = [{"preset": "ultrafast"}, {"preset": "veryfast", **second}]
    joined = b""
    for n, options in enumerate(parts):
        clip = write_clip(tmp_path / f"{n}.mp4", frames=24, **options)
        joined += copy_packets(clip, tmp_path / f"{n}.h264").read_bytes()
    (tmp_path / "both.h264").write_bytes(joined)
    stamped = tmp_path / "both.mkv"
    with av.open(str(tmp_path / "both.h264")) as source, av.open(str(stamped), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.pts = packet.dts = number * int(packet.duration or 1)
                packet.stream = stream
                output.mux(packet)
    assert plain(stamped) is None


def test_a_header_that_is_cut_short_is_not_plain(tmp_path: Path) -> None:
    with av.open(str(write_clip(tmp_path / "a.mp4", profile="main"))) as container:
        header = bytes(container.streams.video[0].codec_context.extradata)
        for kept in range(len(header)):
            stream = SimpleNamespace(codec_context=SimpleNamespace(extradata=header[:kept]))
            assert read_plain(container, stream) is None
