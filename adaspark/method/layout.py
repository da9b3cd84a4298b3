"""Where each video token lies: its cube, slice, row and column.

Axes: V video tokens of one sequence, C cubes, M tokens of a full cube, N tokens of the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from torch import Tensor

from adaspark.method.config import Cube, Grid
from adaspark.method.places import places_of, stamped

_MAPS = ("slice_from_token", "row_from_token", "column_from_token", "cube_from_token")
_DERIVED = (
    "tokens_from_cube",
    "slot_from_token",
    "cube_sizes",
    "host_sizes",
    "first_token_from_cube",
    "tokens_seen",
    "cubes_begun",
    "slab_cube_from_token",
    "slabs",
    "video",
)


class CubeLayout:
    """The cubes of one or several videos in a sequence.

    `grids` are (T, H, W) in merged tokens, one a video; `cube` is (t, h, w). Tokens are numbered
    in sequence order (slice, row, column; video after video), cubes in the same order of their
    places. Border cubes are smaller where the grid does not divide. All maps are int64 tensors on
    `device`.

    `stamps` says for each video how many tokens of text stand before each of its slices and belong
    to it (its time in seconds, written out). They are tokens of the layout too, of row and column
    -1: those of one range of slices are one more cube of it, the last, that has no rows.

    Raises ValueError where grids are no list of (T, H, W), a side is below 1, or stamps are not
    given for every video.
    """

    def __init__(
        self,
        grids: Sequence[Sequence[int]],
        cube: Sequence[int],
        *,
        stamps: Sequence[Sequence[int]] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if not all(hasattr(grid, "__iter__") for grid in grids):
            raise ValueError(f"grids are a list of (T, H, W), one a video, got {grids!r}.")
        self.grids: list[Grid] = [_triple(grid, "grid") for grid in grids]
        self.cube: Cube = _triple(cube, "cube")
        self.device = torch.device(device)
        places = [places_of(grid, self.cube) for grid in self.grids]
        if stamps is not None:
            places = [
                stamped(*of, self.cube) for of in zip(places, self.grids, stamps, strict=True)
            ]
        self.tokens_per_video = [len(p.cube) for p in places]
        self.cubes_per_video = [p.bounds.shape[0] for p in places]
        self.slice_from_token = _joined([p.slice for p in places], [g[0] for g in self.grids])
        self.row_from_token = torch.cat([p.row for p in places] or [_none()])
        self.column_from_token = torch.cat([p.column for p in places] or [_none()])
        self.cube_from_token = _joined([p.cube for p in places], self.cubes_per_video)
        vars(self)["host_sizes"] = torch.bincount(
            self.cube_from_token, minlength=sum(self.cubes_per_video)
        )
        for name in _MAPS:
            setattr(self, name, getattr(self, name).to(self.device))

        videos = [torch.full((n, 1), i) for i, n in enumerate(self.cubes_per_video)]
        bounds = [torch.cat([v, p.bounds], 1) for v, p in zip(videos, places, strict=True)]
        self.bounds: Tensor = torch.cat(bounds) if bounds else torch.zeros(0, 7, dtype=torch.long)
        """int64 [C, 7] on the host: video, first and end slice, row, column (ends exclusive)."""

    @property
    def tokens(self) -> int:
        """V."""
        return len(self.cube_from_token)

    @property
    def cubes(self) -> int:
        """C."""
        return len(self.bounds)

    @property
    def has_stamps(self) -> bool:
        """Whether any token of text belongs to a slice."""
        return bool((~self.is_spatial).any())

    @property
    def is_spatial(self) -> Tensor:
        """bool [C] on the host: which cubes are of video, not of what stands before its slices."""
        return self.bounds[:, 4] > self.bounds[:, 3]

    @cached_property
    def video(self) -> CubeLayout:
        """The tokens of video alone, and their cubes."""
        if not self.has_stamps:
            return self
        return self._chosen((self.row_from_token >= 0).nonzero().flatten())

    def spatial(self, forced: Sequence[tuple[int, bool]]) -> tuple[tuple[int, bool], ...]:
        """Interventions by the number of a cube among those of video, by its number among all."""
        if not self.has_stamps:
            return tuple(forced)
        numbers = self.is_spatial.nonzero().flatten().tolist()
        return tuple((numbers[cube], kept) for cube, kept in forced if cube < len(numbers))

    def part(self, first: int, end: int) -> CubeLayout:
        """The tokens [first, end) alone, and of the cubes those that hold any of them.

        A video that comes in parts is cut anywhere: `bounds` stay those of the whole cubes.
        """
        return self if (first, end) == (0, self.tokens) else self._chosen(slice(first, end))

    def _chosen(self, tokens: slice | Tensor) -> CubeLayout:
        """Some of the tokens, in order, and the cubes that hold any of them."""
        found = self._with_maps(lambda index: index[tokens])
        cubes, found.cube_from_token = torch.unique(found.cube_from_token, return_inverse=True)
        found.bounds = self.bounds[cubes.cpu()]
        return found

    def on(self, device: torch.device) -> CubeLayout:
        """The same layout on another device."""
        if device == self.device:
            return self
        found = self._with_maps(lambda index: index.to(device))
        found.device = device
        vars(found)["host_sizes"] = self.host_sizes
        return found

    def _with_maps(self, change: Callable[[Tensor], Tensor]) -> CubeLayout:
        """A copy with other maps, and with nothing that was derived from these."""
        found = copy(self)
        for name in _DERIVED:
            vars(found).pop(name, None)
        for name in _MAPS:
            setattr(found, name, change(getattr(self, name)))
        return found

    @cached_property
    def tokens_from_cube(self) -> Tensor:
        """int64 [C, M]: the tokens of each cube in sequence order, padded with -1 at the end."""
        order = torch.argsort(self.cube_from_token, stable=True)
        counts = self.cube_sizes
        starts = counts.cumsum(0) - counts
        rank = torch.arange(self.tokens, device=self.device) - starts[self.cube_from_token[order]]
        width = int(counts.max()) if self.cubes else 0
        table = torch.full((self.cubes, width), -1, dtype=torch.long, device=self.device)
        table[self.cube_from_token[order], rank] = order
        return table

    @cached_property
    def slot_from_token(self) -> Tensor:
        """int64 [V]: where each token stands in the flattened `tokens_from_cube`."""
        table = self.tokens_from_cube.flatten()
        slots = (table >= 0).nonzero().flatten()
        return torch.empty_like(self.cube_from_token).index_copy(0, table[slots], slots)

    @cached_property
    def cube_sizes(self) -> Tensor:
        """int64 [C]: tokens in each cube."""
        return torch.bincount(self.cube_from_token, minlength=self.cubes)

    @cached_property
    def host_sizes(self) -> Tensor:
        """`cube_sizes` on the host; of a layout that was made whole without asking the device."""
        return self.cube_sizes.cpu()

    @cached_property
    def first_token_from_cube(self) -> Tensor:
        """int64 [C]: the earliest token of each cube."""
        return self.tokens_from_cube[:, :1].flatten()

    @cached_property
    def tokens_seen(self) -> Tensor:
        """int32 [V, most cubes of a slab]: how many tokens of each cube of its slab a token sees,
        itself counted.
        """
        most = max((slab.end_cube - slab.first_cube for slab in self.slabs), default=0)
        cube = self.cube_from_token - self.slab_cube_from_token
        # Along rows of tokens: a GPU adds up columns an order of magnitude slower.
        counted = torch.zeros(most, self.tokens, dtype=torch.int32, device=self.device)
        counted = counted.scatter_(0, cube[None], 1).cumsum(1, dtype=torch.int32).mT.contiguous()
        first = self._of_slabs([slab.first_token for slab in self.slabs])
        return counted - torch.nn.functional.pad(counted, (0, 0, 1, 0))[first]

    @cached_property
    def cubes_begun(self) -> Tensor:
        """int64 [V + 1]: how many cubes hold one of the first n tokens, or more."""
        begins = self.first_token_from_cube.new_zeros(self.tokens + 1)
        return begins.index_fill_(0, self.first_token_from_cube + 1, 1).cumsum(0)

    @cached_property
    def slab_cube_from_token(self) -> Tensor:
        """int64 [V]: the first cube of each token's slab."""
        return self._of_slabs([slab.first_cube for slab in self.slabs])

    def _of_slabs(self, values: list[int]) -> Tensor:
        """int64 [V]: of each token, what is known of its slab."""
        sizes = torch.tensor([slab.end_token - slab.first_token for slab in self.slabs])
        found = torch.tensor(values, dtype=torch.long).repeat_interleave(sizes.long())
        return found.to(self.device)

    @cached_property
    def slabs(self) -> list[Slab]:
        """Runs of cubes that share one range of slices, in sequence order."""
        found, token, cube = [], 0, 0
        sizes = iter(self.host_sizes.tolist())
        for _, run in groupby(self.bounds[:, :2].tolist()):  # video and first slice
            held = [next(sizes) for _ in run]
            found.append(Slab(token, token + sum(held), cube, cube + len(held)))
            token, cube = found[-1].end_token, found[-1].end_cube
        return found

    def kept_means(self, values: Tensor, kept: Tensor) -> Tensor:
        """Mean of each cube's kept tokens, fp32 [..., C, h], from the video's `values` [..., V, h].

        `kept` bool [..., V] has one token at least in each cube.
        """
        counts = torch.zeros(*kept.shape[:-1], self.cubes, device=kept.device)
        counts = counts.index_add(-1, self.cube_from_token, kept.float())
        return mean_by_cube(values.float() * kept[..., None], self.cube_from_token, counts)


def mean_by_cube(rows: Tensor, cube_from_row: Tensor, counts: Tensor) -> Tensor:
    """Mean row of each cube, fp32 [..., C, D], from rows [..., n, D].

    `cube_from_row` int64 [n]; `counts` [..., C] says how many rows each cube has, which must be one
    at least.
    """
    rows = rows.float()
    sums = rows.new_zeros(*rows.shape[:-2], counts.shape[-1], rows.shape[-1])
    return sums.index_add(-2, cube_from_row, rows) / counts[..., None]


@dataclass(frozen=True)
class Slab:
    """Cubes that share one range of slices: tokens [first_token, end_token), cubes likewise."""

    first_token: int
    end_token: int
    first_cube: int
    end_cube: int


def _joined(maps: list[Tensor], counts: list[int]) -> Tensor:
    """Per-video index maps as one, each shifted past what came before."""
    shifted, shift = [_none()], 0
    for index, count in zip(maps, counts, strict=True):
        shifted.append(index + shift)
        shift += count
    return torch.cat(shifted)


def _none() -> Tensor:
    return torch.zeros(0, dtype=torch.long)


def _triple(value: Sequence[int], name: str) -> Grid:
    sides = tuple(int(side) for side in value)
    if len(sides) != 3 or min(sides) < 1:
        raise ValueError(f"A {name} is three whole numbers of at least 1, got {tuple(value)}.")
    return sides[0], sides[1], sides[2]
