"""Letters for what is written on a film: Pillow's own, and a font of the system for what is wide.

Chinese, Japanese and Korean letters are megabytes, so none come with the studio.
"""

from __future__ import annotations

from functools import lru_cache
from unicodedata import east_asian_width

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_WIDE_FONTS = (
    ("NotoSansCJK-Regular.ttc", 2),  # its Simplified Chinese
    ("NotoSansCJKsc-Regular.otf", 0),
    ("NotoSansSC-Regular.ttf", 0),
    ("wqy-microhei.ttc", 0),
    ("wqy-zenhei.ttc", 0),
    ("DroidSansFallbackFull.ttf", 0),
    ("PingFang.ttc", 0),
    ("Hiragino Sans GB.ttc", 0),
    ("STHeiti Light.ttc", 0),
    ("msyh.ttc", 0),
)
"""Files that Linux, macOS and Windows have such letters in, and which of a file's fonts."""


def can_write(text: str) -> bool:
    """Whether there are letters for it."""
    return not _is_wide(text) or _wide(16) is not None


def font_for(text: str, size: float) -> Font:
    """The font that has a text's letters, `size` pixels high; Pillow's own if none has them."""
    return (_wide(size) if _is_wide(text) else None) or _narrow(size)


def _is_wide(text: str) -> bool:
    return any(east_asian_width(letter) in "WF" for letter in text)


@lru_cache(64)
def _narrow(size: float) -> Font:
    return ImageFont.load_default(size)


@lru_cache(64)
def _wide(size: float) -> Font | None:
    for name, number in _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size, number)
        except OSError:
            continue
    return None
