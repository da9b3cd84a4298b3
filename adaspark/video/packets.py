"""The packets of a video file, read from end to end, none decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from adaspark.video.boxes import announced_bytes, segment_end_bytes
from adaspark.video.file import cut_off
from adaspark.video.limits import Limits

# A file that holds less than this share of what it announces is cut off; the rest of the
# tolerance covers containers that round, or count a frame that an edit hides.
_COMPLETE_SHARE = 0.95
# What may follow the last frame of a small Matroska file: its seek index and tags.
_INDEX_BYTES = 4096
# Broadcasts change clocks in the middle: there a longer gap is such a change, as for ffmpeg.
_CLOCKS_CHANGE_IN = ("mpegts", "mpeg")
LONGEST_GAP_SECS = 10.0


@dataclass
class Packets:
    """What was found of one video stream, in file order, and where all streams end.

    `states_pts` is false once a shown packet had no presentation time of its own.
    """

    pts: list[int]
    dts: list[int | None]
    durations: list[int]
    keys: list[bool]
    states_pts: bool
    smallest_bytes: int = 2**62
    read: int = 0
    end_secs: float = 0.0
    end_bytes: int = 0


def changes_clocks(container: Any) -> bool:
    """Tell whether a long gap in this container's times is a change of clock, not a long frame."""
    return container.format.name in _CLOCKS_CHANGE_IN


def read_packets(container: Any, stream: Any, name: str, limits: Limits) -> Packets:
    """Read every packet of an open container; an unreadable rest is left out.

    Raises UserError where there are more frames or packets than the limits.
    """
    found = Packets([], [], [], [], states_pts=container.format.name != "avi")
    try:
        for number, packet in enumerate(container.demux()):
            if packet.size:
                _note(packet, stream, found)
            limits.check_packets(found.read, number, name)
    except av.error.FFmpegError:
        # What was read so far counts; whether it is enough is decided against the announced end.
        pass
    return found


def _note(packet: Any, stream: Any, found: Packets) -> None:
    is_avi = stream.container.format.name == "avi"
    stamp = packet.dts if is_avi or packet.pts is None else packet.pts
    if stamp is not None and packet.time_base is not None:
        end_secs = float((stamp + (packet.duration or 0)) * packet.time_base)
        found.end_secs = max(found.end_secs, end_secs)
    found.end_bytes = max(found.end_bytes, (packet.pos or 0) + packet.size)
    if packet.stream_index != stream.index:
        return
    found.read += 1
    # An edit list hides frames that only help to decode others.
    if packet.is_discard or _is_invisible(packet, stream):
        return
    found.states_pts &= packet.pts is not None
    found.smallest_bytes = min(found.smallest_bytes, packet.size)
    if stamp is None:
        return
    found.pts.append(stamp)
    found.dts.append(packet.dts)
    found.durations.append(packet.duration or 0)
    found.keys.append(bool(packet.is_keyframe))


def _is_invisible(packet: Any, stream: Any) -> bool:
    """Tell a VP8 frame that is never shown: the fifth bit of its header."""
    return stream.codec_context.name == "vp8" and not memoryview(packet)[0] & 0x10


def refuse_cut_off(container: Any, stream: Any, name: str, packets: Packets) -> None:
    """Raise UserError where much less of the video is in the file than it announces."""
    share = max(_shares_found(container, stream, packets), default=1.0)
    if share < _COMPLETE_SHARE:
        raise cut_off(name, share)


def _shares_found(container: Any, stream: Any, packets: Packets) -> Iterator[float]:
    """Yield each measure of how much of the announced video was found; one may understate.

    AVI counts ticks, dropped frames among them, and its length is FFmpeg's guess, as is that of
    Windows Media, which states its bytes. MP4 counts frames. Matroska announces a length that
    includes the last frame's, which it does not state, so there bytes count too.
    """
    if container.format.name == "avi":
        if stream.frames > 0:
            yield (max(packets.pts) + 1) / stream.frames
        return
    if container.format.name == "asf":
        yield container.size / (announced_bytes(Path(container.name)) or container.size)
        return
    if stream.frames > 0:
        yield packets.read / stream.frames
    # A broadcast announces no length: there FFmpeg's is a guess from the last clock it finds.
    if container.duration and not changes_clocks(container):
        yield packets.end_secs / (container.duration / av.time_base)
    if "matroska" in container.format.name:
        end_bytes = segment_end_bytes(Path(container.name)) or container.size
        share_read = (packets.end_bytes + _INDEX_BYTES) / container.size
        yield min(container.size / end_bytes, share_read)
