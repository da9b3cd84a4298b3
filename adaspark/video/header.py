"""What a video file says of itself, before any of it is decoded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaspark.errors import UserError
from adaspark.video.boxes import Crop, track_of
from adaspark.video.file import encrypted, open_video, video_stream
from adaspark.video.index import FrameIndex, index_frames
from adaspark.video.kinds import container_name, is_scrambled
from adaspark.video.limits import Limits
from adaspark.video.packets import read_packets
from adaspark.video.sampling import MAX_ASPECT_RATIO

_MIN_SIDE_PIXELS = 2
_CODEC_FROM_DECODER = {"libdav1d": "av1", "libaom-av1": "av1", "libvpx-vp9": "vp9"}


@dataclass(frozen=True)
class Header:
    """What the packets and boxes of a file say."""

    kind: str
    codec: str
    index: FrameIndex
    is_plain: bool
    crop: Crop
    sound_start_secs: float | None
    tick_secs: float

    def start_secs(self, index: FrameIndex) -> float:
        """Return how much later than the sound the picture starts; less than a frame is nothing."""
        if self.sound_start_secs is None:
            return 0.0
        late_secs = int(index.pts[0]) * self.tick_secs - self.sound_start_secs
        return late_secs if late_secs >= index.duration_secs / len(index) else 0.0


def read_header(file: Path, name: str, limits: Limits) -> Header:
    """Read every packet and what describes them. Raises UserError where they cannot be used."""
    if is_scrambled(file):
        raise encrypted(name)
    with open_video(file) as container:
        limits.check_streams(len(container.streams), name)
        stream = video_stream(container, name)
        track = track_of(file, stream.index, stream.width, stream.height)
        if track.is_encrypted:
            raise encrypted(name)
        check_pixels(stream.width, stream.height, name, limits)
        decoder = stream.codec_context.name
        packets = read_packets(container, stream, name, limits)
        index, is_plain = index_frames(container, stream, name, packets)
        is_crop = track.crop.fits(stream.width, stream.height)
        return Header(
            kind=container_name(container, file),
            codec=_CODEC_FROM_DECODER.get(decoder, decoder),
            index=index,
            is_plain=is_plain,
            crop=track.crop if is_crop else Crop(),
            sound_start_secs=_sound_start_secs(container),
            tick_secs=float(stream.time_base),
        )


def _sound_start_secs(container: Any) -> float | None:
    """Return when the earliest sound starts; what an encoder primes itself with does not count."""
    starts = [
        max(float(stream.start_time * stream.time_base), 0.0)
        for stream in container.streams.audio
        if stream.start_time is not None
    ]
    return min(starts, default=None)


def check_pixels(width: int, height: int, name: str, limits: Limits) -> None:
    """Raise UserError for a picture that is too thin or too large."""
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
