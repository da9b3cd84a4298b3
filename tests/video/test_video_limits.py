"""Limits that hold inside a file: frames that grow, streams, packets, frames a second."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from clips import write_clip

from adaspark.errors import UserError
from adaspark.video.clip import Limits, Sampling, probe, read_clip
from adaspark.video.probe import scan

EVERY = Sampling(fps=10, max_frames=64, min_pixels=56 * 56, max_pixels=84 * 84)


def growing(path: Path, sizes: list[tuple[int, int]]) -> Path:
    """H.264 whose frames are of these (side, count), one after the other, as packets say it."""
    packets: list[bytes] = []
    for side, count in sizes:
        encoder: Any = av.CodecContext.create("libx264", "w")
        encoder.width = encoder.height = side
        encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 10)
        encoder.options = {"preset": "ultrafast", "x264-params": "repeat-headers=1:keyint=1"}
        frame = av.VideoFrame(side, side, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([100]) * plane.buffer_size)
        for n in range(count):
            frame.pts = n
            packets += [bytes(packet) for packet in encoder.encode(frame)]
        packets += [bytes(packet) for packet in encoder.encode(None)]
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=10)
        stream.width = stream.height = sizes[0][0]
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 10)
        stream.codec_context.options = {"preset": "ultrafast", "bf": "0"}
        stream.codec_context.open()
        for n, content in enumerate(packets):
            packet = av.Packet(content)
            packet.pts = packet.dts = n
            packet.duration, packet.time_base, packet.stream = 1, Fraction(1, 10), stream
            packet.is_keyframe = True
            output.mux(packet)
    return path


@pytest.mark.parametrize("name", ["grows.mkv", "grows.mp4"])
def test_a_frame_that_grows_in_mid_stream_is_refused(name: str, tmp_path: Path) -> None:
    path = growing(tmp_path / name, [(64, 30), (512, 4), (64, 30)])
    assert read_clip(path, EVERY).info.frames == 64
    limits = Limits(max_pixels=256 * 256)
    words = rf"^{name} grows to 512 x 512 pixels and the limit is 65,536 pixels a frame: "
    with pytest.raises(UserError, match=words):
        read_clip(path, EVERY, limits=limits)
    with pytest.raises(UserError, match=words):
        list(scan(path, limits).reader.numbered())


def test_too_many_streams_are_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "many.mkv"), "w") as output:
        streams: list[Any] = [output.add_stream("mpeg4", rate=10) for _ in range(5)]
        for stream in streams:
            stream.width = stream.height = 16
            stream.pix_fmt = "yuv420p"
        for stream in streams:
            frame = av.VideoFrame(16, 16, "yuv420p")
            frame.pts, frame.time_base = 0, Fraction(1, 10)
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    assert probe(tmp_path / "many.mkv", Limits(max_streams=5)).frames == 1
    with pytest.raises(UserError, match=r"^many\.mkv has 5 streams and the limit is 4: "):
        probe(tmp_path / "many.mkv", Limits(max_streams=4))


def test_packets_of_sound_count_too(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "loud.mp4", frames=12, sound=True)
    assert probe(path, Limits(max_frames=12)).frames == 12
    with pytest.raises(UserError, match=r"^loud\.mp4 has more than 20 packets: "):
        probe(path, Limits(max_packets=20))


def test_more_frames_a_second_than_are_ever_played_are_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "fast.mp4", fps=2000, frames=40)
    assert probe(path, Limits(max_fps=2000)).frames == 40
    with pytest.raises(UserError, match=r"^fast\.mp4 has 2,000 frames a second and the limit is"):
        probe(path)
    assert probe(write_clip(tmp_path / "one.mp4", fps=2000, frames=1)).frames == 1
