"""What tells the shape of a prompt's videos: grids, places in M-RoPE, or the features' sizes.

Axes: n tokens. Where a call does not say enough, reading it raises `CannotPlace`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from adaspark.method.config import Grid

Video = TypeVar("Video")
_NO_SHAPE = "neither video_grid_thw nor {} give the video's shape"


class CannotPlace(Exception):
    """Why this call must run dense, as the end of a sentence."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """What tells the shape of one prompt's videos.

    `grids` are given ones, whole; `places` int64 [2, ..., n] the row and the column of each token
    in M-RoPE. `sizes` are the tokens of each video, where slices are apart and no grid is given.
    """

    grids: list[Grid] | None
    places: Tensor | None
    has_types: bool
    frames_apart: bool = False
    joins_stamps: bool = True
    sizes: list[int] | None = None

    def of_row(self, row: int, part: slice = slice(None)) -> Shapes:
        """The same with the places of one row's tokens alone, int64 [2, n]."""
        places = None if self.places is None else self.places[:, row, part]
        return replace(self, places=places)

    @property
    def are_apart(self) -> bool:
        """Whether slices are runs of their own; a video of one slice is one run anyway."""
        return self.frames_apart and (self.grids is None or any(t > 1 for t, _, _ in self.grids))

    def upcoming(self, known: list[Grid]) -> list[Grid] | list[int] | None:
        """The grids of the videos that begin here, or their sizes, to be taken one by one.

        What a later part of a prompt is given may be of all its parts.
        """
        if self.grids is None:
            return None if self.sizes is None else list(self.sizes)
        is_of_all = self.grids[: len(known)] == known and len(self.grids) > len(known)
        return self.grids[len(known) if is_of_all else 0 :]

    def take_grid(self, upcoming: list[Any] | None, start: int, end: int) -> Grid:
        """The grid of the video whose first slices are the tokens [start, end)."""
        if not upcoming:
            raise CannotPlace("neither video_grid_thw nor its features tell one video's frames")
        found = upcoming.pop(0)
        if not isinstance(found, int):
            return found  # type: ignore[no-any-return]
        if self.places is None:
            raise CannotPlace(_NO_SHAPE.format("3-D position_ids"))
        rows, columns = self.places[:, start:end]
        height, width = int(rows.max() - rows[0]) + 1, int(columns.max() - columns[0]) + 1
        if found % (height * width):
            raise CannotPlace("its video's features do not fill whole frames")
        return found // (height * width), height, width

    def places_of(self, runs: list[tuple[int, int]], before: Tensor | None) -> list[Tensor] | None:
        """int64 [2, m] of each run of video tokens, the first one after those `before`."""
        if self.places is None:
            return None
        parts = [self.places[:, start:end] for start, end in runs]
        if before is not None:
            parts[0] = torch.cat([before, parts[0]], 1)
        return parts

    def grids_of(
        self, runs: list[tuple[int, int]], places: list[Tensor] | None, *, is_first: bool
    ) -> list[Grid]:
        """The grid of each run of video tokens.

        Given ones are believed first, except in later parts: they may be those of all parts.
        """
        if is_first and self.grids is not None:
            return self.grids
        found = [None] * len(runs) if places is None else [grid_so_far(part) for part in places]
        known = [grid for grid in found if grid is not None]
        if len(known) == len(runs):
            return known
        if self.grids is not None:
            return self.grids
        missing = "3-D position_ids" if self.has_types else "mm_token_type_ids"
        raise CannotPlace(_NO_SHAPE.format(missing))


def split(
    videos: list[Video] | None, counts: list[int], size_of: Callable[[Video], int]
) -> list[list[Video] | None]:
    """The videos that belong to each prompt of so many video tokens, in order of appearance."""
    if videos is None:
        return [None] * len(counts)
    left, shares = list(videos), []
    for count in counts:
        mine: list[Video] = []
        while left and sum(map(size_of, mine)) < count:
            mine.append(left.pop(0))
        shares.append(mine)
    return list(shares)


def sizes_of(encoded: Any) -> list[int] | None:
    """The tokens of each video, by its features; None where there are none, or not by video."""
    found = getattr(encoded, "pooler_output", None)
    return [len(part) for part in found] if isinstance(found, list | tuple) else None


def grid_so_far(places: Tensor) -> Grid | None:
    """(T, H, W) of a video from the rows and columns int64 [2, n] of its tokens; None if there is
    none.

    The video may be cut anywhere: then it is the smallest grid that holds what is there.
    """
    rows, columns = places - places[:, :1]
    height, width = int(rows.max()) + 1, int(columns.max()) + 1
    order = torch.arange(places.shape[1], device=places.device)
    raster = torch.stack([order // width % height, order % width])
    if not torch.equal(torch.stack([rows, columns]), raster):
        return None
    return -(-places.shape[1] // (height * width)), height, width


def runs_of(marked: Tensor) -> list[tuple[int, int]]:
    """Where the runs of True in bool [n] start and end (exclusive)."""
    edges = torch.diff(marked.int(), prepend=marked.new_zeros(1), append=marked.new_zeros(1))
    starts, ends = ((edges == sign).nonzero().flatten().tolist() for sign in (1, -1))
    return list(zip(starts, ends, strict=True))
