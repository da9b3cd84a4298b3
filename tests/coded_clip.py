"""Clips whose every frame tells its own number by luma, so a picture can be dated by its pixels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

STEP = 8
"""Luma levels between one frame's grey and the next one's."""


def grey_of(number: int) -> int:
    """The grey level of frame `number` (0 to 24)."""
    return 24 + STEP * number


def number_of(grey: float) -> int:
    """The inverse of `grey_of`, for a grey that compression has moved a little."""
    return round((grey - 24) / STEP)


def write_coded_clip(
    path: Path, *, frames: int = 24, fps: int = 8, width: int = 320, height: int = 180
) -> Path:
    """An H.264 MP4 of plain grey frames, frame n at n / fps seconds and of grey `grey_of(n)`."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as sink:
        stream = sink.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "10", "g": "6", "bf": "0"}
        stream.time_base = stream.codec_context.time_base = Fraction(1, fps)
        for number in range(frames):
            pixels = np.full((height, width, 3), grey_of(number), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode())
    return path
