"""Decoding the frames of a video with PyAV, chosen ones or all, one at a time.

There is one decoder, so that there is one reading of a file. decord 0.6 was measured beside it on
H.264 and is a second opinion of the tests alone: 64 frames of an hour took it 10.9 s against 2.4 s
here, 64 of a minute 1.2 s against 1.6 s, 16 of 20 s of 720p 1.4 s against 3.5 s, every frame the
same; it hides damage, and knows no colour but one.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import av

from adaspark.video.fields import deinterlaced
from adaspark.video.file import damaged, open_video, shown_name, video_stream
from adaspark.video.index import FrameIndex
from adaspark.video.limits import Limits

# Decoding through this many frames costs less than a seek, which empties the decoder's threads.
_FRAMES_WORTH_A_SEEK = 8
_MOST_LOST_SHARE = 0.1
# Of these, packets say whether other frames are decoded from them.
_TELL_REFERENCES = ("h264", "hevc")
_B_FRAME = 3  # in `pict_type`; no later frame is decoded from most of these
# FFmpeg's own decoders of these leave out the alpha that WebM keeps beside the picture.
_DECODER_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


class Shown(NamedTuple):
    """A decoded `av.VideoFrame`; `is_whole` is false for one that damage has touched."""

    frame: Any
    is_whole: bool


class Reader(Protocol):
    """The frames of something that can be shown as a video."""

    def frames(self, requested: Sequence[int]) -> Iterator[Shown]:
        """Yield the frames of these numbers, which never fall, one at a time."""

    def numbered(self) -> Iterator[tuple[int, Any]]:
        """Yield (frame number, `av.VideoFrame`), each number at most once and rising."""


class Decoding:
    """The `av.VideoFrame`s from where a container stands; `errors` counts what is broken.

    What is shown before `wanted_pts` and is no reference of other frames is left out. Raises
    UserError for a frame larger than the limit, wherever it comes.
    """

    def __init__(self, container: Any, stream: Any, limits: Limits) -> None:
        self._limits = limits
        self._name = shown_name(container.name)
        self._frames = self._decoded(container.demux(stream), _decoder(stream, limits))
        self.errors = 0
        self.wanted_pts: int | None = None

    def __iter__(self) -> Iterator[Any]:
        return self._frames

    def __next__(self) -> Any:
        return next(self._frames)

    def _decoded(self, packets: Iterator[Any], decoder: Any) -> Iterator[Any]:
        told = None
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.FFmpegError):
                return
            left_out = "NONREF" if self._is_passed_by(packet) else "DEFAULT"
            if left_out != told:
                decoder.skip_frame = told = left_out
            try:
                frames = decoder.decode(packet)
            except MemoryError:
                raise
            except av.error.FFmpegError:
                # One that refuses a frame for its size has taken over that size.
                self._limits.check_growth(decoder.width, decoder.height, self._name)
                self.errors += 1
                continue
            for frame in frames:
                self._limits.check_growth(frame.width, frame.height, self._name)
                yield frame

    def _is_passed_by(self, packet: Any) -> bool:
        wanted, pts = self.wanted_pts, packet.pts
        return wanted is not None and pts is not None and pts < wanted


def _decoder(stream: Any, limits: Limits) -> Any:
    """Return the stream's own decoder, or one that reads the alpha that the stream says it has.

    It uses threads, and allocates no frame larger than the limit.
    """
    own = stream.codec_context
    if not own.is_open:
        stream.thread_type = "AUTO"
        own.options = {"max_pixels": str(limits.max_pixels)}
    if stream.metadata.get("alpha_mode") != "1" or own.name not in _DECODER_WITH_ALPHA:
        return own
    decoder = av.CodecContext.create(_DECODER_WITH_ALPHA[own.name], "r")
    decoder.thread_type, decoder.options = own.thread_type, own.options
    return decoder


@dataclass(frozen=True)
class VideoReader:
    """The frames of a video file, numbered as its index has them, deinterlaced where they are."""

    path: Path
    index: FrameIndex
    limits: Limits
    interlaced: bool

    def frames(self, requested: Sequence[int]) -> Iterator[Shown]:
        """Yield the frames of `requested`, seeking where that is shorter.

        A lost frame is replaced by the one before it. Raises UserError where too many are lost.
        """
        name = shown_name(self.path)
        with open_video(self.path) as container:
            stream = video_stream(container, name)
            cursor = Cursor(container, stream, self.index, self.limits, looks_back=self.interlaced)
            lost = 0
            for number in requested:
                frame = cursor.frame(number)
                lost += not cursor.is_exact(number)
                if frame is None or lost > _MOST_LOST_SHARE * len(requested):
                    raise damaged(name, "too many of its frames cannot be decoded")
                yield Shown(frame, cursor.is_whole(number))

    def numbered(self) -> Iterator[tuple[int, Any]]:
        """Yield every frame with its number; a lost one is left out."""
        name = shown_name(self.path)
        with open_video(self.path) as container:
            stream = video_stream(container, name)
            last = -1
            for frame in deinterlaced(Decoding(container, stream, self.limits)):
                number = self.index.frame_from_pts(frame.pts, decoded_before=last + 1)
                if last < number < len(self.index):
                    yield number, frame
                    last = number
        if last < 0:
            raise damaged(name, "none of its frames can be decoded")


class Cursor:
    """A place in an open video that moves forward, seeking where that is shorter.

    `looks_back` says that a frame is made with the one before it, so that this is decoded too.
    """

    def __init__(
        self, container: Any, stream: Any, index: FrameIndex, limits: Limits, *, looks_back: bool
    ) -> None:
        self._container, self._stream, self._index = container, stream, index
        self._limits = limits
        self._looks_back = looks_back
        tells = stream.codec_context.name in _TELL_REFERENCES
        self._passes_by = tells and index.has_pts and not looks_back
        self._passed_by = 0  # frames before this one may have been left out
        self._hand: Any = None
        self._waiting: Any = None  # decoded already, but shown after the frame in hand
        self._restart()

    def frame(self, requested: int) -> Any:
        """Return the `av.VideoFrame` shown at frame `requested`: it, or the last before it."""
        self._seek_if_shorter(requested)
        if self._passes_by:
            self._passed_by = requested
            self._decoding.wanted_pts = int(self._index.pts[requested])
        while self._at < requested:
            following = self._waiting or next(self._frames, None)
            self._waiting = None
            if following is None:
                break
            number = self._number(following)
            if number > requested and self._hand is not None:
                self._waiting = following
                break
            self._take(following, number)
        return self._hand

    def is_exact(self, requested: int) -> bool:
        """Tell whether the frame in hand is the requested one."""
        return self._at == requested

    def is_whole(self, requested: int) -> bool:
        """Tell whether it is that one, and nothing that it was decoded from was damaged."""
        return self.is_exact(requested) and not (self._is_hurt or self._hand.is_corrupt)

    def _restart(self) -> None:
        self._decoding = Decoding(self._container, self._stream, self._limits)
        self._frames = deinterlaced(self._decoding)
        self._errors_seen = 0
        self._at = -1  # number of the frame in hand
        self._hand = self._waiting = None
        self._is_hurt = False  # a frame that later ones are decoded from was damaged

    def _take(self, frame: Any, number: int) -> None:
        is_gap = number > max(self._at + 1, self._passed_by)
        is_lossy = self._decoding.errors > self._errors_seen or is_gap
        is_hit = frame.is_corrupt and frame.pict_type != _B_FRAME
        if frame.key_frame:
            self._is_hurt = is_hit
        elif self._hand is not None:
            self._is_hurt |= is_hit or is_lossy
        self._errors_seen = self._decoding.errors
        self._hand, self._at = frame, number

    def _number(self, frame: Any) -> int:
        return self._index.frame_from_pts(frame.pts, decoded_before=self._at + 1)

    def _seek_if_shorter(self, requested: int) -> None:
        first = max(requested - self._looks_back, 0)
        key = self._index.keys_before(first) - 1
        is_far = key > 0 and self._index.key_frames[key] - self._at >= _FRAMES_WORTH_A_SEEK
        if not self._index.has_pts or not is_far:
            return
        # A container's own index may lead past the frame: then from an earlier one, or the first.
        for earlier in (key, key - 1, key - 3, 0):
            self._seek(int(self._index.seek_to[max(earlier, 0)]))
            if self._hand is not None and self._at <= first:
                return

    def _seek(self, stamp: int) -> None:
        # Where a container cannot seek, decoding goes on from where it stands.
        with suppress(av.error.FFmpegError):
            self._container.seek(stamp, stream=self._stream)
        self._restart()
        first = next(self._frames, None)
        if first is not None:
            self._take(first, self._number(first))
