"""A video with something drawn onto each of its frames, as MP4."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from viz.data.statistics import TraceView

if TYPE_CHECKING:
    pass

Pixels = NDArray[np.uint8]


class Painter(Protocol):
    """Draws onto frames; all its pictures of one video have one size."""

    def paint(self, frame: Pixels, slice_: int) -> Pixels:
        """uint8 [H', W', 3] of uint8 [H, W, 3], which it leaves alone."""


def write_film(painter: Painter, view: TraceView, video_path: str | Path, out: str | Path) -> None:
    """Write the first video of a trace's prompt as H.264, painted, silent.

    Each frame shows the slice that its presentation time falls in; times are kept. Odd sizes lose
    their last row or column, which H.264's colour planes cannot hold. `video_path` is upright.
    """
    slices = view.grids[0][0]
    starts = view.slice_starts[:slices]
    with av.open(str(video_path)) as source, av.open(str(out), "w", format="mp4") as sink:
        stream, encoder = source.streams.video[0], None
        for frame in source.decode(stream):
            at = slice_at(starts, float(frame.time or 0.0))
            pixels = painter.paint(frame.to_ndarray(format="rgb24"), at)
            encoder = encoder or _encoder(sink, stream, pixels)
            sink.mux(encoder.encode(_timed(pixels[: encoder.height, : encoder.width], frame)))
        if encoder is not None:
            sink.mux(encoder.encode())


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
