"""Opening a file that a user gave: only video, only from the disk, and in words when it fails."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from adaspark.errors import UserError
from adaspark.video.boxes import is_encrypted
from adaspark.video.kinds import KINDS, head_of, looks_like_video, other_kind
from adaspark.video.limits import Limits

# An allow-list: playlists (HLS, concat, DASH) could name other files or addresses.
_OPEN_OPTIONS = {
    "format_whitelist": (
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,dv,gif,apng"
    ),
    "protocol_whitelist": "file",
}
_OPEN_AND_READ_TIMEOUT_SECS = (30.0, 30.0)
_MAX_NAME = 80


def check_file(path: str | Path, limits: Limits) -> Path:
    """Return the absolute path if it is an ordinary, non-empty, not too large file."""
    name = shown_name(path)
    if "://" in str(path):
        raise UserError(f"{name} is an address, not a file: download the video and give its path.")
    path = Path(path)
    size_bytes = _size_of_regular_file(path)
    if size_bytes == 0:
        raise UserError(f"{name} is empty (0 bytes): copy or upload the video again.")
    check_size(size_bytes, name, limits)
    # Absolute, so that no name such as "concat:a|b" can be read as a protocol.
    return path.absolute()


def check_size(size_bytes: int, name: str, limits: Limits) -> None:
    """Refuse more bytes than the limit."""
    if limits.max_bytes is not None and size_bytes > limits.max_bytes:
        raise UserError(
            f"{name} has {_size(size_bytes)} and the limit is "
            f"{_size(limits.max_bytes)}: shorten or compress the video."
        )


def _size(count: int) -> str:
    """So many bytes in the largest unit of which there is one at least."""
    if count >= 10**6:
        return f"{count / 1e6:,.0f} MB"
    return f"{count / 1e3:.4g} kB" if count >= 10**3 else f"{count} bytes"


def shown_name(path: str | Path) -> str:
    """Return a file's name as one short printable line, for messages."""
    text = str(path) if "://" in str(path) else Path(path).name or str(path)
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable if len(printable) <= _MAX_NAME else f"{printable[:_MAX_NAME]}…"


@contextmanager
def open_video(path: Path) -> Iterator[Any]:
    """Open a checked file with PyAV for reading; every failure is a `UserError`.

    Yields an `av.container.InputContainer`.
    """
    try:
        container = av.open(
            str(path),
            container_options=_OPEN_OPTIONS,
            metadata_errors="replace",
            timeout=_OPEN_AND_READ_TIMEOUT_SECS,
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _why_it_does_not_open(path) from error
    with container:
        yield container


def damaged(name: str, what: str) -> UserError:
    """Return the error for a file whose content cannot be trusted."""
    return UserError(f"{name} is damaged: {what}; copy or export the video again.")


def cut_off(name: str, share: float) -> UserError:
    """Return the error for a file that holds only a share of what it announces."""
    return UserError(
        f"{name} is cut off: only {share:.0%} of the video it announces is in the file; "
        "copy or export the video again."
    )


def damage_warning(path: Path, hurt: int, frames: int) -> tuple[str, ...]:
    """Return the sentence for `hurt` of the `frames` that were shown, if any.

    Raises UserError where all are.
    """
    if not hurt:
        return ()
    if hurt == frames:
        raise damaged(shown_name(path), "all of its frames that would be shown are")
    are = "is" if hurt == 1 else "are"
    return (
        f"{shown_name(path)} is partly damaged: {hurt:,} of {frames:,} frames {are} damaged "
        "and shown as far as they can be decoded.",
    )


def encrypted(name: str) -> UserError:
    """Return the error for a file that nobody can read without its key."""
    return UserError(f"{name} is encrypted (DRM): give an unencrypted copy.")


def video_stream(container: Any, name: str) -> Any:
    """Return the stream to show: the best one that is moving pictures, not cover art."""
    streams = [s for s in container.streams.video if not _is_cover_art(s)]
    if not streams:
        sound = "has sound but no picture" if container.streams.audio else "has no picture"
        raise UserError(f"{name} {sound}: give a file with a video track.")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise UserError(f"{name} uses a video codec that is unknown here: convert it to H.264.")
    return stream


def _size_of_regular_file(path: Path) -> int:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise UserError(f"There is no readable file {shown_name(path)}: check the path.") from error
    if stat.S_ISDIR(status.st_mode):
        raise UserError(f"{shown_name(path)} is a folder: give one video file.")
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{shown_name(path)} is not an ordinary file: give one video file.")
    return status.st_size


def _why_it_does_not_open(path: Path) -> UserError:
    try:
        head = head_of(path)
    except OSError:
        return UserError(f"{shown_name(path)} cannot be read: check its permissions.")
    if looks_like_video(head):
        if is_encrypted(path):
            return encrypted(shown_name(path))
        return damaged(
            shown_name(path), "its index is missing or broken, as when a copy was cut off"
        )
    other = other_kind(head)
    it_is = f", it is {other}" if other else ""
    return UserError(
        f"{shown_name(path)} is not a video of a known kind{it_is}: give an {KINDS} file."
    )


def _is_cover_art(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)
