"""What a video is, and whether it can be used, before any of it is shown to the model."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from adaspark.errors import UserError
from adaspark.image import MAX_ASPECT_RATIO
from adaspark.video_colour import ColourReading, ColourTags, read_colour
from adaspark.video_decode import (
    Turn,
    decode_frames,
    decoded,
    decord_picture,
    limit_decoder,
    open_decord,
    turn_of,
)
from adaspark.video_file import (
    DEFAULT_LIMITS,
    Limits,
    check_file,
    container_name,
    damaged,
    open_video,
    shown_name,
    video_stream,
)
from adaspark.video_index import FrameIndex, index_frames
from adaspark.video_rgb import Picture, RgbPictures

_MIN_SIDE_PIXELS = 2
_SAME_TIME_SECS = 0.002
# The only stored format in which decord's colours were found equal to PyAV's at every size.
_DECORD_PIXEL_FORMATS = ("yuv420p", "yuvj420p")
_CODEC_FROM_DECODER = {"libdav1d": "av1", "libaom-av1": "av1", "libvpx-vp9": "vp9"}


@dataclass(frozen=True)
class VideoInfo:
    """What `probe` found.

    `width` and `height` are those of the upright picture with square pixels; `rotation` is the
    clockwise turn in degrees that made it upright; `codec` is FFmpeg's name ("h264"), `container`
    ours ("MP4"). Durations come from the frames in the file, not from its header.
    """

    path: Path
    container: str
    codec: str
    width: int
    height: int
    rotation: int
    duration_secs: float
    fps: float
    frames: int
    decoder: str


@dataclass(frozen=True)
class Scan:
    """A `VideoInfo` with what decoding needs."""

    info: VideoInfo
    index: FrameIndex
    turn: Turn
    colour: ColourReading
    pixel_format: str
    square_pixels: bool


def probe(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> VideoInfo:
    """Check a video file and describe it; decodes two frames and reads every packet.

    Raises `UserError`, one sentence, for every file that cannot be used.
    """
    return scan(path, limits).info


def scan(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Scan:
    """Do the work of `probe` and keep what decoding needs."""
    file, name = check_file(path, limits), shown_name(path)
    kind, codec, index = _read_header(file, name, limits)
    first, pixel_aspect, colour = _first_frame(file, name, limits)
    index = index.starting_at(first.pts or 0)
    _check_duration(index.duration_secs, name, limits)
    turn = turn_of(first)
    width, height = _display_size(first.width, first.height, pixel_aspect, turn)
    _check_pixels(width, height, name, limits)
    info = VideoInfo(
        path=file,
        container=kind,
        codec=codec,
        width=width,
        height=height,
        rotation=turn.clockwise_degrees,
        duration_secs=index.duration_secs,
        fps=len(index) / index.duration_secs,
        frames=len(index),
        decoder=_choose_decoder(file, index, first, turn, colour, limits),
    )
    return Scan(info, index, turn, colour, first.format.name, pixel_aspect == 1)


def _read_header(file: Path, name: str, limits: Limits) -> tuple[str, str, FrameIndex]:
    with open_video(file) as container:
        stream = video_stream(container, name)
        _check_pixels(stream.width, stream.height, name, limits)
        decoder = stream.codec_context.name
        return (
            container_name(container, file),
            _CODEC_FROM_DECODER.get(decoder, decoder),
            index_frames(container, stream, name, limits),
        )


def _first_frame(file: Path, name: str, limits: Limits) -> tuple[Any, Fraction, ColourReading]:
    """Return the first `av.VideoFrame` that can be decoded, the shape of its pixels and how its
    colours are read.
    """
    with open_video(file) as container:
        stream = video_stream(container, name)
        tags, codec = ColourTags.of(stream.codec_context), stream.codec_context.name
        limit_decoder(stream, limits.max_pixels)
        first = next(decoded(container, stream), None)
        if first is None:
            raise damaged(name, "none of its frames can be decoded")
        colour = read_colour(tags, first, codec, name)
        return first, stream.sample_aspect_ratio or Fraction(1), colour


def _display_size(width: int, height: int, aspect: Fraction, turn: Turn) -> tuple[int, int]:
    # Stretching the shorter way round keeps every stored pixel.
    if aspect >= 1:
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    return (height, width) if turn.transpose else (width, height)


def _check_pixels(width: int, height: int, name: str, limits: Limits) -> None:
    thin = min(width, height) < _MIN_SIDE_PIXELS
    if thin or max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise UserError(
            f"{name} is {width} x {height} pixels, too thin to show: both sides need at least "
            f"{_MIN_SIDE_PIXELS} pixels and a ratio of at most {MAX_ASPECT_RATIO}."
        )
    if width * height > limits.max_pixels:
        raise UserError(
            f"{name} is {width} x {height} pixels and the limit is {limits.max_pixels:,} pixels "
            "a frame: scale the video down."
        )


def _check_duration(duration_secs: float, name: str, limits: Limits) -> None:
    if duration_secs > limits.max_duration_secs:
        raise UserError(
            f"{name} lasts {duration_secs:,.1f} s and the limit is "
            f"{limits.max_duration_secs:,.0f} s: cut it into parts."
        )


def _choose_decoder(
    file: Path, index: FrameIndex, first: Any, turn: Turn, colour: ColourReading, limits: Limits
) -> str:
    last_key = index.key_frame_before(len(index) - 1)
    pictures = list(
        decode_frames(
            file, index, [last_key], colour=colour, decoder="pyav", max_pixels=limits.max_pixels
        )
    )
    plain = first.format.name in _DECORD_PIXEL_FORMATS and turn == Turn()
    even = first.width % 2 == 0 and first.height % 2 == 0
    if not (plain and even and colour.is_plain_for_decord):
        return "pyav"
    expected = {0: RgbPictures(colour).picture(first), last_key: pictures[0]}
    return "decord" if _decord_agrees(file, index, expected) else "pyav"


def _decord_agrees(file: Path, index: FrameIndex, expected: dict[int, Picture]) -> bool:
    """Tell whether decord sees the same times and the same pictures as PyAV.

    Measured with decord 0.6: it cannot open AV1, ignores edit lists, returns wrong timestamps for
    AVI, wrong pictures for 10-bit and very small video, and after a seek in an open group of
    pictures a neighbouring frame (there its key frames, counted in file order, differ from ours).
    """
    try:
        reader = open_decord(file)
        if len(reader) != len(index):
            return False
        starts_secs = reader.get_frame_timestamp(range(len(reader)))[:, 0]
        same_seeks = np.array_equal(reader.get_key_indices(), index.key_frames)
        return (
            same_seeks
            and _same_times(starts_secs, index)
            and all(
                np.array_equal(decord_picture(reader, frame), picture)
                for frame, picture in expected.items()
            )
        )
    except Exception:  # not installed, or any of decord's own errors: PyAV reads the file
        return False


def _same_times(starts_secs: Any, index: FrameIndex) -> bool:
    difference = np.abs(starts_secs - starts_secs[0] - index.times_secs)
    return float(difference.max()) <= _SAME_TIME_SECS
