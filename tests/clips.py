"""Small test videos whose every frame carries its own number, so that a picture tells its time.

The upper half of a frame is red on the left and blue on the right; the lower half is eight cells,
white for a 1 and black for a 0 of the frame's number, highest bit first.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import numpy as np
from encoder_apart import apart

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder is talkative

BITS = 8
SIZE = (128, 96)  # width, height
# Stored picture to upright picture: x' = a x + c y, y' = b x + d y.
MATRIX_FROM_TURN = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
QUIET = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime", "b": "300k"},
    "libsvtav1": {"preset": "8", "crf": "20"},
    "mpeg4": {"b": "2M"},
}


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return the RGB picture [H, W, 3] of one frame."""
    width, height = size
    shown = np.zeros((height, width, 3), dtype=np.uint8)
    shown[: height // 2, : width // 2, 0] = 230
    shown[: height // 2, width // 2 :, 2] = 230
    bit_from_column = BITS - 1 - np.arange(width) * BITS // width
    shown[height // 2 :] = 255 * ((number >> bit_from_column) & 1)[None, :, None]
    return shown


def number_in(shown: Any) -> int:
    """Read the frame number back from an upright picture [3, H, W], whatever its size."""
    pixels = np.asarray(shown, dtype=np.float64)
    _, height, width = pixels.shape
    band = pixels[:, height * 5 // 8 : height * 7 // 8].mean(axis=(0, 1))
    edges = np.linspace(0, width, BITS + 1)
    cells = [
        band[round(a + 1) : max(round(b - 1), round(a + 1) + 1)].mean() for a, b in pairwise(edges)
    ]
    return sum(int(cell > 127) << (BITS - 1 - n) for n, cell in enumerate(cells))


def is_upright(shown: Any) -> bool:
    """Tell whether red is at the upper left and blue at the upper right of [3, H, W]."""
    pixels = np.asarray(shown, dtype=np.float64)
    _, height, width = pixels.shape
    top = pixels[:, height // 8 : height * 3 // 8]
    left, right = (
        top[:, :, width // 8 : width * 3 // 8].mean(axis=(1, 2)),
        top[:, :, width * 5 // 8 : width * 7 // 8].mean(axis=(1, 2)),
    )
    return bool(left[0] > 150 > 80 > left[2] and right[2] > 150 > 80 > right[0])


@apart
def write_clip(
    path: Path,
    *,
    frames: int = 24,
    fps: int = 12,
    times_millis: Sequence[int] | None = None,
    size: tuple[int, int] = SIZE,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    turn: int = 0,
    pixel_aspect: Fraction | None = None,
    sound: bool = False,
    blank_frames: Sequence[int] = (),
    **options: str,
) -> Path:
    """Write numbered frames, `fps` a second or at `times_millis`; return the path.

    `turn` stores the frames turned, with the display matrix that makes them upright again;
    `blank_frames` are plain black.
    """
    tick = Fraction(1, fps) if times_millis is None else Fraction(1, 1000)
    stamps = list(range(frames)) if times_millis is None else list(times_millis)
    stored = [np.rot90(picture(n, size), k=turn // 90) for n in range(len(stamps))]
    stored = [pixels * (n not in blank_frames) for n, pixels in enumerate(stored)]
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=fps, options={**QUIET.get(codec, {}), **options})
        stream.height, stream.width = stored[0].shape[:2]
        stream.pix_fmt = pixel_format
        if codec.startswith("libvpx"):
            stream.codec_context.thread_count = 1  # its own spin: on busy cores, for minutes
        stream.codec_context.time_base = tick
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        tone = output.add_stream("aac", rate=16000, layout="mono") if sound else None
        for pixels, stamp in zip(stored, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = stamp, tick
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if tone is not None:
            write_sound(output, tone)
    if turn:
        set_matrix(path, MATRIX_FROM_TURN[turn])
    return path


def write_sound(output: Any, stream: Any, *, secs: float = 1.0) -> None:
    """Encode silence into an open stream."""
    for n in range(round(16000 * secs / 1024)):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, n * 1024, Fraction(1, 16000)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def copy_packets(
    source: Path,
    target: Path,
    *,
    first: int = 0,
    pts_from_pts: Mapping[int, int] = MappingProxyType({}),
    **muxer_options: str,
) -> Path:
    """Copy the packets of a clip's picture, from the `first` in file order, without decoding."""
    with (
        av.open(str(source)) as container,
        av.open(str(target), "w", options=muxer_options) as output,
    ):
        stream = output.add_stream_from_template(container.streams.video[0])
        packets = [packet for packet in container.demux(video=0) if packet.dts is not None]
        for packet in packets[first:]:
            if packet.pts in pts_from_pts:
                packet.pts = packet.dts = pts_from_pts[packet.pts]
            packet.stream = stream
            output.mux(packet)
    return target


def hide_after(path: Path, millis: int) -> Path:
    """Shorten the first edit of an MP4, so that its later frames are in the file but not shown."""
    content = bytearray(path.read_bytes())
    # Version, flags and count precede the first entry's duration, in thousandths.
    at = content.index(b"elst") + 4 + 8
    content[at : at + 4] = millis.to_bytes(4, "big")
    path.write_bytes(content)
    return path


def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Overwrite the display matrix of an MP4's first track, as a phone would have set it."""
    content = bytearray(path.read_bytes())
    box = content.index(b"tkhd") + 4
    # Version and flags; times, id, reserved, duration; reserved, layer, group, volume, reserved.
    at = box + 4 + (32 if content[box] else 20) + 16
    a, b, c, d = (value << 16 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def damage_packets(path: Path, numbers: Sequence[int]) -> Path:
    """Overwrite the second half of these packets of a clip's picture, counted in file order."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        places = [(packets[n].pos, packets[n].size) for n in numbers]
    content = bytearray(path.read_bytes())
    for start, size in places:
        middle, end = start + size // 2, start + size
        content[middle:end] = bytes(0xFF ^ byte for byte in content[middle:end])
    path.write_bytes(content)
    return path


def clip_aperture(path: Path, size: tuple[int, int], offset: tuple[int, int] = (0, 0)) -> Path:
    """Give an MP4 or MOV, whose index comes last, a clean aperture of `size`, off the middle."""
    width, height, x, y = *size, *offset
    box = struct.pack(">I4s8i", 40, b"clap", width, 1, height, 1, x, 1, y, 1)
    content = bytearray(path.read_bytes())
    start = content.index(b"avc1", content.index(b"stsd")) - 4
    end = start + int.from_bytes(content[start : start + 4], "big")
    content[end:end] = box
    ancestors = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1")
    for at in (content.rindex(name, 0, end) - 4 for name in ancestors):
        size_bytes = int.from_bytes(content[at : at + 4], "big") + len(box)
        content[at : at + 4] = size_bytes.to_bytes(4, "big")
    path.write_bytes(content)
    return path


def crop_matroska(path: Path, *, left: int, top: int, right: int, bottom: int) -> Path:
    """Give a Matroska clip's first track a crop in pixels."""
    sides = {0x54CC: left, 0x54BB: top, 0x54DD: right, 0x54AA: bottom}
    added = b"".join(kind.to_bytes(2, "big") + b"\x81" + bytes([n]) for kind, n in sides.items())
    return add_to_element(path, (0x18538067, 0x1654AE6B, 0xAE, 0xE0), added)


def encrypt_matroska(path: Path) -> Path:
    """Say in a Matroska clip's first track that its content is encrypted (AES)."""
    encryption = b"\x50\x35\x84" + b"\x47\xe1\x81\x05"
    encoding = b"\x62\x40" + bytes([0x80 | len(encryption)]) + encryption
    added = b"\x6d\x80" + bytes([0x80 | len(encoding)]) + encoding
    return add_to_element(path, (0x18538067, 0x1654AE6B, 0xAE), added)


def add_to_element(path: Path, kinds: Sequence[int], added: bytes) -> Path:
    """Append bytes to the first Matroska element that lies in those of `kinds`, one in another."""
    content = bytearray(path.read_bytes())
    at, end, sizes = 0, len(content), []
    for kind in kinds:
        while True:
            found, after_kind = _vint(content, at, marked=True)
            size, start = _vint(content, after_kind)
            if found == kind:
                break
            at = start + size
        sizes.append((after_kind, start - after_kind, size))
        at, end = start, start + size
    content[end:end] = added
    for place, length, size in sizes:
        grown = (size + len(added)) | 1 << 7 * length
        content[place : place + length] = grown.to_bytes(length, "big")
    path.write_bytes(content)
    return path


def _vint(content: bytes, at: int, *, marked: bool = False) -> tuple[int, int]:
    """Return an element's kind (`marked`) or size, and where it ends."""
    length = 9 - content[at].bit_length()
    value = int.from_bytes(content[at : at + length], "big")
    return (value if marked else value & (1 << 7 * length) - 1), at + length
