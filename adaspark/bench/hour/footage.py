"""Hours of 720p, made in seconds: a minute is encoded, then its packets come again, later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, FPS, LOOP_SECS = 1280, 720, 25, 60
_BLOCK, _SQUARE = 16, 80


class Codec(NamedTuple):
    """An encoder of FFmpeg, its options, and the container that its packets go into."""

    encoder: str
    options: dict[str, str]
    suffix: str


CODECS = {
    "h264": Codec("libx264", {"preset": "veryfast", "crf": "28"}, ".mp4"),
    "hevc": Codec(
        "libx265", {"preset": "ultrafast", "crf": "32", "x265-params": "log-level=error"}, ".mp4"
    ),
    "vp9": Codec("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "40"}, ".webm"),
}
"""Key frames are where these encoders put them: every 10 s, in VP9 every 5 s."""


def write_footage(folder: Path, codec: str, *, seconds: int) -> Path:
    """A file of this codec: a square that crosses a patterned wall, again and again."""
    made = CODECS[codec]
    loop = folder / f"{codec}-loop{made.suffix}"
    if not loop.exists():
        _encode(loop, made, min(seconds, LOOP_SECS))
    target = folder / f"{codec}-{seconds}{made.suffix}"
    _repeat(loop, target, -(-seconds // LOOP_SECS))
    return target


def _encode(path: Path, codec: Codec, seconds: int) -> None:
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream(codec.encoder, rate=FPS, options=codec.options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in _pictures(seconds * FPS):
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        sink.mux(stream.encode(None))


def _pictures(count: int) -> Iterator[NDArray[np.uint8]]:
    """uint8 [HEIGHT, WIDTH, 3] each."""
    drawn = np.random.default_rng(0).integers(0, 255, (HEIGHT // _BLOCK, WIDTH // _BLOCK, 3))
    wall = drawn.astype(np.uint8).repeat(_BLOCK, 0).repeat(_BLOCK, 1)
    for number in range(count):
        picture: NDArray[np.uint8] = wall.copy()
        left = 4 * number % (WIDTH - _SQUARE)
        picture[300 : 300 + _SQUARE, left : left + _SQUARE] = (255, number % 256, 0)
        yield picture


def _repeat(loop: Path, target: Path, times: int) -> None:
    """Write the packets of `loop` so many times, each time later by its length."""
    with av.open(str(loop)) as source, av.open(str(target), "w") as sink:
        given = source.streams.video[0]
        stream = sink.add_stream_from_template(given)
        packets = [packet for packet in source.demux(given) if packet.size]
        tick = given.time_base
        length = round(len(packets) / FPS / tick)
        for turn in range(times):
            for packet in packets:
                sink.mux(_later(packet, stream, turn * length, round(1 / FPS / tick)))


def _later(packet: Any, stream: Any, shift: int, duration: int) -> Any:
    copy = av.Packet(bytes(packet))
    copy.stream, copy.time_base, copy.is_keyframe = stream, packet.time_base, packet.is_keyframe
    copy.pts, copy.dts, copy.duration = packet.pts + shift, packet.dts + shift, duration
    return copy
