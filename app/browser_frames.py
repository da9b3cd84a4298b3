"""Frames as browsers are given them: upright, of one size, in colours that leave nothing open."""

from typing import Any

import av

from adaspark.video_boxes import Crop
from adaspark.video_colour import RGB, ColourReading, Matrix
from adaspark.video_decode import Turn
from adaspark.video_rgb import EXACT, MATRIX_OPTION, FrameGraph, RgbPictures, Step

# H.273's numbers of what is written and fully stated: BT.709's primaries and transfer, limited
# range, and BT.601's matrix, since Chromium's software caps BT.709's at a blue 8 levels short.
_TAGS = {"color_primaries": 1, "color_trc": 1, "colorspace": 6, "color_range": 1}
_PIXEL_FORMAT = "yuv420p"


class BrowserFrames:
    """Turns decoded `av.VideoFrame`s into such frames of `size`, width and height when upright."""

    def __init__(
        self, reading: ColourReading, crop: Crop, turn: Turn, size: tuple[int, int]
    ) -> None:
        stored = size[::-1] if turn.transpose else size
        self._sdr = RgbPictures(reading, crop, stored) if reading.is_hdr else None
        if reading.is_hdr:
            reading, crop = RGB, Crop()
        resize = f"{stored[0]}:{stored[1]}"
        if _is_plain(reading, crop):
            # No way round by RGB, which takes as long as the encoding.
            scale, steps = [resize, *_same_colours(reading)], [_matrix_changed(reading)]
        else:
            scale, steps = [resize, "out_color_matrix=bt601", "out_range=tv", EXACT], []
        steps += _upright(turn)
        self._graph = FrameGraph(reading, crop, scale, _PIXEL_FORMAT, steps)

    def upright(self, frame: Any) -> Any:
        """Return one frame, whatever its size and format."""
        if self._sdr is not None:
            frame = av.VideoFrame.from_ndarray(self._sdr.picture(frame), format="rgb24")
        upright = self._graph.converted(frame)
        set_tags(upright)
        return upright


def set_tags(frame_or_context: Any) -> None:
    """State the colours of the frames made here on one of them, or on their encoder."""
    for tag, number in _TAGS.items():
        setattr(frame_or_context, tag, number)


def _is_plain(reading: ColourReading, crop: Crop) -> bool:
    is_plain = reading.matrix not in (Matrix.RGB, Matrix.BT2020_CONSTANT)
    return is_plain and crop == Crop() and not (reading.has_alpha or reading.is_grey)


def _same_colours(reading: ColourReading) -> list[str]:
    return [
        f"out_color_matrix={MATRIX_OPTION[reading.matrix]}",
        f"out_range={'pc' if reading.full_range else 'tv'}",
        "flags=bicubic",
    ]


def _matrix_changed(reading: ColourReading) -> Step:
    """Return the step that changes matrix and range alone, for all else is taken as BT.709's."""
    is_bt2020 = reading.matrix == Matrix.BT2020
    name = "bt2020ncl" if is_bt2020 else MATRIX_OPTION[reading.matrix]
    source_range = "pc" if reading.full_range else "tv"
    both = "fast=1:primaries=bt709:iprimaries=bt709:trc=bt709:itrc=bt709"
    source = f"ispace={name}:irange={source_range}"
    return "colorspace", f"{source}:space=smpte170m:range=tv:{both}"


def _upright(turn: Turn) -> list[Step]:
    return [
        # Filter direction 0 is the plain transposition.
        *([("transpose", "dir=0")] if turn.transpose else []),
        *([("hflip", None)] if turn.flip_x else []),
        *([("vflip", None)] if turn.flip_y else []),
        ("setsar", "1"),
    ]
