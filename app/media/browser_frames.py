"""Frames as browsers are given them: upright, of one size, in colours that leave nothing open."""

from typing import Any

import av

from adaspark.video.boxes import Crop
from adaspark.video.colour import RGB, ColourReading, Matrix
from adaspark.video.rgb import EXACT, MATRIX_OPTION, FrameGraph, RgbPictures, Step
from adaspark.video.turn import Turn

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
        if reading.matrix != Matrix.RGB and not reading.has_alpha:
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
        return self._graph.converted(frame)


def set_tags(encoder: Any) -> None:
    """State the colours of the frames made here on their encoder, a codec context."""
    for tag, number in _TAGS.items():
        setattr(encoder, tag, number)


def _same_colours(reading: ColourReading) -> list[str]:
    return [
        f"out_color_matrix={MATRIX_OPTION[reading.matrix]}",
        f"out_range={'pc' if reading.full_range else 'tv'}",
        "flags=bicubic",
    ]


def _matrix_changed(reading: ColourReading) -> Step:
    """Return the step that changes matrix and range alone, for all else is taken as BT.709's."""
    name = MATRIX_OPTION[reading.matrix].replace("bt2020", "bt2020ncl")
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
