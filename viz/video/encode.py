"""A video with something drawn onto each of its frames, as MP4."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Secs = NDArray[np.float64]

GIF_FPS, GIF_FRAMES, GIF_COLOURS = 6.0, 150, 96


class Painter(Protocol):
    """Draws onto frames; all its pictures of one video have one size."""

    def paint(self, frame: Pixels, slice_: int) -> Pixels:
        """uint8 [H', W', 3] of uint8 [H, W, 3], which it leaves alone."""


def write_film(painter: Painter, starts: Secs, video_path: str | Path, out: str | Path) -> None:
    """Write a video as H.264, painted, silent; `starts` are the seconds at which its slices begin.

    Each frame shows the slice that its presentation time falls in; times are kept. Odd sizes lose
    their last row or column, which H.264's colour planes cannot hold. `video_path` is upright.
    """
    with av.open(str(video_path)) as source, av.open(str(out), "w", format="mp4") as sink:
        stream, encoder = source.streams.video[0], None
        for frame in source.decode(stream):
            at = slice_at(starts, float(frame.time or 0.0))
            pixels = painter.paint(frame.to_ndarray(format="rgb24"), at)
            encoder = encoder or _encoder(sink, stream, pixels)
            sink.mux(encoder.encode(_timed(pixels[: encoder.height, : encoder.width], frame)))
        if encoder is not None:
            sink.mux(encoder.encode())


def write_gif(painter: Painter, starts: Secs, video_path: str | Path, out: str | Path) -> None:
    """The same as a GIF that loops: GIF_FPS frames a second at most, GIF_FRAMES of them at most."""
    pictures = []
    times: list[float] = []
    with av.open(str(video_path)) as source:
        stream = source.streams.video[0]
        length = float((stream.duration or 0) * (stream.time_base or 0))
        step = max(1 / GIF_FPS, length / GIF_FRAMES)
        for frame in source.decode(stream):
            time = float(frame.time or 0.0)
            if times and time < times[-1] + step - 0.002:
                continue
            pixels = painter.paint(frame.to_ndarray(format="rgb24"), slice_at(starts, time))
            pictures.append(Image.fromarray(pixels).quantize(GIF_COLOURS))
            times.append(time)
    shown = [*np.diff(times), step]
    millis = [max(20, round(1000 * secs)) for secs in shown]
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], duration=millis, loop=0)


def slice_at(starts_secs: NDArray[np.float64], time_secs: float) -> int:
    """The slice on screen: the last whose first frame has been presented; the first before that.

    Times that are not known (NaN) leave it at the first.
    """
    # A container may round presentation times to its own clock; no frame is as short as 2 ms.
    shown = np.flatnonzero(starts_secs <= time_secs + 0.002)
    return int(shown[-1]) if len(shown) else 0


def _encoder(sink: Any, stream: Any, pixels: Pixels) -> Any:
    encoder = sink.add_stream("libx264", rate=stream.average_rate or Fraction(25))
    encoder.height, encoder.width = (max(2, side // 2 * 2) for side in pixels.shape[:2])
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = encoder.codec_context.time_base = stream.time_base
    encoder.options = {"crf": "20", "preset": "veryfast"}
    return encoder


def _timed(pixels: Pixels, source: Any) -> Any:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    frame.pts, frame.time_base = source.pts, source.time_base
    return frame
