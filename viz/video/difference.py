"""Two runs on one video in one picture: what only A keeps, only B, both, neither.

As the viewer's mode of that name draws it: cube by cube where both runs have the same cubes, else
token by token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from viz.data import statistics
from viz.data.statistics import TraceView
from viz.palette import DRAWING, OVERLAY, rgb
from viz.video.captioned import enlarged
from viz.video.encode import Pixels, write_film
from viz.video.lettering import font_for
from viz.video.overlay import Box, box_of, hatch, outlined

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

    Run = Trace | TraceView

Compared = Literal["cubes", "ffn"]
NEITHER, ONLY_A, ONLY_B, BOTH = range(4)
LEGEND_LINES = 4
"""What only A keeps, what only B keeps, what stays as it is; the layer and whose cubes."""
_FILLS = {ONLY_A: ("A", OVERLAY["only_a"], 1), ONLY_B: ("B", OVERLAY["only_b"], -1)}
_LINE, _MARGIN, _LETTER = 18, 6, int(DRAWING["letter_px"])
_USUAL_SIDE = 360
"""Pixels of the shorter side of a picture in which lines and letters have these sizes."""


def comparable(a: Run, b: Run) -> bool:
    """Whether both have the same layers, and videos of the same grids as they were encoded."""
    return _frame(a) == _frame(b)


def sides(a: Run, b: Run, layer: int, *, kind: str, compared: Compared) -> NDArray[np.uint8]:
    """uint8 [V]: NEITHER, ONLY_A, ONLY_B or BOTH of each video token of A's.

    "cubes": whether the token's cube is kept by the queries of one kind (`shares.counts_as_kept`);
    "ffn": whether it passes through the FFN. A token that was pruned is kept by nobody.
    """
    views = [TraceView.of(run) for run in (a, b)]
    if all(view.drawn is not view for view in views):  # both by where their words look
        views = [view.drawn for view in views]
    kept = [_kept(view, layer, kind, compared) for view in views]
    return np.asarray(kept[0] * ONLY_A + kept[1] * ONLY_B, np.uint8)


def write_difference(
    a: Run,
    b: Run,
    video_path: str | Path,
    out: str | Path,
    *,
    layer: int,
    kind: str = "question",
    compared: Compared = "cubes",
    labels: tuple[str, str] = ("A", "B"),
    own_legend: Sequence[str] = (),
) -> None:
    """Write the first video of both prompts with their difference burned in, as MP4, its frames
    enlarged to LEAST_SIDE of `viz.video.captioned`.

    Under the picture stands what the colours mean, with `labels` as the names of both runs, or, in
    another language, the LEGEND_LINES lines of `own_legend`. What a film is, see
    `viz.video.encode.write_film`. Raises ValueError where the runs are not comparable.
    """
    if not comparable(a, b):
        raise ValueError("Runs are compared layer by layer and slice by slice: theirs differ.")
    first, second = TraceView.of(a), TraceView.of(b)
    legend = _legend_lines(layer, kind, compared, labels)
    if own_legend:
        legend = [(own, side) for own, (_, side) in zip(own_legend, legend, strict=True)]
    painter = _Painter(first, second, layer, kind, compared, legend)
    write_film(painter, first.slice_starts[: first.grids[0][0]], video_path, out)


class _Painter:
    """One layer of two runs; the drawing of a slice is kept for the frames that show it."""

    def __init__(
        self,
        a: TraceView,
        b: TraceView,
        layer: int,
        kind: str,
        compared: Compared,
        legend: list[tuple[str, int]],
    ) -> None:
        self.grid, self.compared, self.legend = a.grids[0], compared, legend
        count = int(np.prod(self.grid))
        found = sides(a, b, layer, kind=kind, compared=compared)
        self.sides = found[:count].reshape(self.grid)
        same = b.trace.meta.pruned is None and np.array_equal(a.trace.bounds, b.trace.bounds)
        self.bounds = a.trace.bounds if same and compared == "cubes" else None
        self._tints: dict[int, _Tint] = {}

    def paint(self, frame: Pixels, slice_: int) -> Pixels:
        frame = enlarged(frame)
        if slice_ not in self._tints:
            self._tints = {slice_: _Tint.of(frame, self.sides[slice_])}
        picture, regions = self._tints[slice_].over(frame), list(self._regions(frame, slice_))
        marked = _lettered(self._outlined(picture, regions), regions)
        return np.vstack([marked, _legend(frame.shape[1], self.legend, _zoom(frame))])

    def _regions(self, frame: Pixels, slice_: int) -> Iterator[tuple[Box, int]]:
        """Boxes of a slice with the side that each is on: cubes, or single tokens."""
        if self.bounds is None:
            for row, column in np.ndindex(self.grid[1:]):
                box = box_of(frame, self.grid, row, row + 1, column, column + 1)
                yield box, int(self.sides[slice_, row, column])
            return
        for video, t0, t1, r0, r1, c0, c1 in self.bounds.tolist():
            if video == 0 and t0 <= slice_ < t1:
                yield box_of(frame, self.grid, r0, r1, c0, c1), int(self.sides[slice_, r0, c0])

    def _outlined(self, picture: Pixels, regions: list[tuple[Box, int]]) -> Pixels:
        if self.compared == "ffn":
            return picture
        boxes = [(box, OVERLAY["edge"], 1) for box, side in regions if side != NEITHER]
        return outlined(picture, boxes)


@dataclass(frozen=True, eq=False)
class _Tint:
    """What goes over each frame of a slice: bool `grey` and float32 `opacity` [H, W, 1], and
    float32 `colour` [H, W, 3].
    """

    grey: NDArray[np.bool_]
    opacity: NDArray[np.float32]
    colour: NDArray[np.float32]

    @classmethod
    def of(cls, frame: Pixels, sides_of_slice: NDArray[np.uint8]) -> _Tint:
        """For frames of one size; `sides_of_slice` is [rows, columns]."""
        height, width = frame.shape[:2]
        rows, columns = (
            np.searchsorted(np.rint(np.arange(1, n) * side / n), np.arange(side), side="right")
            for side, n in zip((height, width), sides_of_slice.shape, strict=True)
        )
        side = sides_of_slice[rows][:, columns]
        opacity = np.where(side == NEITHER, DRAWING["dim_opacity"], 0.0).astype(np.float32)
        colour = np.full((height, width, 3), rgb(OVERLAY["dim"]), np.float32)
        for which, (_, fill, slope) in _FILLS.items():
            here = side == which
            opacity[here], colour[here] = DRAWING["difference_opacity"], rgb(fill)
            lines = here & hatch(height, width, slope)
            opacity[lines], colour[lines] = 0.86, np.add(rgb(fill), 255) / 2
        return cls((side == NEITHER)[..., None], opacity[..., None], colour)

    def over(self, frame: Pixels) -> Pixels:
        """The frame under it."""
        base = np.where(self.grey, frame.mean(-1, dtype=np.float32, keepdims=True), frame)
        return np.asarray(base * (1 - self.opacity) + self.colour * self.opacity, np.uint8)


def _frame(run: Run) -> tuple[int, list[tuple[int, int, int]]]:
    """The layers, and the grids of the videos as they were encoded."""
    view = TraceView.of(run)
    pruned = view.trace.meta.pruned
    return len(view.trace.computed_pairs), [pruned.grid] if pruned else view.grids


def _kept(view: TraceView, layer: int, kind: str, compared: Compared) -> NDArray[np.bool_]:
    if view.trace.meta.pruned is not None:
        return view.unpruned
    if compared == "ffn":
        return np.asarray(view.trace.ffn_mask()[layer], bool)
    cubes = statistics.counts_as_kept(view.kept(kind)[layer])
    return np.asarray(cubes[view.trace.cube_from_token], bool)


def _zoom(picture: Pixels) -> float:
    return max(1.0, float(min(picture.shape[:2])) / _USUAL_SIDE)


def _lettered(picture: Pixels, regions: list[tuple[Box, int]]) -> Pixels:
    """A letter in the corner of each region that one run alone keeps, where it has room."""
    image, size = Image.fromarray(picture), round(_LETTER * _zoom(picture))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for (left, top, right, bottom), side in regions:
        if side not in _FILLS or min(right - left, bottom - top) < DRAWING["letter_room"] * size:
            continue
        letter, fill, _ = _FILLS[side]
        corner = (left + 4, top + 4)
        pen.rectangle((*corner, corner[0] + size, corner[1] + size + 2), fill=fill)
        ink = OVERLAY["edge"] if letter == "A" else OVERLAY["casing"]
        middle = (corner[0] + size / 2, corner[1] + size / 2 + 1)
        pen.text(middle, letter, fill=ink, font=font, anchor="mm")
    return np.asarray(image)


def _legend_lines(
    layer: int, kind: str, compared: Compared, labels: tuple[str, str]
) -> list[tuple[str, int]]:
    """What the colours mean: lines with the side that each is of."""
    is_ffn = compared == "ffn"
    verb, of = ("passes", "FFN tokens") if is_ffn else ("keeps", f"cubes of the {kind}")
    return [
        (f"only A {verb}: {labels[0]}", ONLY_A),
        (f"only B {verb}: {labels[1]}", ONLY_B),
        ("untouched: both, dark: neither", BOTH),
        (f"layer {layer}, {of}", BOTH),
    ]


def _legend(width: int, lines: list[tuple[str, int]], zoom: float) -> Pixels:
    """The lines as a strip under the picture, small enough for its width."""
    line, margin, size = round(_LINE * zoom), round(_MARGIN * zoom), 13 * zoom
    image = Image.new("RGB", (width, line * len(lines) + 2 * margin), OVERLAY["stage"])
    pen = ImageDraw.Draw(image)
    for number, (text, side) in enumerate(lines):
        top, left = margin + number * line, margin
        if side in _FILLS:
            pen.rectangle(
                (left, top + line // 6, left + size, top + line * 5 // 6), _FILLS[side][1]
            )
            left += line
        font = font_for(text, size)
        room = width - left - margin
        if (needed := pen.textlength(text, font)) > room:
            font = font_for(text, max(6, size * room / needed))
        pen.text((left, top + line / 2), text, OVERLAY["on_stage"], font, anchor="lm")
    return np.asarray(image)
