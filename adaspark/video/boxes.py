"""What FFmpeg's Python binding does not tell of a container: crop, encryption, announced size.

Read from the boxes of MP4 and the elements of Matroska, nothing else of them. Sources: ISO/IEC
14496-12 (`clap`, `encv`), RFC 9559 (`PixelCrop*`, `ContentEncryption`), ASF 3.2 (file properties).
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MATROSKA_HEAD_BYTES = 4096
_ANNOUNCING_BYTES = 2**16
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 1  # its sizes are not known
# A description of tracks is small; more is not one.
_MOST_DESCRIPTION_BYTES = 2**24
_SAMPLE_ENTRY_BYTES = 78  # of a picture track, before the boxes in it
_SEGMENT, _CLUSTER, _TRACKS = 0x18538067, 0x1F43B675, 0x1654AE6B
_TRACK_ENTRY, _TRACK_VIDEO = 0xAE, 0xE0
_CROP_SIDES = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
_ENCODINGS, _ENCRYPTION = 0x6D80, 0x5035


@dataclass(frozen=True)
class Crop:
    """Pixels to take away from each side of a stored picture."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def kept(self, width: int, height: int) -> tuple[slice, slice]:
        """Return the rows and columns of a stored picture that are left; all of another size's."""
        if not self.fits(width, height):
            return slice(None), slice(None)
        return slice(self.top, height - self.bottom), slice(self.left, width - self.right)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height that are left."""
        return width - self.left - self.right, height - self.top - self.bottom

    def fits(self, width: int, height: int) -> bool:
        """Tell whether it takes away nothing that is not there, and not everything."""
        sides = (self.left, self.top, self.right, self.bottom)
        return min(sides) >= 0 and min(self.size(width, height)) > 0


@dataclass(frozen=True)
class Track:
    """What the container says of one track."""

    crop: Crop = Crop()
    is_encrypted: bool = False


def track_of(path: Path, stream: int, width: int, height: int) -> Track:
    """Return what an MP4 or Matroska file says of its track number `stream`, counted from 0.

    `width` and `height` are those of the stored picture. A file that says nothing, or is of
    another kind, gives the plain `Track()`.
    """
    tracks = _tracks(path, width, height)
    return tracks[stream] if stream < len(tracks) else Track()


def is_encrypted(path: Path) -> bool:
    """Tell whether an MP4 or Matroska file says that one of its tracks is encrypted."""
    return any(track.is_encrypted for track in _tracks(path, 0, 0))


def _tracks(path: Path, width: int, height: int) -> list[Track]:
    with path.open("rb") as file:
        is_matroska = file.read(4) == b"\x1aE\xdf\xa3"
        try:
            return list(_matroska_tracks(file) if is_matroska else _mp4_tracks(file, width, height))
        except (struct.error, ZeroDivisionError):
            return []


def segment_end_bytes(path: Path) -> int | None:
    """Return where a Matroska file's content should end; None where it was left open, as live."""
    with path.open("rb") as file:
        head = file.read(_MATROSKA_HEAD_BYTES)
    at, header_bytes = _matroska_size(head, 4)
    if header_bytes is None or not head.startswith(b"\x18\x53\x80\x67", at + header_bytes):
        return None
    at, content_bytes = _matroska_size(head, at + header_bytes + 4)
    return None if content_bytes is None else at + content_bytes


def announced_bytes(path: Path) -> int | None:
    """Return how large a Windows Media or WebP file says it is; None where it does not say."""
    with path.open("rb") as file:
        head = file.read(_ANNOUNCING_BYTES)
    if head.startswith(b"RIFF"):
        return 8 + int.from_bytes(head[4:8], "little")
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0 or len(head) < at + 92 or head[at + 88] & _ASF_BROADCAST:
        return None
    return int.from_bytes(head[at + 40 : at + 48], "little") or None


def _mp4_tracks(file: BinaryIO, width: int, height: int) -> Iterator[Track]:
    for kind, start, end in _file_boxes(file):
        if kind == b"moov" and end - start <= _MOST_DESCRIPTION_BYTES:
            file.seek(start)
            movie = file.read(end - start)
            for track in _boxes(movie, b"trak"):
                yield _mp4_track(track, width, height)


def _mp4_track(track: bytes, width: int, height: int) -> Track:
    inside = track
    for name in (b"mdia", b"minf", b"stbl", b"stsd"):
        inside = next(_boxes(inside, name), b"")
    for kind, entry in _named_boxes(inside[8:]):
        clap = next(_boxes(entry[_SAMPLE_ENTRY_BYTES:], b"clap"), None)
        crop = _clean_aperture(clap, width, height) if clap else Crop()
        return Track(crop, is_encrypted=kind in (b"encv", b"drmi"))
    return Track()


def _clean_aperture(clap: bytes, width: int, height: int) -> Crop:
    """The kept width and height, and how far its middle lies from the picture's, as fractions."""
    w, w_parts, h, h_parts, x, x_parts, y, y_parts = struct.unpack(">IIIIiIiI", clap[:32])
    kept_width, kept_height = round(w / w_parts), round(h / h_parts)
    left = round((width - kept_width) / 2 + x / x_parts)
    top = round((height - kept_height) / 2 + y / y_parts)
    return Crop(left, top, width - kept_width - left, height - kept_height - top)


def _file_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start of its content, end) of the boxes that a file consists of."""
    at = 0
    while len(head := _read_at(file, at, 16)) >= 8:
        size, kind = struct.unpack(">I4s", head[:8])
        header = 8
        if size == 1 and len(head) == 16:
            size, header = struct.unpack(">Q", head[8:])[0], 16
        if size < header:
            return
        yield kind, at + header, at + size
        at += size


def _read_at(file: BinaryIO, at: int, size: int) -> bytes:
    if at >= os.fstat(file.fileno()).st_size:  # some sizes are lies that no file reaches
        return b""
    file.seek(at)
    return file.read(size)


def _named_boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        if size < 8:
            return
        yield kind, content[at + 8 : at + size]
        at += size


def _boxes(content: bytes, requested: bytes) -> Iterator[bytes]:
    return (inside for kind, inside in _named_boxes(content) if kind == requested)


def _matroska_tracks(file: BinaryIO) -> Iterator[Track]:
    tracks = _matroska_description(file)
    for kind, entry in _elements(tracks):
        if kind == _TRACK_ENTRY:
            parts = dict(_elements(entry))
            sides = dict(_elements(parts.get(_TRACK_VIDEO, b"")))
            crop = Crop(*(int.from_bytes(sides.get(side, b""), "big") for side in _CROP_SIDES))
            encodings = _elements(parts.get(_ENCODINGS, b""))
            encrypted = any(_ENCRYPTION in dict(_elements(inside)) for _, inside in encodings)
            yield Track(crop, encrypted)


def _matroska_description(file: BinaryIO) -> bytes:
    """Return the content of `Tracks`, which comes before the first cluster of pictures."""
    at = 0
    while True:
        head = _read_at(file, at, 12)
        kind, size, header = _element_head(head)
        if header is None or kind == _CLUSTER:
            return b""
        if kind == _TRACKS and size is not None and size <= _MOST_DESCRIPTION_BYTES:
            return _read_at(file, at + header, size)
        if kind == _SEGMENT:
            at += header
        elif size is None:
            return b""
        else:
            at += header + size


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(content):
        kind, size, header = _element_head(content[at : at + 12])
        if header is None or size is None:
            return
        yield kind, content[at + header : at + header + size]
        at += header + size


def _element_head(head: bytes) -> tuple[int, int | None, int | None]:
    """Return an element's kind, its size (None: unknown) and the size of its head (None: none)."""
    if len(head) < 2 or not head[0]:
        return 0, None, None
    length = 9 - head[0].bit_length()
    after, size = _matroska_size(head, length)
    header = after if after > length else None
    return int.from_bytes(head[:length], "big"), size, header


def _matroska_size(head: bytes, at: int) -> tuple[int, int | None]:
    """Read an element's size at `at`; return where it ends, and it, or None for unknown."""
    if at >= len(head) or not head[at]:
        return at, None
    length = 9 - head[at].bit_length()
    value = int.from_bytes(head[at : at + length], "big")
    unmarked, unknown = value & (1 << 7 * length) - 1, (1 << 7 * length) - 1
    return at + length, None if unmarked == unknown else unmarked
