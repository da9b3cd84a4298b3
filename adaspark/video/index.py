"""When each frame of a video is shown.

The one rule: the frames of a video are the pictures that its decoder gives out, in that order, and
each is shown from its presentation time (pts) on. Where those times fall, repeat or are missing,
its decoding time (dts) stands in, as in FFmpeg's best-effort time. Packets tell all this without
decoding in most files (`index_frames`); the others are decoded once (`video_order`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaspark.video.file import damaged
from adaspark.video.packets import (
    LONGEST_GAP_SECS,
    Packets,
    changes_clocks,
    refuse_cut_off,
)

# Timestamps are rounded to 1 ms by Matroska.
_SLACK_SECS = 0.001
# H.264 and HEVC let a frame be stored this many places away from where it is shown.
MOST_REORDERING = 16
# MPEG-4's "nothing changed" is smaller; a packet of it may give no picture.
_SMALLEST_MPEG4_FRAME_BYTES = 20


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of a stream in the order of presentation.

    `times_secs` [F] float64 rises from 0. `pts` [F] int64 are the same times in the stream's time
    base. `key_frames` [K] are the frames at which decoding can start, `seek_to` [K] int64 the
    stamps at which their container finds them. Where presentation times are missing or wrong
    (`has_pts` false), a frame is known only by counting: the n-th frame decoded is the n-th frame
    shown. `hides_frames` tells that the file holds more frames than are shown.
    """

    times_secs: NDArray[np.float64]
    pts: NDArray[np.int64]
    key_frames: NDArray[np.int64]
    seek_to: NDArray[np.int64]
    duration_secs: float
    has_pts: bool
    hides_frames: bool

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(each.nbytes for each in vars(self).values() if isinstance(each, np.ndarray))

    def frame_from_time(self, time_secs: float) -> int:
        """Return the frame that is on screen at `time_secs`."""
        slack_secs = min(_SLACK_SECS, 0.25 * self.duration_secs / len(self))
        after = int(np.searchsorted(self.times_secs, time_secs + slack_secs, side="right"))
        return max(after - 1, 0)

    def frame_from_pts(self, pts: int | None, *, decoded_before: int) -> int:
        """Return the number of a decoded frame, or -1 for one before the first that is shown.

        `decoded_before` counts the frames decoded before it, which decides where the container
        states no presentation times.
        """
        if not self.has_pts or pts is None:
            return decoded_before
        return int(self.pts.searchsorted(pts, side="right")) - 1

    def keys_before(self, frame: int) -> int:
        """Return how many of `key_frames` are at or before `frame`."""
        return int(self.key_frames.searchsorted(frame, side="right"))

    def starting_at(self, pts: int) -> "FrameIndex":
        """Return the index without the frames before `pts`, which cannot be decoded."""
        first = int(np.searchsorted(self.pts, pts))
        if first in (0, len(self)) or not self.has_pts:
            return self
        is_left = self.key_frames >= first
        return FrameIndex(
            self.times_secs[first:] - self.times_secs[first],
            self.pts[first:],
            self.key_frames[is_left] - first,
            self.seek_to[is_left],
            self.duration_secs - float(self.times_secs[first]),
            self.has_pts,
            hides_frames=True,
        )


def index_frames(
    container: Any, stream: Any, name: str, packets: Packets
) -> tuple[FrameIndex, bool]:
    """When the frames of an open container are shown, as far as its packets tell.

    The second value is false where they cannot tell, so that the frames must be decoded.
    """
    if not packets.pts:
        raise damaged(name, "no frame of it can be read")
    refuse_cut_off(container, stream, name, packets)
    pts, order = np.unique(np.array(packets.pts, dtype=np.int64), return_index=True)
    keys, seek_to = _seek_points(packets, order, container)
    tick_secs = float(stream.time_base)
    end_pts = int(pts[-1]) + _last_duration(pts, packets.durations[int(order[-1])], stream)
    index = FrameIndex(
        times_secs=(pts - pts[0]) * tick_secs,
        pts=pts,
        key_frames=keys,
        seek_to=seek_to,
        duration_secs=(end_pts - int(pts[0])) * tick_secs,
        has_pts=packets.states_pts,
        hides_frames=len(pts) < packets.read,
    )
    return index, _are_plain(packets, order, index, container, stream)


def _seek_points(
    packets: Packets, order: NDArray[np.int64], container: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the key frames, in the order of presentation, and the stamps to seek to for them."""
    keys = np.flatnonzero(np.array(packets.keys)[order])
    if container.format.name == "mpeg":
        # Few frames of a program stream have a time, and FFmpeg's guess for the others is wrong
        # after a seek: decoding starts at its beginning.
        keys = keys[:1]
    # A transport stream is searched by decoding times.
    by_dts = container.format.name == "mpegts"
    stamps = [packets.dts[n] if by_dts else packets.pts[n] for n in order[keys].tolist()]
    return keys, np.array(stamps, dtype=np.int64)


def _are_plain(
    packets: Packets, order: NDArray[np.int64], index: FrameIndex, container: Any, stream: Any
) -> bool:
    """Tell whether packets look as if each were one frame, shown at its own time."""
    is_avi = container.format.name == "avi"
    if not (packets.states_pts or is_avi):
        return False
    # Frames of one time are shown once, unless their decoding times tell them apart.
    if len(order) < len(packets.pts) and len(set(packets.dts)) == len(packets.pts):
        return False
    is_mpeg4 = stream.codec_context.name == "mpeg4"
    if is_mpeg4 and packets.smallest_bytes < _SMALLEST_MPEG4_FRAME_BYTES:
        return False
    if is_avi:
        return True
    stated_dts = [dts for dts in packets.dts if dts is not None]
    moved = np.argsort(packets.pts, kind="stable") - np.arange(len(packets.pts))
    if np.abs(moved).max() > MOST_REORDERING or np.any(np.diff(stated_dts) < 0):
        return False
    if changes_clocks(container) and np.any(np.diff(index.times_secs) > LONGEST_GAP_SECS):
        return False
    # A decoder that holds frames back, and packets that need none held: their times are not pts.
    return bool(np.any(moved)) or not (is_mpeg4 and stream.codec_context.has_b_frames)


def _last_duration(pts: NDArray[np.int64], stated: int, stream: Any) -> int:
    if stated > 0:
        return stated
    if len(pts) > 1:
        return max(int(np.median(np.diff(pts))), 1)
    rate = stream.average_rate or stream.guessed_rate or 25
    return max(round(float(1 / (rate * stream.time_base))), 1)
