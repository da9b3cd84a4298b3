"""The selection drawn onto frames: one picture, a PNG, or a video with it burned in.

The same modes as the viewer's: "spotlight" (dropped cubes dimmed and grey), "outline", "heat"
(Cividis on 0 to 1) and "ffn" (tokens that skip the FFN hatched).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from viz.data import statistics
from viz.data.statistics import TraceView
from viz.palette import DRAWING, OVERLAY, cividis, rgb
from viz.video.captioned import Captioned, Shape
from viz.video.encode import Pixels, write_film, write_gif

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

Mode = Literal["spotlight", "outline", "heat", "ffn"]
Box = tuple[int, int, int, int]  # left, top, right, bottom; ends exclusive


def draw(
    frame: Pixels,
    trace: Trace | TraceView,
    layer: int,
    slice_: int,
    *,
    kind: statistics.Kind = "question",
    mode: Mode = "spotlight",
) -> Pixels:
    """uint8 [H, W, 3]: a copy of `frame` with what one layer chose in one slice.

    The token grid covers the whole frame. `slice_` counts over all videos of the prompt. A cube
    is kept or not by `shares.counts_as_kept`.
    """
    return OverlayPainter(TraceView.of(trace), layer, kind, mode).paint(frame, slice_)


def write_png(
    path: str | Path,
    frame: Pixels,
    trace: Trace | TraceView,
    layer: int,
    slice_: int,
    *,
    kind: statistics.Kind = "question",
    mode: Mode = "spotlight",
) -> None:
    """Save `draw(...)` as a PNG."""
    Image.fromarray(draw(frame, trace, layer, slice_, kind=kind, mode=mode)).save(path, "PNG")


def write_mp4(
    trace: Trace | TraceView,
    video_path: str | Path,
    out: str | Path,
    *,
    layer: int,
    kind: statistics.Kind = "question",
    mode: Mode = "spotlight",
) -> None:
    """Write the first video of the prompt as H.264 with the selection burned in, silent.

    A cube is kept or not as in `draw`; what a film is, see `viz.video.encode.write_film`.
    """
    view = TraceView.of(trace)
    write_film(OverlayPainter(view, layer, kind, mode), _starts(view), video_path, out)


def write_captioned(
    trace: Trace | TraceView,
    video_path: str | Path,
    out: str | Path,
    *,
    layer: int,
    kind: str,
    mode: str,
    drawn: tuple[NDArray[np.floating], NDArray[np.bool_]] | None,
    caption: str,
    moment: str,
    shape: Shape,
    as_gif: bool,
) -> None:
    """Write the first video of the prompt with the selection burned in, enlarged and captioned;
    `drawn` as for `OverlayPainter`, `moment` as for `Captioned`.
    """
    view = TraceView.of(trace)
    inner = OverlayPainter(view, layer, kind, mode, drawn)
    colours = OVERLAY["stage"], OVERLAY["on_stage"]
    painter = Captioned(inner, view, caption, *colours, shape, moment)
    (write_gif if as_gif else write_film)(painter, _starts(view), video_path, out)


def _starts(view: TraceView) -> NDArray[np.float64]:
    """Seconds at which the slices of the first video begin."""
    return view.slice_starts[: view.grids[0][0]]


class OverlayPainter:
    """One layer's choice, looked up once and painted on any number of frames.

    `drawn` is what a viewer shows, in place of the kind's own: the share of each cube and whether
    it counts as kept.
    """

    def __init__(
        self,
        view: TraceView,
        layer: int,
        kind: str,
        mode: str,
        drawn: tuple[NDArray[np.floating], NDArray[np.bool_]] | None = None,
    ) -> None:
        view = view.drawn
        self.mode, self.bounds, self.grids = mode, view.trace.bounds, view.grids
        own = view.kept(kind)[layer]
        share, kept = drawn or (own, statistics.counts_as_kept(own))
        self.share: NDArray[np.floating] = share
        self.kept: NDArray[np.bool_] = kept
        self.mask = view.trace.ffn_mask()[layer]
        firsts = np.cumsum([0] + [t for t, _, _ in self.grids])
        self.first_slices = [int(first) for first in firsts]

    def paint(self, frame: Pixels, slice_: int) -> Pixels:
        """The frame with what is kept of the slice that it shows."""
        if not 0 <= slice_ < self.first_slices[-1]:
            return frame.copy()
        video = int(np.searchsorted(self.first_slices, slice_, side="right")) - 1
        if self.mode == "ffn":
            return self._tokens(frame, video, slice_ - self.first_slices[video])
        picture = frame.copy()
        outlines: list[tuple[Box, str, int]] = []
        for cube, box in self._boxes(frame, video, slice_ - self.first_slices[video]):
            self._fill(picture, frame, cube, box)
            if self.kept[cube] and self.mode != "heat":
                bold = self.mode == "outline"
                outlines.append((box, OVERLAY["kept" if bold else "edge"], 3 if bold else 1))
        return outlined(picture, outlines)

    def _boxes(self, frame: Pixels, video: int, local: int) -> Iterator[tuple[int, Box]]:
        for cube, (of, t0, t1, r0, r1, c0, c1) in enumerate(self.bounds.tolist()):
            if of == video and t0 <= local < t1:
                yield cube, box_of(frame, self.grids[video], r0, r1, c0, c1)

    def _fill(self, picture: Pixels, frame: Pixels, cube: int, box: Box) -> None:
        left, top, right, bottom = box
        part = frame[top:bottom, left:right].astype(np.float32)
        if self.mode == "heat":
            colour = cividis(self.share[cube]).astype(np.float32)
            picture[top:bottom, left:right] = (0.35 * part + 0.65 * colour).astype(np.uint8)
        elif self.mode == "spotlight" and not self.kept[cube]:
            grey = part.mean(-1, keepdims=True)
            dim = np.array(rgb(OVERLAY["dim"]), np.float32)
            over = DRAWING["dim_opacity"]
            picture[top:bottom, left:right] = ((1 - over) * grey + over * dim).astype(np.uint8)

    def _tokens(self, frame: Pixels, video: int, local: int) -> Pixels:
        grid = self.grids[video]
        first = sum(t * h * w for t, h, w in self.grids[:video]) + local * grid[1] * grid[2]
        mask = self.mask[first : first + grid[1] * grid[2]].reshape(grid[1:])
        picture = frame.copy()
        lines = hatch(frame.shape[0], frame.shape[1], 1)
        dim = np.array(rgb(OVERLAY["dim"]), np.float32)
        for row, column in np.argwhere(~mask).tolist():
            left, top, right, bottom = box_of(frame, grid, row, row + 1, column, column + 1)
            part = 0.3 * frame[top:bottom, left:right].astype(np.float32) + 0.7 * dim
            part[lines[top:bottom, left:right]] += 110
            picture[top:bottom, left:right] = np.clip(part, 0, 255).astype(np.uint8)
        return picture


def box_of(frame: Pixels, grid: tuple[int, int, int], r0: int, r1: int, c0: int, c1: int) -> Box:
    """The pixels of rows [r0, r1) and columns [c0, c1) of a grid that covers the whole frame."""
    height, width = frame.shape[:2]
    columns, rows = grid[2], grid[1]
    return (
        round(c0 * width / columns),
        round(r0 * height / rows),
        round(c1 * width / columns),
        round(r1 * height / rows),
    )


def outlined(picture: Pixels, outlines: list[tuple[Box, str, int]]) -> Pixels:
    """Two-tone outlines: a dark casing under a light line shows on any footage."""
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    for (left, top, right, bottom), colour, width in outlines:
        if min(right - left, bottom - top) > 2 * width + 2:
            edge = (left, top, right - 1, bottom - 1)
            pen.rectangle(edge, outline=OVERLAY["casing"], width=width + 1)
            inner = (left + 1, top + 1, right - 2, bottom - 2)
            pen.rectangle(inner, outline=colour, width=width)
    return np.asarray(image)


def hatch(height: int, width: int, slope: int) -> NDArray[np.bool_]:
    """bool [H, W]: diagonal lines, rising to the right (slope 1) or falling (-1)."""
    rows, columns = np.ogrid[:height, :width]
    lines: NDArray[np.bool_] = (rows + slope * columns) % DRAWING["hatch_px"] == 0
    return lines
