"""Writing the browser's copy of a video with PyAV: encoded anew, or its packets copied."""

from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from adaspark.video.colour import ColourReading
from adaspark.video.file import open_video, shown_name, video_stream
from adaspark.video.probe import Scan
from app.media.browser_frames import BrowserFrames, set_tags
from app.media.plain_h264 import PlainStream

OnProgress = Callable[[int, int], None] | None

_LONG_SIDE_PIXELS, _SHORT_SIDE_PIXELS = 1280, 720
_TICKS_PER_SEC = 90_000
_SECS_BETWEEN_KEY_FRAMES = 2.0
# No B-frames: presentation starts at 0 without an edit list, and seeking is exact.
_X264_OPTIONS = {"crf": "20", "preset": "veryfast", "bf": "0"}
_MP4_OPTIONS = {"movflags": "faststart"}
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}


def fits_box(width: int, height: int) -> bool:
    """Tell whether a picture, lying or standing, is at most 720p."""
    return max(width, height) <= _LONG_SIDE_PIXELS and min(width, height) <= _SHORT_SIDE_PIXELS


def remux(scanned: Scan, plain: PlainStream, target: Path, on_progress: OnProgress = None) -> None:
    """Copy the packets of a video's picture to an MP4, times moved to start at 0.

    Decoding times are derived: Matroska and FLV state none, or others than MP4 needs. The container
    states the colours as they are read, whatever the packets say of them.
    """
    index, first_pts = scanned.index, int(scanned.index.pts[0])
    decoding = (plain.decoding_times - first_pts).tolist()
    with open_video(scanned.info.path) as source, _open_mp4(target) as output:
        stream = video_stream(source, shown_name(scanned.info.path))
        copy = output.add_stream_from_template(stream)
        _state_colours(copy.codec_context, scanned.colour)
        end_pts = first_pts + round(index.duration_secs / float(stream.time_base))
        steps = np.diff(np.append(np.sort(plain.pts), end_pts)).tolist()
        packets = (packet for packet in source.demux(stream) if packet.size)
        for number, packet in enumerate(packets):
            packet.pts -= first_pts
            packet.dts, packet.duration = decoding[number], steps[number]
            packet.stream = copy
            output.mux(packet)
            _report(on_progress, number + 1, len(index))


def encode(
    scanned: Scan, target: Path, on_progress: OnProgress = None, *, growing: Path | None = None
) -> None:
    """Encode a video's picture, upright and within 720p, keeping each frame's time.

    `growing` is written at the same time, in fragments: it can be played as far as it has come.
    """
    index = scanned.index
    end_ticks = _ticks(index.duration_secs)
    ticks = np.append(np.rint(index.times_secs * _TICKS_PER_SEC).astype(np.int64), end_ticks)
    with ExitStack() as outputs:
        stream = _Encoder(outputs.enter_context(_open_mp4(target)), scanned)
        if growing is not None:
            stream.copy_to(outputs.enter_context(_open_mp4(growing, **_FRAGMENTS)))
        for number, frame in scanned.reader.numbered():
            stream.write(frame, int(ticks[number]), int(ticks[number + 1] - ticks[number]))
            _report(on_progress, number + 1, len(index))
        stream.finish()


class _Encoder:
    """An H.264 stream of an open MP4 that takes frames of any size and stored orientation."""

    def __init__(self, output: Any, scanned: Scan) -> None:
        self._outputs = [output]
        size = _box_size(scanned.info.width, scanned.info.height)
        self._frames = BrowserFrames(scanned.colour, scanned.crop, scanned.turn, size)
        self._stream = output.add_stream("libx264", options=dict(_X264_OPTIONS))
        self._streams = [self._stream]
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS_PER_SEC)
        rate = Fraction(scanned.info.fps).limit_denominator(1001)
        self._stream.codec_context.framerate = rate
        self._stream.codec_context.gop_size = max(round(rate * _SECS_BETWEEN_KEY_FRAMES), 1)
        set_tags(self._stream.codec_context)
        self._duration_from_pts: dict[int, int] = {}

    def copy_to(self, output: Any) -> None:
        """Write to another open MP4 too."""
        self._stream.codec_context.open()  # which makes the header
        copy = output.add_stream_from_template(self._stream)
        copy.codec_context.extradata = self._stream.codec_context.extradata
        self._outputs.append(output)
        self._streams.append(copy)

    def write(self, frame: Any, pts_ticks: int, duration_ticks: int) -> None:
        """Encode one decoded frame as shown from `pts_ticks` for `duration_ticks`."""
        upright = self._frames.upright(frame)
        upright.pts, upright.time_base = pts_ticks, Fraction(1, _TICKS_PER_SEC)
        # The encoder places key frames itself; a type left by the decoder would force one.
        upright.pict_type = 0
        self._duration_from_pts[pts_ticks] = duration_ticks
        self._mux(self._stream.encode(upright))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._mux(self._stream.encode(None))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._duration_from_pts.get(packet.pts, 0)
            for output, stream in zip(self._outputs, self._streams, strict=True):
                packet.stream = stream
                output.mux(packet)


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


def _open_mp4(target: Path, **options: str) -> Any:
    return av.open(str(target), "w", format="mp4", options=options or _MP4_OPTIONS)


def _state_colours(context: Any, colour: ColourReading) -> None:
    context.colorspace, context.color_primaries = colour.matrix, colour.primaries
    context.color_trc, context.color_range = colour.transfer, 2 if colour.full_range else 1


def _ticks(time_secs: float) -> int:
    return round(time_secs * _TICKS_PER_SEC)


def _report(on_progress: OnProgress, done: int, total: int) -> None:
    if on_progress is not None:
        on_progress(done, total)
