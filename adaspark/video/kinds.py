"""What a file is, by its first bytes rather than by its name."""

from pathlib import Path
from typing import Any

KINDS = "MP4, MOV, MKV, WebM, AVI, MPEG, FLV, WMV, OGV, GIF, WebP or APNG"
_HEAD_BYTES = 512
_NAME_FROM_FORMAT = {
    "avi": "AVI",
    "mpegts": "MPEG-TS",
    "mpeg": "MPEG-PS",
    "flv": "FLV",
    "asf": "WMV",
    "ogg": "OGV",
    "dv": "DV",
    "gif": "GIF",
    "apng": "APNG",
}
_TS_SYNC = b"\x47"
_ASF = b"\x30\x26\xb2\x75"
_ASF_ENCRYPTION = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)
_SCRAMBLING_HEAD_BYTES = 2**16
# What people take for a video, by how it begins; case does not matter in text.
_OTHERS = (
    ((b"#extm3u", b"ffconcat", b"[playlist]", b"<asx", b"<smil", b"<mpd", b"v=0"), "a playlist"),
    ((b"<!doctype html", b"<html"), "a web page"),
    ((b"\xff\xd8\xff",), "a JPEG image"),
    ((b"\x89png",), "a PNG image"),
    ((b"bm",), "a BMP image"),
    ((b"ii*\0", b"mm\0*"), "a TIFF image"),
    ((b"id3", b"\xff\xfb", b"\xff\xf3"), "an MP3 sound file"),
    ((b"flac",), "a FLAC sound file"),
    ((b"%pdf",), "a PDF document"),
    ((b"pk\3\4", b"rar!", b"7z\xbc\xaf", b"\x1f\x8b"), "an archive"),
    ((b".rmf",), "a RealMedia file"),
    ((b"\x06\x0e\x2b\x34",), "an MXF file"),
    ((b"dkif",), "an IVF file"),
    ((b"yuv4mpeg",), "a Y4M file"),
    ((b"\0\0\0\1", b"\0\0\1"), "a raw stream without a container"),
)


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def container_name(container: Any, path: Path) -> str:
    """Return the kind of an open file: MP4, MOV, 3GP, MKV, WebM, AVI, MPEG-TS, M2TS, ..."""
    name = container.format.name
    if "matroska" in name:
        return "WebM" if b"webm" in head_of(path)[:64] else "MKV"
    if name == "mpegts" and not head_of(path).startswith(_TS_SYNC):
        return "M2TS"
    if name in _NAME_FROM_FORMAT:
        return _NAME_FROM_FORMAT[name]
    brand = container.metadata.get("major_brand", "qt")
    if brand.startswith("3g"):
        return "3GP"
    return "MOV" if brand.startswith("qt") else "MP4"


def is_scrambled(path: Path) -> bool:
    """Tell whether a transport stream or Windows Media file says that its content is encrypted.

    Sources: ISO/IEC 13818-1 (transport_scrambling_control), ASF 3.14 and 3.15 (its objects).
    """
    with path.open("rb") as file:
        head = file.read(_SCRAMBLING_HEAD_BYTES)
    if head.startswith(_ASF):
        return any(content in head for content in _ASF_ENCRYPTION)
    start, step = (0, 188) if head.startswith(_TS_SYNC) else (4, 192)
    marks = head[start + 3 :: step]
    syncs = head[start::step]
    is_stream = len(marks) > 1 and syncs == _TS_SYNC * len(syncs)
    return is_stream and sum(mark & 0xC0 != 0 for mark in marks) > len(marks) / 2


def is_webp(head: bytes) -> bool:
    """Tell whether a file begins as a WebP image."""
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def looks_like_video(head: bytes) -> bool:
    """Tell whether a file begins as a video of a known kind."""
    mp4 = head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free")
    matroska = head.startswith(b"\x1aE\xdf\xa3")
    avi = head.startswith(b"RIFF") and head[8:12] == b"AVI "
    others = (b"FLV\1", _ASF, b"OggS", b"GIF8", b"\0\0\1\xba")
    return mp4 or matroska or avi or head.startswith(others)


def other_kind(head: bytes) -> str | None:
    """Name what a file is that is no video of a known kind; None where that is unknown."""
    if is_webp(head):
        return "a WebP image"
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return "a WAV sound file"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<?xml"):
        return "a playlist" if b"<mpd" in start or b"<playlist" in start else "an XML text"
    found = (kind for beginnings, kind in _OTHERS if start.startswith(beginnings))
    return next(found, None)
