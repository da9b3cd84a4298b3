"""Opening a file that a user gave: only video, only from the disk, and in words when it fails."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from adaspark.errors import UserError

# An allow-list: playlists (HLS, concat, DASH) could name other files or addresses.
_OPEN_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",
    "protocol_whitelist": "file",
}
_OPEN_AND_READ_TIMEOUT_SECS = (30.0, 30.0)
_MAX_NAME = 80
_MATROSKA_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Limits:
    """How large a video may be; more is refused before anything is decoded."""

    max_bytes: int = 500_000_000
    max_duration_secs: float = 7200.0
    max_pixels: int = 4096 * 4096
    max_frames: int = 1_000_000


DEFAULT_LIMITS = Limits()


def check_file(path: str | Path, limits: Limits) -> Path:
    """Return the absolute path if it is an ordinary, non-empty, not too large file."""
    name = shown_name(path)
    if "://" in str(path):
        raise UserError(f"{name} is an address, not a file: download the video and give its path.")
    path = Path(path)
    size_bytes = _size_of_regular_file(path)
    if size_bytes == 0:
        raise UserError(f"{name} is empty (0 bytes): copy or upload the video again.")
    if size_bytes > limits.max_bytes:
        raise UserError(
            f"{name} has {size_bytes / 1e6:,.0f} MB and the limit is "
            f"{limits.max_bytes / 1e6:,.0f} MB: shorten or compress the video."
        )
    # Absolute, so that no name such as "concat:a|b" can be read as a protocol.
    return path.absolute()


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


def container_name(container: Any, path: Path) -> str:
    """Return MP4, MOV, MKV, WebM or AVI, by what is in the file rather than by its name."""
    if container.format.name == "avi":
        return "AVI"
    if "matroska" in container.format.name:
        return "WebM" if b"webm" in _head(path) else "MKV"
    return "MOV" if container.metadata.get("major_brand", "qt").startswith("qt") else "MP4"


def segment_end_bytes(path: Path) -> int | None:
    """Return where a Matroska file's content should end; None where it was left open, as live."""
    with path.open("rb") as file:
        head = file.read(_MATROSKA_HEAD_BYTES)
    at, header_bytes = _matroska_size(head, 4)
    if header_bytes is None or not head.startswith(b"\x18\x53\x80\x67", at + header_bytes):
        return None
    at, content_bytes = _matroska_size(head, at + header_bytes + 4)
    return None if content_bytes is None else at + content_bytes


def _matroska_size(head: bytes, at: int) -> tuple[int, int | None]:
    """Read an element's size at `at`; return where it ends, and it, or None for unknown."""
    if at >= len(head) or not head[at]:
        return at, None
    length = 9 - head[at].bit_length()
    value = int.from_bytes(head[at : at + length], "big")
    unmarked, unknown = value & (1 << 7 * length) - 1, (1 << 7 * length) - 1
    return at + length, None if unmarked == unknown else unmarked


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
        head = _head(path)
    except OSError:
        return UserError(f"{shown_name(path)} cannot be read: check its permissions.")
    if _looks_like_video(head):
        return damaged(
            shown_name(path), "its index is missing or broken, as when a copy was cut off"
        )
    return UserError(
        f"{shown_name(path)} is not a video of a known kind: "
        "give an MP4, MOV, MKV, WebM or AVI file."
    )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _looks_like_video(head: bytes) -> bool:
    mp4 = head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free")
    matroska = head.startswith(b"\x1aE\xdf\xa3")
    avi = head.startswith(b"RIFF") and head[8:12] == b"AVI "
    return mp4 or matroska or avi


def _is_cover_art(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)
