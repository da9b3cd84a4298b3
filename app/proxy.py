"""Writing the browser's copy of a video with PyAV: encoded anew, or its packets copied."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np

from adaspark.video_decode import Turn
from adaspark.video_file import open_video, shown_name, video_stream
from adaspark.video_probe import Scan

OnProgress = Callable[[int, int], None] | None

_LONG_SIDE_PIXELS, _SHORT_SIDE_PIXELS = 1280, 720
_TICKS_PER_SEC = 90_000
_SECS_BETWEEN_KEY_FRAMES = 2.0
# No B-frames: presentation starts at 0 without an edit list, and seeking is exact.
_X264_OPTIONS = {"crf": "20", "preset": "veryfast", "bf": "0"}
_MP4_OPTIONS = {"movflags": "faststart"}


def fits_box(width: int, height: int) -> bool:
    """Tell whether a picture, lying or standing, is at most 720p."""
    return max(width, height) <= _LONG_SIDE_PIXELS and min(width, height) <= _SHORT_SIDE_PIXELS


def remux(scanned: Scan, target: Path, on_progress: OnProgress = None) -> None:
    """Copy the packets of a video's picture to an MP4, times moved to start at 0."""
    index = scanned.index
    with open_video(scanned.info.path) as source, _open_mp4(target) as output:
        stream = video_stream(source, shown_name(scanned.info.path))
        copy = output.add_stream_from_template(stream)
        done = 0
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            packet.pts -= int(index.pts[0])
            packet.dts -= int(index.pts[0])
            packet.stream = copy
            output.mux(packet)
            done += 1
            _report(on_progress, done, len(index))


def encode(scanned: Scan, target: Path, on_progress: OnProgress = None) -> None:
    """Encode a video's picture, upright and within 720p, keeping each frame's time."""
    index = scanned.index
    end_ticks = _ticks(index.duration_secs)
    ticks = np.append(np.rint(index.times_secs * _TICKS_PER_SEC).astype(np.int64), end_ticks)
    with _open_mp4(target) as output:
        stream = _Encoder(output, scanned)
        for number, frame in scanned.reader.numbered():
            stream.write(frame, int(ticks[number]), int(ticks[number + 1] - ticks[number]))
            _report(on_progress, number + 1, len(index))
        stream.finish()


class _Encoder:
    """An H.264 stream of an open MP4 that takes frames of any size and stored orientation."""

    def __init__(self, output: Any, scanned: Scan) -> None:
        self._output, self._turn = output, scanned.turn
        self._size = _box_size(scanned.info.width, scanned.info.height)
        self._stream = output.add_stream("libx264", options=dict(_X264_OPTIONS))
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS_PER_SEC)
        rate = Fraction(scanned.info.fps).limit_denominator(1001)
        self._stream.codec_context.framerate = rate
        self._stream.codec_context.gop_size = max(round(rate * _SECS_BETWEEN_KEY_FRAMES), 1)
        self._duration_from_pts: dict[int, int] = {}
        self._graph: Any = None
        self._graph_takes: tuple[int, int, str] | None = None

    def write(self, frame: Any, pts_ticks: int, duration_ticks: int) -> None:
        """Encode one decoded frame as shown from `pts_ticks` for `duration_ticks`."""
        upright = self._upright(frame)
        upright.pts, upright.time_base = pts_ticks, Fraction(1, _TICKS_PER_SEC)
        # The encoder places key frames itself; a type left by the decoder would force one.
        upright.pict_type = 0
        if not self._duration_from_pts:
            self._copy_colour_tags(upright)
        self._duration_from_pts[pts_ticks] = duration_ticks
        self._mux(self._stream.encode(upright))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._mux(self._stream.encode(None))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._duration_from_pts.get(packet.pts, 0)
            self._output.mux(packet)

    def _upright(self, frame: Any) -> Any:
        takes = (frame.width, frame.height, frame.format.name)
        if takes != self._graph_takes:
            self._graph = _upright_graph(frame, self._turn, self._size)
            self._graph_takes = takes
        self._graph.push(frame)
        return self._graph.pull()

    def _copy_colour_tags(self, frame: Any) -> None:
        context = self._stream.codec_context
        for tag in ("colorspace", "color_primaries", "color_trc", "color_range"):
            setattr(context, tag, getattr(frame, tag))


def _upright_graph(frame: Any, turn: Turn, size: tuple[int, int]) -> Any:
    steps = [
        # Filter direction 0 is the plain transposition.
        *([("transpose", "dir=0")] if turn.transpose else []),
        *([("hflip", None)] if turn.flip_x else []),
        *([("vflip", None)] if turn.flip_y else []),
        ("scale", f"{size[0]}:{size[1]}:flags=bicubic"),
        ("format", "pix_fmts=yuv420p"),
        ("setsar", "1"),
        ("buffersink", None),
    ]
    graph = av.filter.Graph()
    nodes = [
        graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=Fraction(1, _TICKS_PER_SEC),
        ),
        *(graph.add(name, args) for name, args in steps),
    ]
    graph.link_nodes(*nodes).configure()
    return graph


def _box_size(width: int, height: int) -> tuple[int, int]:
    """Return the even size, at most 720p and never enlarged, nearest in shape."""
    shrink = min(
        1.0,
        _LONG_SIDE_PIXELS / max(width, height),
        _SHORT_SIDE_PIXELS / min(width, height),
    )
    return _even(width * shrink), _even(height * shrink)


def _even(pixels: float) -> int:
    return max(2 * round(pixels / 2), 2)


def _open_mp4(target: Path) -> Any:
    return av.open(str(target), "w", format="mp4", options=_MP4_OPTIONS)


def _ticks(time_secs: float) -> int:
    return round(time_secs * _TICKS_PER_SEC)


def _report(on_progress: OnProgress, done: int, total: int) -> None:
    if on_progress is not None:
        on_progress(done, total)
