"""Uploads: checked in words a visitor understands, and made playable in every browser."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from adaspark.errors import UserError
from adaspark.video import DEFAULT_LIMITS, Limits, VideoInfo, content_hash, probe
from adaspark.video_probe import Scan, scan
from app.proxy import encode, fits_box, remux

_CODEC_LABELS = {"h264": "H.264", "hevc": "HEVC", "mpeg4": "MPEG-4", "mjpeg": "Motion JPEG"}


class Shown(Protocol):
    """What the model would be shown of a video: the engine's estimate has these."""

    @property
    def frames(self) -> int:
        """Number of sampled frames."""

    @property
    def shown_width(self) -> int:
        """Width in pixels after resizing."""

    @property
    def shown_height(self) -> int:
        """Height in pixels after resizing."""

    @property
    def note(self) -> str:
        """What this device's default took away; empty where nothing."""

    @property
    def video_tokens(self) -> int:
        """Number of visual tokens after merging."""


def check_upload(path: str | Path | None, limits: Limits = DEFAULT_LIMITS) -> VideoInfo:
    """Return what an uploaded file is; raise `UserError`, one sentence, if it cannot be used."""
    if path is None or not str(path).strip():
        raise UserError("There is no video yet: upload one or pick a sample.")
    return probe(path, limits)


def make_proxy(
    info: VideoInfo,
    folder: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Return an MP4 in `folder` with the same frames at the same times, for player and sampler.

    Upright, square pixels, H.264 8-bit 4:2:0, at most 720p, no sound, index first, times from 0,
    all frames kept. It is named by the upload's content, made once, and a copy without re-encoding
    where the upload is such a file already. `on_progress(done, total)` counts frames.
    """
    proxy = folder / f"{content_hash(info.path)}.mp4"
    if proxy.exists():
        return proxy
    folder.mkdir(parents=True, exist_ok=True)
    # Written beside and moved into place, so that a stopped run leaves no half proxy.
    draft = folder / f"{proxy.stem}.{os.getpid()}.part"
    scanned = scan(info.path, limits)
    write = remux if _is_browser_safe(scanned) else encode
    try:
        write(scanned, draft, on_progress)
        draft.replace(proxy)
    finally:
        draft.unlink(missing_ok=True)
    return proxy


def describe(info: VideoInfo, shown: Shown, secs: float | None = None) -> str:
    """Return the facts line: what the upload `info` is, what the model is shown of it, and about
    how many seconds that takes, where it is known.
    """
    time = "" if secs is None else f", about {_rounded(secs)}"
    notes = "".join(f" {note}" for note in (*_late(info), *info.warnings))
    return (
        f"{info.width} x {info.height}, {_duration_label(info.duration_secs)}, "
        f"{_CODEC_LABELS.get(info.codec, info.codec.upper())}; shown to the model as "
        f"{shown.frames:,} {'frame' if shown.frames == 1 else 'frames'} of "
        f"{shown.shown_width} x {shown.shown_height} = {shown.video_tokens:,} visual tokens{time}"
        f"{f'; {shown.note}' if shown.note else ''}{'.' if notes else ''}{notes}"
    )


def _late(info: VideoInfo) -> list[str]:
    if not info.start_secs:
        return []
    return [
        f"Its picture starts {info.start_secs:.1f} s after its sound; times here count from it."
    ]


def _is_browser_safe(scanned: Scan) -> bool:
    info = scanned.info
    plain_picture = scanned.pixel_format in ("yuv420p", "yuvj420p") and scanned.square_pixels
    upright = not (scanned.turn.transpose or scanned.turn.flip_x or scanned.turn.flip_y)
    # Matroska states no decoding times, which MP4 needs; hidden frames need an edit list.
    copyable = info.container in ("MP4", "MOV") and not scanned.index.hides_frames
    small = fits_box(info.width, info.height)
    known = info.codec == "h264" and plain_picture and upright
    return known and copyable and small and _is_steady(scanned)


def _is_steady(scanned: Scan) -> bool:
    """Whether frames follow each other evenly: where they do not, Chromium (150) may show an
    earlier one after a seek in a stream with B-frames.
    """
    gaps = np.diff(scanned.index.times_secs)
    return not len(gaps) or bool(gaps.max() <= 2 * np.median(gaps))


def _rounded(secs: float) -> str:
    """Seconds to as many digits as an estimate has."""
    if secs < 10:
        return f"{max(secs, 0.1):.1f} s"
    return f"{secs:.0f} s" if secs < 100 else f"{secs / 60:.0f} min"


def _duration_label(duration_secs: float) -> str:
    if duration_secs < 60:
        return f"{duration_secs:.1f} s" if duration_secs >= 0.1 else f"{duration_secs:.2f} s"
    minutes, seconds = divmod(round(duration_secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
