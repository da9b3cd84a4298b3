"""When each frame of a video is shown, read from its packets without decoding them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from adaspark.errors import UserError
from adaspark.video_file import Limits, damaged, segment_end_bytes

# A file that holds less than this share of what it announces is cut off; the rest of the
# tolerance covers containers that round, or count a frame that an edit hides.
_COMPLETE_SHARE = 0.95
# What may follow the last frame of a small Matroska file: its seek index and tags.
_INDEX_BYTES = 4096
# Timestamps are rounded to 1 ms by Matroska.
_SLACK_SECS = 0.001


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of a stream in the order of presentation.

    `times_secs` [F] float64 rises from 0. `pts` [F] int64 are the same times in the stream's time
    base. `key_frames` are the frames at which decoding can start. AVI stores no presentation times
    (`has_pts` false): there the n-th frame decoded is the n-th frame shown. `hides_frames` tells
    that the file holds more frames than are shown.
    """

    times_secs: NDArray[np.float64]
    pts: NDArray[np.int64]
    key_frames: NDArray[np.int64]
    duration_secs: float
    has_pts: bool
    hides_frames: bool

    def __len__(self) -> int:
        return len(self.pts)

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
        return int(np.searchsorted(self.pts, pts, side="right")) - 1

    def key_frame_before(self, frame: int) -> int:
        """Return the last frame at or before `frame` at which decoding can start."""
        after = int(np.searchsorted(self.key_frames, frame, side="right"))
        return int(self.key_frames[after - 1]) if after else 0

    def starting_at(self, pts: int) -> "FrameIndex":
        """Return the index without the frames before `pts`, which cannot be decoded."""
        first = int(np.searchsorted(self.pts, pts))
        if first in (0, len(self)) or not self.has_pts:
            return self
        return FrameIndex(
            self.times_secs[first:] - self.times_secs[first],
            self.pts[first:],
            self.key_frames[self.key_frames >= first] - first,
            self.duration_secs - float(self.times_secs[first]),
            self.has_pts,
            hides_frames=True,
        )


@dataclass
class _Packets:
    """What was found of one video stream, in file order, and where all streams end."""

    pts: list[int]
    durations: list[int]
    keys: list[bool]
    read: int = 0
    end_secs: float = 0.0
    end_bytes: int = 0


def index_frames(container: Any, stream: Any, name: str, limits: Limits) -> FrameIndex:
    """Read every packet of an open container and return when its frames are shown."""
    has_pts = container.format.name != "avi"
    packets = _read_packets(container, stream, name, limits, has_pts=has_pts)
    if not packets.pts:
        raise damaged(name, "no frame of it can be read")
    _refuse_cut_off(container, stream, name, packets)
    pts, order = np.unique(np.array(packets.pts, dtype=np.int64), return_index=True)
    keys = np.array(packets.keys)[order]
    tick_secs = float(stream.time_base)
    end_pts = int(pts[-1]) + _last_duration(pts, packets.durations[int(order[-1])], stream)
    return FrameIndex(
        times_secs=(pts - pts[0]) * tick_secs,
        pts=pts,
        key_frames=np.flatnonzero(keys),
        duration_secs=(end_pts - int(pts[0])) * tick_secs,
        has_pts=has_pts,
        hides_frames=len(pts) < packets.read,
    )


def _read_packets(
    container: Any, stream: Any, name: str, limits: Limits, *, has_pts: bool
) -> _Packets:
    found = _Packets([], [], [])
    try:
        for packet in container.demux():
            if packet.size:
                _note(packet, stream.index, found, has_pts=has_pts)
            if found.read > limits.max_frames:
                raise UserError(
                    f"{name} has more than {limits.max_frames:,} frames: cut it into parts."
                )
    except av.error.FFmpegError:
        # What was read so far counts; whether it is enough is decided against the announced end.
        pass
    return found


def _note(packet: Any, stream_index: int, found: _Packets, *, has_pts: bool) -> None:
    stamp = packet.pts if has_pts and packet.pts is not None else packet.dts
    if stamp is not None and packet.time_base is not None:
        end_secs = float((stamp + (packet.duration or 0)) * packet.time_base)
        found.end_secs = max(found.end_secs, end_secs)
    found.end_bytes = max(found.end_bytes, (packet.pos or 0) + packet.size)
    if packet.stream_index != stream_index:
        return
    found.read += 1
    # An edit list hides frames that only help to decode others.
    if packet.is_discard or stamp is None:
        return
    found.pts.append(stamp)
    found.durations.append(packet.duration or 0)
    found.keys.append(bool(packet.is_keyframe))


def _refuse_cut_off(container: Any, stream: Any, name: str, packets: _Packets) -> None:
    share = max(_shares_found(container, stream, packets), default=1.0)
    if share < _COMPLETE_SHARE:
        raise UserError(
            f"{name} is cut off: only {share:.0%} of the video it announces is in the file; "
            "copy or export the video again."
        )


def _shares_found(container: Any, stream: Any, packets: _Packets) -> Iterator[float]:
    """Yield each measure of how much of the announced video was found; one may understate.

    AVI counts ticks, dropped frames among them, and its length is FFmpeg's guess. MP4 counts
    frames. Matroska announces a length that includes the last frame's, which it does not state,
    so there bytes count too.
    """
    if container.format.name == "avi":
        if stream.frames > 0:
            yield (max(packets.pts) + 1) / stream.frames
        return
    if stream.frames > 0:
        yield packets.read / stream.frames
    if container.duration:
        yield packets.end_secs / (container.duration / av.time_base)
    if "matroska" in container.format.name:
        announced_bytes = segment_end_bytes(Path(container.name)) or container.size
        share_read = (packets.end_bytes + _INDEX_BYTES) / container.size
        yield min(container.size / announced_bytes, share_read)


def _last_duration(pts: NDArray[np.int64], stated: int, stream: Any) -> int:
    if stated > 0:
        return stated
    if len(pts) > 1:
        return max(int(np.median(np.diff(pts))), 1)
    rate = stream.average_rate or stream.guessed_rate or 25
    return max(round(float(1 / (rate * stream.time_base))), 1)
