"""Decoding chosen frames, one at a time, with decord or PyAV."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor

from adaspark.video_colour import ColourReading
from adaspark.video_fields import deinterlaced
from adaspark.video_file import damaged, open_video, shown_name, video_stream
from adaspark.video_index import FrameIndex
from adaspark.video_rgb import Picture, RgbPictures

# Decoding through this many frames costs less than a seek, which empties the decoder's threads.
_FRAMES_WORTH_A_SEEK = 8
_MAX_LOST_SHARE = 0.1
_DECORD_THREADS = 2
# FFmpeg's own decoders of these leave out the alpha that WebM keeps beside the picture.
_DECODER_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass(frozen=True)
class Turn:
    """How a stored picture becomes upright: transposed first, then flipped."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def clockwise_degrees(self) -> int:
        """0, 90, 180 or 270; a mirrored picture counts as the turn without the mirror."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def upright(self, frames: Tensor) -> Tensor:
        """Turn frames [..., H, W]."""
        if self.transpose:
            frames = frames.transpose(-1, -2)
        flipped = [axis for axis, flip in ((-1, self.flip_x), (-2, self.flip_y)) if flip]
        return frames.flip(flipped) if flipped else frames


def turn_of(frame: Any) -> Turn:
    """Return the turn that a frame's display matrix asks for, to the nearest quarter."""
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return Turn()
    # x' = a x + c y and y' = b x + d y, in the upright picture's coordinates.
    a, b, _, c, d, *_ = np.frombuffer(bytes(side_data), dtype=np.int32).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(transpose=False, flip_x=a < 0, flip_y=d < 0)
    return Turn(transpose=True, flip_x=c < 0, flip_y=b < 0)


def limit_decoder(stream: Any, max_pixels: int) -> None:
    """Use threads, and refuse a stream whose frames grow past `max_pixels`."""
    stream.thread_type = "AUTO"
    stream.codec_context.options = {"max_pixels": str(max_pixels)}


def decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the `av.VideoFrame`s from where the container stands; skip what is broken."""
    packets, decoder = container.demux(stream), _decoder(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):
            return
        with suppress(av.error.FFmpegError):
            yield from decoder.decode(packet)


def _decoder(stream: Any) -> Any:
    """Return the stream's own decoder, or one that reads the alpha that the stream says it has."""
    own = stream.codec_context
    if stream.metadata.get("alpha_mode") != "1" or own.name not in _DECODER_WITH_ALPHA:
        return own
    decoder = av.CodecContext.create(_DECODER_WITH_ALPHA[own.name], "r")
    decoder.thread_type, decoder.options = own.thread_type, own.options
    return decoder


def decode_frames(
    path: Path,
    index: FrameIndex,
    wanted: Sequence[int],
    *,
    colour: ColourReading,
    decoder: str,
    max_pixels: int,
) -> Iterator[Picture]:
    """Yield the pictures of `wanted`, frame numbers that never fall, one at a time.

    `decoder` is "decord", for colours that are plain for it, or "pyav"; where decord gives up, PyAV
    goes on.
    """
    done = 0
    if decoder == "decord":
        for picture in _decord_frames(path, wanted):
            yield picture
            done += 1
    if done < len(wanted):
        yield from _pyav_frames(path, index, wanted[done:], colour, max_pixels=max_pixels)


def open_decord(path: Path) -> Any:
    """Return a quiet `decord.VideoReader`; raise what decord raises, or ImportError."""
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord.VideoReader(str(path), num_threads=_DECORD_THREADS)


def decord_picture(reader: Any, frame: int) -> Picture:
    """Return one picture of a `decord.VideoReader`."""
    reader.seek_accurate(frame)
    picture: Picture = reader.next().asnumpy()
    return picture


def _decord_frames(path: Path, wanted: Iterable[int]) -> Iterator[Picture]:
    try:
        reader, last, picture = open_decord(path), -1, None
        for frame in wanted:
            if frame != last or picture is None:
                last, picture = frame, decord_picture(reader, frame)
            yield picture
    except Exception:
        # Not installed, decord's own errors, or its None for a lost frame: PyAV goes on from here.
        return


def _pyav_frames(
    path: Path,
    index: FrameIndex,
    wanted: Sequence[int],
    colour: ColourReading,
    *,
    max_pixels: int,
) -> Iterator[Picture]:
    rgb = RgbPictures(colour)
    with open_video(path) as container:
        stream = video_stream(container, shown_name(path))
        limit_decoder(stream, max_pixels)
        cursor = Cursor(container, stream, index, looks_back=colour.interlaced)
        lost = 0
        for frame in wanted:
            found = cursor.frame(frame)
            lost += not cursor.is_exact(frame)
            if found is None or lost > _MAX_LOST_SHARE * len(wanted):
                raise damaged(shown_name(path), "too many of its frames cannot be decoded")
            yield rgb.picture(found)


class Cursor:
    """A place in an open video that moves forward, seeking where that is shorter.

    `looks_back` says that a picture is made with the frame before it, so that this is decoded too.
    """

    def __init__(self, container: Any, stream: Any, index: FrameIndex, *, looks_back: bool) -> None:
        self._container, self._stream, self._index = container, stream, index
        self._looks_back = looks_back
        self._frames = deinterlaced(decoded(container, stream))
        self._at = -1  # number of the frame in hand
        self._hand: Any = None

    def frame(self, wanted: int) -> Any:
        """Return the `av.VideoFrame` shown at frame `wanted`: it, or the last before it."""
        self._seek_if_shorter(wanted)
        while self._at < wanted:
            following = next(self._frames, None)
            if following is None:
                break
            number = self._number(following)
            if number > wanted and self._hand is not None:
                self._frames = _chain(following, self._frames)
                break
            self._hand, self._at = following, number
        return self._hand

    def is_exact(self, wanted: int) -> bool:
        """Tell whether the frame in hand is whole and is the wanted one."""
        return self._at == wanted and not self._hand.is_corrupt

    def _number(self, frame: Any) -> int:
        return self._index.frame_from_pts(frame.pts, decoded_before=self._at + 1)

    def _seek_if_shorter(self, wanted: int) -> None:
        key_frame = self._index.key_frame_before(max(wanted - self._looks_back, 0))
        if not self._index.has_pts or key_frame - self._at < _FRAMES_WORTH_A_SEEK:
            return
        self._seek(key_frame)
        if self._hand is None or self._at > wanted:
            # The container's own index led past the frame: start again from the beginning.
            self._seek(0)

    def _seek(self, key_frame: int) -> None:
        # Where a container cannot seek, decoding goes on from where it stands.
        with suppress(av.error.FFmpegError):
            self._container.seek(int(self._index.pts[key_frame]), stream=self._stream)
        self._frames = deinterlaced(decoded(self._container, self._stream))
        self._hand = next(self._frames, None)
        self._at = -1 if self._hand is None else self._number(self._hand)


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def tensor_from_picture(picture: Picture, turn: Turn) -> Tensor:
    """Return an upright uint8 tensor [1, 3, H, W]."""
    return turn.upright(torch.from_numpy(picture).permute(2, 0, 1)).unsqueeze(0)
