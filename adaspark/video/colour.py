"""How the stored numbers of a video are to be read as colours, decided once for each file.

Numbers of tags are those of ITU-T H.273, which FFmpeg uses too.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from adaspark.errors import UserError

_UNSTATED = (0, 2)  # reserved or "unspecified": for primaries, transfer and, 2 alone, the matrix
_FULL_RANGE = 2
_GAMMA_24 = 1  # BT.709's transfer, which is BT.601's and BT.2020's too
_HD_HEIGHT = 720
# Without tags these are BT.601 at every size: VP8 by its definition, the others in Chromium.
_BT601_WITHOUT_TAGS = ("vp8", "vp9", "av1")
_RGB_BY_ANOTHER_NAME = ("pal8", "monow", "monob", "xyz12le", "xyz12be")
# What browsers are known to show as it is read here: BT.709 and BT.601 of 525 lines, sRGB's curve.
_BROWSER_MATRICES, _BROWSER_PRIMARIES, _BROWSER_TRANSFERS = (1, 5, 6), (1, 6), (1, 6, 13)


class Matrix(IntEnum):
    """How RGB was turned into what is stored."""

    RGB = 0
    BT709 = 1
    FCC = 4
    BT470BG = 5
    SMPTE170M = 6
    SMPTE240M = 7
    BT2020 = 9
    BT2020_CONSTANT = 10


class Transfer(IntEnum):
    """The two transfers of BT.2100, whose light is relative to no SDR display."""

    PQ = 16
    HLG = 18


class Primaries(IntEnum):
    """The primaries that light is converted from, where it is (HDR)."""

    BT709 = 1
    BT2020 = 9
    DISPLAY_P3 = 12


_MATRIX_FROM_PRIMARIES = {
    1: Matrix.BT709,
    5: Matrix.BT470BG,
    6: Matrix.SMPTE170M,
    7: Matrix.SMPTE240M,
    9: Matrix.BT2020,
}


@dataclass(frozen=True)
class ColourTags:
    """What a container or a bitstream states, in the numbers of H.273; unstated tags are None."""

    matrix: int | None
    primaries: int | None
    transfer: int | None
    full_range: bool | None

    @classmethod
    def of(cls, stated: Any) -> "ColourTags":
        """Return the tags of an `av.VideoFrame`, or of a codec context before it decodes."""
        return cls(
            matrix=None if stated.colorspace == _UNSTATED[1] else int(stated.colorspace),
            primaries=_stated(stated.color_primaries),
            transfer=_stated(stated.color_trc),
            full_range=None if not stated.color_range else stated.color_range == _FULL_RANGE,
        )

    def or_else(self, other: "ColourTags") -> "ColourTags":
        """Return these tags, the unstated ones from `other`."""
        return ColourTags(
            _first(self.matrix, other.matrix),
            _first(self.primaries, other.primaries),
            _first(self.transfer, other.transfer),
            _first(self.full_range, other.full_range),
        )


@dataclass(frozen=True)
class ColourReading:
    """How every frame of one file is read, by the model and by the browser's copy alike.

    `matrix`, `primaries` and `transfer` are numbers of H.273. `stated` holds only those tags that
    the file has.
    """

    matrix: Matrix
    primaries: int
    transfer: int
    full_range: bool
    has_alpha: bool
    is_grey: bool
    interlaced: bool
    stated: ColourTags

    @property
    def is_hdr(self) -> bool:
        """Whether the picture is PQ or HLG, and tone-mapped."""
        return self.transfer in (Transfer.PQ, Transfer.HLG)

    @property
    def is_complete(self) -> bool:
        """Whether the file states all that browsers need to show it as it is read here."""
        return (
            self.stated.matrix in _BROWSER_MATRICES
            and self.stated.primaries in _BROWSER_PRIMARIES
            and self.stated.transfer in _BROWSER_TRANSFERS
            and self.stated.full_range is not None
            and not (self.has_alpha or self.interlaced)
        )


_NO_TAGS = ColourTags(None, None, None, None)
RGB = ColourReading(Matrix.RGB, 1, _GAMMA_24, True, False, False, False, _NO_TAGS)
"""The reading of pictures that are RGB without alpha already."""


def read_colour(
    container: ColourTags, frame: Any, codec: str, name: str, *, interlaced: bool
) -> ColourReading:
    """Return how the file called `name` is read, from its container's tags and its first frame.

    A tag that is stated is believed, the bitstream's before the container's; VP8's bitstream has
    none, so what FFmpeg gives its frames is not heard. Of those that are missing, the matrix goes
    by the primaries, and without these by height as in Chromium: BT.709 from 720 lines on, else
    BT.601. The range is limited and the transfer that of BT.709. Primaries of SDR are taken
    as BT.709's: as FFmpeg does, nothing is converted between SDR's primaries.
    """
    stated = container if codec == "vp8" else ColourTags.of(frame).or_else(container)
    if _is_dolby_vision_alone(stated, frame):
        raise UserError(
            f"{name} is Dolby Vision of a kind that only its own players show (profile 5): "
            "export it as HDR10, HLG or SDR."
        )
    matrix = _matrix(stated, frame, codec)
    if matrix not in set(Matrix):
        raise UserError(
            f"{name} stores its colours in a way that is not read here (matrix {matrix} of "
            "H.273): convert it to BT.709."
        )
    primaries = _first(stated.primaries, Primaries.BT2020 if matrix == Matrix.BT2020 else 1)
    return ColourReading(
        matrix=Matrix(matrix),
        primaries=int(primaries),
        transfer=_GAMMA_24 if stated.transfer is None else stated.transfer,
        full_range=_full_range(stated, frame.format),
        has_alpha=_has_alpha(frame.format),
        is_grey=_is_grey(frame.format),
        interlaced=interlaced,
        stated=stated,
    )


def _is_grey(pixel_format: Any) -> bool:
    """Tell whether an `av.VideoFormat` has a luma plane alone, perhaps with alpha."""
    return len(pixel_format.components) <= 2 and not _is_rgb(pixel_format)


def _is_dolby_vision_alone(stated: ColourTags, frame: Any) -> bool:
    """Tell profile 5, whose picture is no luma and chroma: its full range is all that it states."""
    is_dolby_vision = frame.side_data.get("DOVI_RPU_BUFFER") is not None
    unstated = stated.matrix is None and stated.transfer is None
    return is_dolby_vision and unstated and bool(stated.full_range)


def _matrix(stated: ColourTags, frame: Any, codec: str) -> int:
    if _is_rgb(frame.format):
        return Matrix.RGB
    # "RGB" for a picture that is decoded as luma and chroma states nothing.
    if stated.matrix:
        return stated.matrix
    if stated.primaries in _MATRIX_FROM_PRIMARIES:
        return _MATRIX_FROM_PRIMARIES[stated.primaries]
    small = frame.height < _HD_HEIGHT or codec in _BT601_WITHOUT_TAGS
    return Matrix.SMPTE170M if small else Matrix.BT709


def _full_range(stated: ColourTags, pixel_format: Any) -> bool:
    if _is_rgb(pixel_format) or pixel_format.name.startswith("yuvj"):
        return True
    # FFmpeg's writers leave grey untagged where it is full.
    return _is_grey(pixel_format) if stated.full_range is None else stated.full_range


def _is_rgb(pixel_format: Any) -> bool:
    # FFmpeg turns XYZ, the colours of digital cinema, into RGB without being told how.
    return pixel_format.is_rgb or pixel_format.name in _RGB_BY_ANOTHER_NAME


def _has_alpha(pixel_format: Any) -> bool:
    return pixel_format.name == "pal8" or any(c.is_alpha for c in pixel_format.components)


def _stated(tag: Any) -> int | None:
    return None if tag in _UNSTATED else int(tag)


def _first(stated: Any, otherwise: Any) -> Any:
    return otherwise if stated is None else stated
