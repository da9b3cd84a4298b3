"""Whether an H.264 stream is plain: every browser shows its packets, copied, as FFmpeg does.

Proven, not guessed: each packet's NAL units are read (ITU-T H.264, 7.3 and 7.4.1). Plain is a
stream whose key frames are all IDR pictures, of which one comes first, and which nothing shown
after it precedes; with one sequence parameter set, stated in the header, for progressive 8-bit
4:2:0 of square pixels, cropped at most at the right and below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A seek decodes from the key frame before it: with more frames than this it is slow.
_MAX_FRAMES_FROM_A_KEY = 1000
_SLICE, _IDR, _SPS, _PPS = 1, 5, 7, 8
# Also: supplemental information, delimiters, ends and filler. All else is an extension.
_PLAIN_UNITS = {_SLICE, _IDR, 6, _SPS, _PPS, 9, 10, 11, 12}
_PLAIN_PROFILES = {66, 77, 100}  # Baseline, Main, High
_SQUARE, _EXTENDED_SHAPE = (0, 1), 255  # unstated, 1:1; spelled out


@dataclass(frozen=True, eq=False)
class PlainStream:
    """A plain stream's packets in file order: presentation times in its time base, int64 [F]."""

    pts: NDArray[np.int64]

    @property
    def decoding_times(self) -> NDArray[np.int64]:
        """The times shown, in order, moved back until no frame is shown before it is decoded.

        int64 [F], of the packets in file order.
        """
        rising: NDArray[np.int64] = np.sort(self.pts)
        return rising - int((rising - self.pts).max())


def read_plain(container: Any, stream: Any) -> PlainStream | None:
    """Read the packets of an open container's H.264 stream; None if it is not plain."""
    try:
        header = _Header(bytes(stream.codec_context.extradata or b""))
        return _read(container, stream, header) if _is_plain_header(header) else None
    except (IndexError, ValueError):  # cut short: whatever it is, it is not plain
        return None


def _read(container: Any, stream: Any, header: _Header) -> PlainStream | None:
    pts: list[int] = []
    keys: list[bool] = []
    for packet in container.demux(stream):
        if not packet.size:
            continue
        odd = packet.is_corrupt or packet.is_discard or packet.has_sidedata("new_extradata")
        if packet.pts is None or odd or not _is_plain_packet(packet, header):
            return None
        pts.append(packet.pts)
        keys.append(packet.is_keyframe)
    shown, key = np.array(pts, dtype=np.int64), np.array(keys, dtype=bool)
    return PlainStream(shown) if len(shown) and _starts_anew_at_keys(shown, key) else None


def _starts_anew_at_keys(pts: NDArray[np.int64], key: NDArray[np.bool_]) -> bool:
    """Whether decoding starts with a key frame, and at each all before it has been shown."""
    at = np.flatnonzero(key)
    if not len(at) or at[0] != 0 or len(np.unique(pts)) < len(pts):
        return False
    earliest_from = np.minimum.accumulate(pts[::-1])[::-1]
    gaps = np.diff(np.append(at, len(pts)))
    return bool((earliest_from[at] == pts[at]).all() and gaps.max() <= _MAX_FRAMES_FROM_A_KEY)


def _is_plain_packet(packet: Any, header: _Header) -> bool:
    """Whether a packet is one picture of plain NAL units, of IDR slices if it is a key frame."""
    slices: set[int] = set()
    pictures = 0
    for unit in header.units(bytes(packet)):
        kind = unit[0] & 31
        if kind not in _PLAIN_UNITS or (kind in (_SPS, _PPS) and unit not in header.sets):
            return False
        if kind in (_SLICE, _IDR):
            slices.add(kind)
            pictures += unit[1] >> 7  # its first macroblock is number 0, an Exp-Golomb "1"
    return pictures == 1 and slices == ({_IDR} if packet.is_keyframe else {_SLICE})


class _Header:
    """A stream's parameter sets, and how its packets are cut into NAL units."""

    def __init__(self, extradata: bytes) -> None:
        self._length_bytes = (extradata[4] & 3) + 1 if extradata[:1] == b"\x01" else 0
        listed = _listed(extradata) if self._length_bytes else _between_start_codes(extradata)
        self.sets = set(listed)

    def units(self, data: bytes) -> Iterator[bytes]:
        """The NAL units of a packet, without what separates them."""
        if not self._length_bytes:
            yield from _between_start_codes(data)
            return
        at = 0
        while at < len(data):
            start = at + self._length_bytes
            at = start + int.from_bytes(data[at:start], "big")
            if at > len(data) or at == start:
                raise ValueError("a NAL unit is longer than its packet, or empty")
            yield data[start:at]


def _listed(avcc: bytes) -> Iterator[bytes]:
    """The parameter sets of an MP4's or Matroska's header (ISO/IEC 14496-15, 5.3.3.1)."""
    at, count = 6, avcc[5] & 31
    for more in (True, False):
        for _ in range(count):
            start = at + 2
            at = start + int.from_bytes(avcc[at:start], "big")
            if at > len(avcc):
                raise ValueError("a parameter set is longer than its header")
            yield avcc[start:at]
        count, at = (avcc[at] if more else 0), at + 1


def _between_start_codes(data: bytes) -> Iterator[bytes]:
    """The NAL units of a byte stream (Annex B)."""
    for unit in data.split(b"\x00\x00\x01")[1:]:
        if stripped := unit.rstrip(b"\x00"):
            yield stripped


def _is_plain_header(header: _Header) -> bool:
    sequences = [unit for unit in header.sets if unit[0] & 31 == _SPS]
    return len(sequences) == 1 and _is_plain_sequence(sequences[0])


def _is_plain_sequence(unit: bytes) -> bool:
    """Read a sequence parameter set (7.3.2.1.1) up to the shape of its pixels (E.1.1)."""
    bits = _Bits(unit[1:].replace(b"\x00\x00\x03", b"\x00\x00"))
    profile = bits.fixed(8)
    bits.fixed(16)
    bits.golomb()
    if profile not in _PLAIN_PROFILES or (profile == 100 and not _is_plain_high(bits)):
        return False
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    if order not in (0, 2):
        return False
    bits.golomb()
    has_gaps = bits.fixed(1)
    bits.golomb()
    bits.golomb()
    is_progressive = bits.fixed(1)
    bits.fixed(1)
    left, _, top, _ = [bits.golomb() for _ in range(4)] if bits.fixed(1) else [0] * 4
    shape = bits.fixed(8) if bits.fixed(1) and bits.fixed(1) else 0
    if shape == _EXTENDED_SHAPE:
        shape = int(bits.fixed(16) != bits.fixed(16)) + 1
    return bool(is_progressive and not has_gaps and not left and not top and shape in _SQUARE)


def _is_plain_high(bits: _Bits) -> bool:
    """Read what the High profile adds: 4:2:0 of 8 bits, with ordinary scaling."""
    chroma, luma_depth, chroma_depth = bits.golomb(), bits.golomb(), bits.golomb()
    bypass, scales = bits.fixed(1), bits.fixed(1)
    return (chroma, luma_depth, chroma_depth, bypass, scales) == (1, 0, 0, 0, 0)


class _Bits:
    """Reads a payload bit by bit; raises ValueError past its end."""

    def __init__(self, payload: bytes) -> None:
        self._text = "".join(f"{byte:08b}" for byte in payload)
        self._at = 0

    def fixed(self, count: int) -> int:
        """An unsigned number of `count` bits: u(n)."""
        value = int(self._text[self._at : self._at + count], 2)
        self._at += count
        return value

    def golomb(self) -> int:
        """An unsigned Exp-Golomb number: ue(v)."""
        zeros = self._text.index("1", self._at) - self._at
        self._at += zeros
        return self.fixed(zeros + 1) - 1
