"""Test videos of flat patches, their stored numbers computed here from the definitions.

Nothing of the product or of swscale is used: RGB to luma and chroma by the constants of BT.601,
BT.709 and BT.2020, light to PQ and HLG by ITU-R BT.2100.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from encoder_apart import apart

PATCHES = np.array(
    [(220, 30, 30), (30, 160, 60), (40, 60, 220), (235, 235, 235), (16, 16, 16), (230, 180, 150)]
)
BOUND = 6
"""Levels of 255 that a shown patch may be away from the source's."""
SIZE = (192, 128)
LUMA_WEIGHTS = {  # Kr and Kb by the number of the matrix in H.273
    1: (0.2126, 0.0722),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
BT601 = {"matrix": 6, "primaries": 6, "transfer": 6}
BT709 = {"matrix": 1, "primaries": 1, "transfer": 1}
BT2020 = {"matrix": 9, "primaries": 9, "transfer": 14}
QUIET = {
    "libx264": {"crf": "4", "preset": "ultrafast"},
    "libx265": {"crf": "4", "preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx": {"crf": "4", "b": "8M", "deadline": "realtime", "auto-alt-ref": "0"},
    "libvpx-vp9": {"crf": "4", "b": "8M", "deadline": "realtime", "auto-alt-ref": "0"},
    "libsvtav1": {"preset": "10", "crf": "5"},
}


def chart(size: tuple[int, int] = SIZE) -> np.ndarray:
    """The patches side by side as RGB [H, W, 3], float from 0 to 1."""
    width, height = size
    column = np.arange(width) * len(PATCHES) // width
    return np.broadcast_to(PATCHES[column] / 255, (height, width, 3))


def patches_in(picture: Any) -> np.ndarray:
    """The mean colour [6, 3] amid each patch of an RGB picture [H, W, 3]."""
    pixels = np.asarray(picture, dtype=np.float64)
    height, width = pixels.shape[:2]
    edges = np.linspace(0, width, len(PATCHES) + 1).round().astype(int)
    margin = max(width // len(PATCHES) // 3, 1)
    rows = slice(height // 3, height * 2 // 3)
    return np.array(
        [pixels[rows, a + margin : b - margin].mean(axis=(0, 1)) for a, b in pairwise(edges)]
    )


def planes_of(rgb: np.ndarray, matrix: int, *, full_range: bool, bits: int = 8) -> np.ndarray:
    """Coded RGB [H, W, 3] as Y, Cb and Cr [3, H, W] of `bits`."""
    red, blue = LUMA_WEIGHTS[matrix]
    luma = rgb @ np.array([red, 1 - red - blue, blue])
    cb = (rgb[..., 2] - luma) / (2 * (1 - blue))
    cr = (rgb[..., 0] - luma) / (2 * (1 - red))
    unit, top = 1 << (bits - 8), (1 << bits) - 1
    half = 128 * unit
    if full_range:
        levels = [luma * top, cb * top + half, cr * top + half]
    else:
        levels = [
            (luma * 219 + 16) * unit,
            cb * 224 * unit + half,
            cr * 224 * unit + half,
        ]
    return np.rint(np.clip(levels, 0, top)).astype(np.uint8 if bits == 8 else np.uint16)


def rgb_of(planes: np.ndarray, matrix: int, *, full_range: bool) -> np.ndarray:
    """The inverse of `planes_of` for 8 bits, as levels of 255."""
    red, blue = LUMA_WEIGHTS[matrix]
    luma, cb, cr = planes.astype(np.float64)
    if full_range:
        luma, cb, cr = luma / 255, (cb - 128) / 255, (cr - 128) / 255
    else:
        luma, cb, cr = (luma - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return 255 * np.clip(np.stack([r, g, b], axis=-1), 0, 1)


@apart
def write_planes(
    path: Path,
    planes: np.ndarray,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    frames: int = 3,
    matrix: int = 2,
    primaries: int = 2,
    transfer: int = 2,
    colour_range: int = 0,
    **options: str,
) -> Path:
    """Write planes [P, H, W] as a still video, with tags in the numbers of H.273; 2 states none.

    For 4:2:0 and 4:2:2 the chroma planes are thinned here.
    """
    height, width = planes.shape[1:]
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=12, options={**QUIET.get(codec, {}), **options})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        context = stream.codec_context
        if codec.startswith("libvpx"):
            context.thread_count = 1  # its own spin: on busy cores, for minutes
        context.colorspace, context.color_range = matrix, colour_range
        context.color_primaries, context.color_trc = primaries, transfer
        for number in range(frames):
            frame = av.VideoFrame(width, height, pixel_format)
            fill(frame, planes)
            frame.colorspace, frame.color_range = matrix, colour_range
            frame.color_primaries, frame.color_trc = primaries, transfer
            frame.pts, frame.time_base = number, Fraction(1, 12)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def write_packed(path: Path, pixels: np.ndarray, codec: str, pixel_format: str) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=12)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = pixel_format
        for _ in range(2):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=pixel_format)))
        output.mux(stream.encode(None))
    return path


def fill(frame: Any, planes: np.ndarray) -> None:
    """Copy planes [P, H, W] into a planar frame, thinned to the size of each of its planes."""
    for plane, values in zip(frame.planes, planes, strict=True):
        step_y, step_x = values.shape[0] // plane.height, values.shape[1] // plane.width
        thin = values[::step_y, ::step_x]
        row = np.zeros((plane.height, plane.line_size // values.itemsize), values.dtype)
        row[:, : plane.width] = thin
        plane.update(row.tobytes())


def planes_in(frame: Any) -> np.ndarray:
    """The planes of an 8-bit 4:2:0 frame as [3, H, W], chroma repeated."""
    luma, *chroma = (
        np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    )
    return np.stack([luma, *(c.repeat(2, 0).repeat(2, 1) for c in chroma)])


BT2020_FROM_BT709 = np.array(
    [[0.627404, 0.329283, 0.043313], [0.069097, 0.919540, 0.011362], [0.016391, 0.088013, 0.895595]]
)


def hdr_of(rgb: np.ndarray, transfer: str) -> np.ndarray:
    """SDR RGB of BT.709 (1 may be passed) as coded PQ or HLG of BT.2020, white at 203 cd/m^2."""
    nits = 203 * rgb**2.4 @ BT2020_FROM_BT709.T
    if transfer == "pq":
        power = (nits / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    scene = (nits / 1000) ** (1 / 1.2)
    low = np.sqrt(3 * scene)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, low, high)
