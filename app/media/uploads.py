"""Uploads: checked in words a visitor understands, and made playable in every browser."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from adaspark.errors import UserError
from adaspark.video.content import content_hash
from adaspark.video.limits import DEFAULT_LIMITS, Limits
from adaspark.video.probe import Scan, VideoInfo, probe, scan
from app.media.copying import plain_stream
from app.media.transcode import OnProgress, encode, remux

GROWING = ".growing"
"""The suffix of a file that is still being written and can be played as far as it has come."""
_SAFE = ".safe.mp4"
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
        """What this device's default took away; empty if nothing."""

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
    on_growing: Callable[[Path], None] | None = None,
) -> Path:
    """Return an MP4 in `folder` with the same frames at the same times, for player and sampler.

    Upright, square pixels, H.264 8-bit 4:2:0, at most 720p, no sound, index first, times from 0,
    all frames kept. It is named by the upload's content, made once, and copied without re-encoding
    if the upload is such a stream already. `on_progress(done, total)` counts frames. While it is
    encoded, `on_growing` is called with a file that plays as far as it is written; that file is
    removed once the proxy is complete.
    """
    copied = folder / f"{content_hash(info.path)}.mp4"
    if (made := playable(copied)).exists():
        return made
    scanned = scan(info.path, limits)
    plain = plain_stream(scanned)
    if plain is None:
        return _encoded(scanned, _safe_path(copied), on_progress, on_growing)
    return _written(copied, lambda draft: remux(scanned, plain, draft, on_progress))


def make_safe_copy(
    proxy: Path, limits: Limits = DEFAULT_LIMITS, on_progress: OnProgress = None
) -> Path:
    """Return an encoded copy of a proxy, with the same frames at the same times, for a browser that
    does not show the copied packets right. Raises UserError if the proxy was encoded itself.
    """
    if proxy.name.endswith(_SAFE):
        raise UserError("This is the safe copy: another browser may play it.")
    safe = _safe_path(proxy)
    return safe if safe.exists() else _encoded(scan(proxy, limits), safe, on_progress)


def finished(growing: Path) -> Path:
    """The path of the proxy that a growing file becomes."""
    return _safe_path(growing.with_name(growing.name.partition(".")[0]))


def playable(path: Path) -> Path:
    """Return the safe copy of a file if one was made, else the file."""
    safe = _safe_path(path)
    return safe if safe.exists() else path


def describe(info: VideoInfo, shown: Shown, secs: float | None = None) -> str:
    """Return the facts line: what the upload `info` is, what the model is shown of it, and about
    how many seconds that takes, if it is known.
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


def _safe_path(path: Path) -> Path:
    return path.with_suffix(_SAFE)


def _encoded(
    scanned: Scan,
    safe: Path,
    on_progress: OnProgress = None,
    on_growing: Callable[[Path], None] | None = None,
) -> Path:
    growing = _draft(safe).with_suffix(GROWING)

    def write(draft: Path) -> None:
        if on_growing is None:
            return encode(scanned, draft, on_progress)
        growing.touch()  # it may be requested before its first bytes are written
        on_growing(growing)
        return encode(scanned, draft, on_progress, growing=growing)

    try:
        return _written(safe, write)
    finally:  # after the whole copy is in place: a request finds one of the two at any time
        growing.unlink(missing_ok=True)


def _written(target: Path, write: Callable[[Path], None]) -> Path:
    """Write beside and move into place, so that a stopped run leaves no half file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(target)
    try:
        write(draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _draft(target: Path) -> Path:
    """What this thread writes beside `target`."""
    return target.with_name(f"{target.stem}.{os.getpid()}-{threading.get_ident()}.part")


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
