"""A film as it is shown to others: large enough, in a shape, captioned with what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw

from viz.video.encode import Painter, Pixels
from viz.video.lettering import font_for

Shape = Literal["clip", "square", "wide"]
CANVAS: dict[str, tuple[int, int]] = {"square": (1080, 1080), "wide": (1280, 720)}
LEAST_SIDE = 720
"""Pixels of the shorter side of a film in the clip's own shape."""
_LINE_SHARE, _MARGIN_SHARE = 0.036, 0.018
MOMENT = "Slice {slice}, {secs} s"
"""The line that changes; its two places are filled in for each slice."""


@dataclass(frozen=True)
class Captioned:
    """Paints with `painter` on frames enlarged to a shape, and writes under each what is seen:
    the question and its answer, `caption`, and by `moment` the slice with its time. `view` is a
    TraceView, `ground` and `ink` are colours.
    """

    painter: Painter
    view: Any
    caption: str
    ground: str
    ink: str
    shape: Shape = "clip"
    moment: str = MOMENT

    def paint(self, frame: Pixels, slice_: int) -> Pixels:
        """uint8 [H', W', 3]: the same size for every frame of a video."""
        width, height = self._canvas(frame)
        line = round(_LINE_SHARE * min(width, height))
        strip = 3 * line + 2 * round(_MARGIN_SHARE * min(width, height))
        picture = self.painter.paint(_fitted(frame, width, height - strip), slice_)
        canvas = Image.new("RGB", (width, height), self.ground)
        left, top = (width - picture.shape[1]) // 2, (height - strip - picture.shape[0]) // 2
        canvas.paste(Image.fromarray(picture), (left, max(top, 0)))
        self._write(canvas, height - strip, line, slice_)
        return np.asarray(canvas)

    def _canvas(self, frame: Pixels) -> tuple[int, int]:
        if self.shape in CANVAS:
            return CANVAS[self.shape]
        wide, high = _shown_size(frame)
        strip = round((3 * _LINE_SHARE + 2 * _MARGIN_SHARE) * min(wide, high))
        return _even(wide), _even(high + strip)

    def _write(self, canvas: Image.Image, top: int, line: int, slice_: int) -> None:
        pen = ImageDraw.Draw(canvas)
        margin = round(_MARGIN_SHARE * min(canvas.size))
        meta = self.view.trace.meta
        said = f"{meta.question or ''}  {(meta.answer or '').strip()}"
        texts = (said, self.caption, self._moment(slice_))
        for number, text in enumerate(texts):
            room, size = canvas.width - 2 * margin, line * 0.82
            font = font_for(text, size)
            if (needed := pen.textlength(text, font)) > room:
                font = font_for(text, max(8.0, size * room / needed))
            place = (margin, top + margin + (number + 0.5) * line)
            pen.text(place, text, self.ink, font, anchor="lm")

    def _moment(self, slice_: int) -> str:
        starts = self.view.slice_starts
        known = slice_ < len(starts) and not np.isnan(starts[slice_])
        secs = f"{starts[slice_]:.2f}" if known else "?"
        return self.moment.replace("{slice}", str(slice_)).replace("{secs}", secs)


def enlarged(frame: Pixels) -> Pixels:
    """The frame, or as large that its shorter side has LEAST_SIDE pixels."""
    return _fitted(frame, *_shown_size(frame))


def _shown_size(frame: Pixels) -> tuple[int, int]:
    height, width = frame.shape[:2]
    scale = max(1.0, LEAST_SIDE / min(width, height))
    return round(width * scale), round(height * scale)


def _fitted(frame: Pixels, width: int, height: int) -> Pixels:
    """The frame as large as it fits, its shape kept."""
    scale = min(width / frame.shape[1], height / frame.shape[0])
    size = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))


def _even(side: int) -> int:
    return side // 2 * 2
