"""What a video is, and whether it can be used, before any of it is shown to the model.

It puts together what others read: `boxes` the crop, `decode` the rotation, `header` the rest.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from cachetools import LRUCache, cached

from adaspark.errors import UserError
from adaspark.video.boxes import Crop
from adaspark.video.colour import RGB, ColourReading, read_colour
from adaspark.video.decode import Reader, VideoReader
from adaspark.video.file import check_file, check_size, shown_name
from adaspark.video.header import check_pixels, read_header
from adaspark.video.images import Source, image_paths, is_animated_webp, read_images, read_webp
from adaspark.video.index import FrameIndex
from adaspark.video.kinds import head_of, is_webp
from adaspark.video.limits import DEFAULT_LIMITS, Limits
from adaspark.video.order import decode_order, try_decoding
from adaspark.video.rgb import RgbPictures, SampledPicture
from adaspark.video.turn import Turn, turn_of

_BROWSERS_OPEN = ("MP4", "MOV", "WebM", "MKV")
_CACHE_BYTES = 2**27


@dataclass(frozen=True)
class VideoInfo:
    """What `probe` found.

    `width` and `height` are those of the upright, cropped picture with square pixels; `rotation`
    is the clockwise turn in degrees that made it upright; `codec` is FFmpeg's name ("h264"),
    `container` ours ("MP4"). Durations come from the frames in the file, not from its header.
    `start_secs` is how much later than its sound the picture starts: times that are shown count
    from the sound's start, as in players. `images` are what a folder or list consists of.
    `warnings` are sentences for the user.
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
    start_secs: float = 0.0
    images: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def source(self) -> Path | tuple[Path, ...]:
        """What to read again: the file, or the images."""
        return self.images or self.path


@dataclass(frozen=True)
class Scan:
    """A `VideoInfo` with what decoding needs: `crop` applies to the stored picture, then `turn`."""

    info: VideoInfo
    index: FrameIndex
    reader: Reader
    turn: Turn
    crop: Crop
    colour: ColourReading
    pixel_format: str
    square_pixels: bool

    @property
    def plays_in_browsers(self) -> bool:
        """Tell whether browsers open the file itself, as far as its container goes, uncropped."""
        return self.info.container in _BROWSERS_OPEN and self.crop == Crop()

    def pictures(self, times_secs: Sequence[float]) -> Iterator[SampledPicture]:
        """Yield what is shown at these times, in seconds from its start, which never fall."""
        numbers = [self.index.frame_from_time(time) for time in times_secs]
        rgb = RgbPictures(self.colour, self.crop)
        shown = self.reader.frames(numbers)
        for number, (frame, is_whole) in zip(numbers, shown, strict=True):
            time_secs = self.info.start_secs + float(self.index.times_secs[number])
            yield SampledPicture(self.turn.upright(rgb.picture(frame)), time_secs, is_whole)


def probe(
    source: Source, limits: Limits = DEFAULT_LIMITS, *, fps: float | None = None
) -> VideoInfo:
    """Check a video and describe it; decodes a few frames and reads every packet.

    `source` is a file, or a folder, pattern or list of images, `fps` of which make one second.
    Raises `UserError`, one sentence, for everything that cannot be used.
    """
    return scan(source, limits, fps=fps).info


def scan(source: Source, limits: Limits = DEFAULT_LIMITS, *, fps: float | None = None) -> Scan:
    """Do the work of `probe` and keep what decoding needs.

    A file is read once, whoever asks and from whichever threads, until its inode, size or time of
    change is another.
    """
    if images := image_paths(source):
        return _checked(_scan_images(images, fps, limits), limits)
    assert isinstance(source, str | Path)
    file = check_file(source, limits)
    status = file.stat()
    state = (status.st_ino, status.st_size, status.st_mtime_ns)
    # Limits that are checked before and after the scan change nothing in it.
    reading = replace(limits, max_bytes=None, max_duration_secs=None)
    return _checked(_scan_file(file, state, reading), limits)


def _held_bytes(scanned: Scan) -> int:
    """About what a scan takes in memory: its index, and 16 kB for all the rest."""
    return scanned.index.nbytes + 2**14


# The condition makes whoever asks for a file that is just being read wait for that.
@cached(LRUCache(_CACHE_BYTES, getsizeof=_held_bytes), condition=threading.Condition())
def _scan_file(file: Path, state: tuple[int, int, int], limits: Limits) -> Scan:
    """Scan one file as it was in this `state`."""
    if is_webp(head_of(file)) and is_animated_webp(file):
        return _scan_webp(file, limits)
    return _scan_video(file, shown_name(file), limits)


def _scan_video(file: Path, name: str, limits: Limits) -> Scan:
    header = read_header(file, name, limits)
    trial = try_decoding(file, name, limits)
    colour = read_colour(trial.tags, trial.first, header.codec, name, interlaced=trial.interlaced)
    first, index = trial.first, header.index
    warnings: tuple[str, ...] = ()
    if header.is_plain and trial.agrees(index):
        index = index.starting_at(first.pts or 0)
    else:
        index, warnings = decode_order(file, limits)
    turn = turn_of(first)
    width, height = header.crop.size(first.width, first.height)
    width, height = _display_size(width, height, trial.pixel_aspect, turn)
    info = VideoInfo(
        path=file,
        container=header.kind,
        codec=header.codec,
        width=width,
        height=height,
        rotation=turn.clockwise_degrees,
        duration_secs=index.duration_secs,
        fps=len(index) / index.duration_secs,
        frames=len(index),
        decoder="pyav",
        start_secs=header.start_secs(index),
        warnings=warnings,
    )
    reader = VideoReader(file, index, limits, colour.interlaced)
    is_square = trial.pixel_aspect == 1
    return Scan(info, index, reader, turn, header.crop, colour, first.format.name, is_square)


def _scan_images(images: tuple[Path, ...], fps: float | None, limits: Limits) -> Scan:
    if fps is None:
        raise UserError(
            f"{shown_name(images[0].parent)} holds images: "
            "say with --fps how many of them make one second."
        )
    for path in images:
        check_file(path, limits)
    check_size(sum(path.stat().st_size for path in images), "The set of images", limits)
    reader, index, kind, warnings = read_images(images, fps, limits)
    info = _still_info(images[0].parent, "images", kind, reader.size, index)
    info = replace(info, images=images, warnings=warnings)
    return Scan(info, index, reader, Turn(), Crop(), RGB, "rgb24", square_pixels=True)


def _scan_webp(file: Path, limits: Limits) -> Scan:
    reader, index = read_webp(file, limits)
    info = _still_info(file, "WebP", "webp", reader.size, index)
    return Scan(info, index, reader, Turn(), Crop(), RGB, "rgb24", square_pixels=True)


def _still_info(
    path: Path, kind: str, codec: str, size: tuple[int, int], index: FrameIndex
) -> VideoInfo:
    return VideoInfo(
        path=path,
        container=kind,
        codec=codec,
        width=size[0],
        height=size[1],
        rotation=0,
        duration_secs=index.duration_secs,
        fps=len(index) / index.duration_secs,
        frames=len(index),
        decoder="pillow",
    )


def _checked(scanned: Scan, limits: Limits) -> Scan:
    name = shown_name(scanned.info.path)
    limits.check_duration(scanned.info.duration_secs, scanned.info.frames, name)
    check_pixels(scanned.info.width, scanned.info.height, name, limits)
    return scanned


def _display_size(width: int, height: int, aspect: Fraction, turn: Turn) -> tuple[int, int]:
    # Stretching the shorter way round keeps every stored pixel.
    if aspect >= 1:
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    return (height, width) if turn.transpose else (width, height)
