"""The frames of a video as its decoder gives them out: a trial of the first, or all of them.

All are decoded where packets do not tell when frames are shown: packed MPEG-4, MPEG-4 copied from
AVI, times that repeat, are missing or go back, two fields a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaspark.video.colour import ColourTags
from adaspark.video.decode import Decoding
from adaspark.video.file import damaged, open_video, shown_name, video_stream
from adaspark.video.index import MOST_REORDERING, FrameIndex
from adaspark.video.limits import Limits
from adaspark.video.packets import LONGEST_GAP_SECS, changes_clocks

_TRIAL_FRAMES = 24


@dataclass(frozen=True)
class Trial:
    """The first frame that can be decoded, and the pts of the first few in decoded order.

    `tags` are the container's, before a decoder overrode them; `interlaced` is of any of the few.
    """

    first: Any  # av.VideoFrame
    tags: ColourTags
    interlaced: bool
    pixel_aspect: Any
    pts: list[int | None]
    is_clean: bool

    def agrees(self, index: FrameIndex) -> bool:
        """Tell whether the frames came out as `index` has them; damage is no disagreement."""
        if not index.has_pts:
            return True
        if any(pts is None for pts in self.pts):
            return False
        pts = np.array(self.pts, dtype=np.int64)
        if np.any(np.diff(pts) < 0) or not np.all(np.isin(pts, index.pts)):
            return False
        pts = np.unique(pts)
        first = int(np.searchsorted(index.pts, pts[0]))
        expected = index.pts[first : first + len(pts)]
        return not self.is_clean or np.array_equal(pts, expected)


def try_decoding(file: Path, name: str, limits: Limits) -> Trial:
    """Decode the first few frames."""
    with open_video(file) as container:
        stream = video_stream(container, name)
        tags = ColourTags.of(stream.codec_context)
        decoding = Decoding(container, stream, limits)
        frames = [frame for frame, _ in zip(decoding, range(_TRIAL_FRAMES), strict=False)]
        if not frames:
            raise damaged(name, "none of its frames can be decoded")
        is_clean = not decoding.errors and not any(frame.is_corrupt for frame in frames)
        aspect = stream.sample_aspect_ratio or 1
        interlaced = any(frame.interlaced_frame for frame in frames)
        pts = [frame.pts for frame in frames]
        return Trial(frames[0], tags, interlaced, aspect, pts, is_clean)


def decode_order(file: Path, limits: Limits) -> tuple[FrameIndex, tuple[str, ...]]:
    """Decode every frame and return when each is shown, and what is odd about the file's times."""
    name = shown_name(file)
    pts: list[int | None] = []
    dts: list[int | None] = []
    keys: list[bool] = []
    with open_video(file) as container:
        stream = video_stream(container, name)
        for frame in Decoding(container, stream, limits):
            pts.append(frame.pts)
            dts.append(frame.dts)
            keys.append(bool(frame.key_frame))
        tick_secs = float(stream.time_base)
        rate = stream.average_rate or stream.guessed_rate or 25
        longest_gap = LONGEST_GAP_SECS / tick_secs if changes_clocks(container) else np.inf
    if not keys:
        raise damaged(name, "none of its frames can be decoded")
    stamps = best_effort(pts, dts)
    gap = _usual_gap(stamps, 1 / float(rate) / tick_secs)
    times, breaks = one_clock(stamps, usual_gap=gap, longest_gap=longest_gap)
    index = FrameIndex(
        times_secs=(times - times[0]) * tick_secs,
        pts=np.rint(times).astype(np.int64),
        key_frames=np.flatnonzero(keys),
        seek_to=np.rint(times[keys]).astype(np.int64),
        duration_secs=float(times[-1] + gap - times[0]) * tick_secs,
        has_pts=False,
        hides_frames=False,
    )
    return index, tuple(_told(name, float(index.times_secs[frame])) for frame in breaks[:1])


def best_effort(pts: Sequence[int | None], dts: Sequence[int | None]) -> NDArray[np.float64]:
    """Return whichever stamps of the frames rise more steadily, NaN where one is missing."""
    both = [np.array([np.nan if s is None else s for s in stamps]) for stamps in (pts, dts)]
    return min(both, key=_faults)


def _faults(stamps: NDArray[np.float64]) -> tuple[int, int]:
    missing = np.isnan(stamps)
    falls = int(np.sum(np.diff(stamps[~missing]) <= 0))
    return falls + int(missing.sum()), falls


def one_clock(
    stamps: NDArray[np.float64], *, usual_gap: float, longest_gap: float = np.inf
) -> tuple[NDArray[np.float64], list[int]]:
    """Return times [F] that rise, and the frames at which the stamps change their clock.

    A missing stamp follows the one before by `usual_gap`. Stamps that fall by no more than decoders
    reorder are the right ones in the wrong order: they are sorted. Where frames share a time, they
    share it until the next. A stamp that falls by more, or leaps by more than `longest_gap`, is of
    another clock, which is counted on from there.
    """
    times, breaks, offset = [0.0 if np.isnan(stamps[0]) else float(stamps[0])], [], 0.0
    latest = times[0]
    for frame, stamp in enumerate(stamps[1:].tolist(), start=1):
        next_time = latest + usual_gap
        time = next_time if np.isnan(stamp) else stamp + offset
        if time < latest - MOST_REORDERING * usual_gap or time > latest + longest_gap:
            offset += next_time - time
            time = next_time
            breaks.append(frame)
        times.append(time)
        latest = max(latest, time)
    return _shared_out(np.sort(times), usual_gap), breaks


def _shared_out(times: NDArray[np.float64], usual_gap: float) -> NDArray[np.float64]:
    """Spread frames of one time evenly until the next time."""
    distinct, counts = np.unique(times, return_counts=True)
    gaps = np.diff(distinct, append=distinct[-1] + usual_gap)
    place = np.arange(len(times)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(distinct, counts) + place * np.repeat(gaps / counts, counts)


def _usual_gap(stamps: NDArray[np.float64], otherwise: float) -> float:
    gaps = np.diff(stamps)
    gaps = gaps[gaps > 0]
    return float(np.median(gaps)) if len(gaps) else otherwise


def _told(name: str, secs: float) -> str:
    return f"{name} changes its clock at {secs:.1f} s: times are counted on from there."
