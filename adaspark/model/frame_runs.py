"""Videos whose slices are runs of their own, with text before each: Qwen3-VL and later.

The processor writes `<3.2 seconds>` before every pair of frames. A cube must still span time, so
the runs are gathered into videos here; what stands between two slices of one video belongs to the
later one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from adaspark.method.config import Grid
from adaspark.model.shapes import CannotPlace, Shapes, runs_of


@dataclass(frozen=True)
class Slices:
    """The videos of one prompt so far: their grids, the tokens of text that belong to each slice
    that has come, and how many slices of the last video are still to come.
    """

    grids: list[Grid] = field(default_factory=list)
    stamps: list[list[int]] = field(default_factory=list)
    pending: int = 0

    @property
    def all_stamps(self) -> list[list[int]]:
        """One number for each slice of each grid; 0 for those to come."""
        pairs = zip(self.stamps, self.grids, strict=True)
        return [[*known, *[0] * (grid[0] - len(known))] for known, grid in pairs]


def gather(
    known: Slices, is_video: Tensor, is_real: Tensor, shapes: Shapes
) -> tuple[Slices, Tensor]:
    """The slices with those of more tokens, bool [n] masks, and which of these tokens are of a
    slice, bool [n].

    Raises CannotPlace where nothing says which frames make up one video, and ValueError where its
    grid does not fit the tokens.
    """
    grids, stamps, pending = list(known.grids), [list(s) for s in known.stamps], known.pending
    placed = is_video & is_real
    upcoming = shapes.upcoming(known.grids)
    last_end = 0
    for start, end in runs_of(placed):
        if pending and shapes.joins_stamps:
            placed[last_end:start] = is_real[last_end:start]
        between = int(placed[last_end:start].sum())
        at, last_end = start, end
        while at < end:
            if not pending:
                grids.append(shapes.take_grid(upcoming, at, end))
                stamps.append([])
                pending, between = grids[-1][0], 0
            at += grids[-1][1] * grids[-1][2]
            stamps[-1].append(between)
            pending, between = pending - 1, 0
        if at > end:
            _refuse(end == len(placed), end - start, grids)
    return replace(known, grids=grids, stamps=stamps, pending=pending), placed


def _refuse(is_cut: bool, tokens: int, grids: list[Grid]) -> None:
    if is_cut:
        raise CannotPlace("a part of the prompt ends inside a frame")
    raise ValueError(
        f"The sequence marks {tokens} video tokens in a row, which no frames of its grids {grids} "
        f"fill; pass the video_grid_thw that belongs to these input_ids."
    )
