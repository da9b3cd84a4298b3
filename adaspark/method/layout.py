"""Where each video token lies: its cube, slice, row and column.

Axes: V video tokens of one sequence, C cubes, M tokens of a full cube, N tokens of the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import torch
from torch import Tensor

Grid = tuple[int, int, int]
_MAPS = ("slice_from_token", "row_from_token", "column_from_token", "cube_from_token")
_DERIVED = (
    "tokens_from_cube",
    "slot_from_token",
    "cube_sizes",
    "host_sizes",
    "first_token_from_cube",
    "slabs",
)


class CubeLayout:
    """The cubes of one or several videos in a sequence.

    `grids` are (T, H, W) in merged tokens, one a video; `cube` is (t, h, w). Tokens are numbered
    in sequence order (slice, row, column; video after video), cubes in the same order of their
    places. Border cubes are smaller where the grid does not divide. All maps are int64 tensors on
    `device`.
    """

    def __init__(
        self,
        grids: Sequence[Sequence[int]],
        cube: Sequence[int],
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self.grids: list[Grid] = [_triple(grid, "grid") for grid in grids]
        self.cube: Grid = _triple(cube, "cube")
        self.device = torch.device(device)
        places = [_places(grid, self.cube) for grid in self.grids]
        self.tokens_per_video = [t * h * w for t, h, w in self.grids]
        self.cubes_per_video = [p.bounds.shape[0] for p in places]
        self.slice_from_token = _joined([p.slice for p in places], [g[0] for g in self.grids])
        self.row_from_token = torch.cat([p.row for p in places] or [_none()])
        self.column_from_token = torch.cat([p.column for p in places] or [_none()])
        self.cube_from_token = _joined([p.cube for p in places], self.cubes_per_video)
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

    def part(self, first: int, end: int) -> CubeLayout:
        """The tokens [first, end) alone, and of the cubes those that hold any of them.

        A video that comes in parts is cut anywhere: `bounds` stay those of the whole cubes.
        """
        if (first, end) == (0, self.tokens):
            return self
        found = self._with_maps(lambda index: index[first:end])
        cubes, found.cube_from_token = torch.unique(found.cube_from_token, return_inverse=True)
        held = cubes.cpu()
        found.bounds = self.bounds[held]
        vars(found)["host_sizes"] = found.cube_sizes.cpu()
        vars(found)["slabs"] = [
            slab for whole in self.slabs if (slab := whole.part(first, end, held)) is not None
        ]
        return found

    def on(self, device: torch.device) -> CubeLayout:
        """The same layout on another device."""
        if device == self.device:
            return self
        found = self._with_maps(lambda index: index.to(device))
        found.device = device
        vars(found).update(host_sizes=self.host_sizes, slabs=self.slabs)
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
        """`cube_sizes` on the host, without asking the device."""
        return (self.bounds[:, 2::2] - self.bounds[:, 1::2]).prod(1)

    @cached_property
    def first_token_from_cube(self) -> Tensor:
        """int64 [C]: the earliest token of each cube."""
        return self.tokens_from_cube[:, 0]

    @cached_property
    def slabs(self) -> list[Slab]:
        """Runs of cubes that share one range of slices, in sequence order."""
        found, token, cube = [], 0, 0
        for (slices, rows, columns), n in zip(self.grids, self.cubes_per_video, strict=True):
            layers = ceil(slices / self.cube[0])
            for i in range(layers):
                depth = min(self.cube[0], slices - i * self.cube[0])
                tokens, cubes = depth * rows * columns, n // layers
                found.append(Slab(token, token + tokens, cube, cube + cubes))
                token, cube = token + tokens, cube + cubes
        return found


def mean_by_cube(rows: Tensor, cube_from_row: Tensor, counts: Tensor) -> Tensor:
    """Mean row of each cube, fp32 [..., C, D], from rows [..., n, D].

    `cube_from_row` int64 [n]; `counts` [..., C] says how many rows each cube has, which must be one
    at least.
    """
    rows = rows.float()
    sums = rows.new_zeros(*rows.shape[:-2], counts.shape[-1], rows.shape[-1])
    return sums.index_add(-2, cube_from_row, rows) / counts[..., None]


def kept_means(values: Tensor, kept: Tensor, layout: CubeLayout) -> Tensor:
    """Mean of each cube's kept tokens, fp32 [..., C, h], from the video's `values` [..., V, h].

    `kept` bool [..., V] has one token at least in each cube.
    """
    counts = torch.zeros(*kept.shape[:-1], layout.cubes, device=kept.device)
    counts = counts.index_add(-1, layout.cube_from_token, kept.float())
    return mean_by_cube(values.float() * kept[..., None], layout.cube_from_token, counts)


@dataclass(frozen=True)
class Slab:
    """Cubes that share one range of slices: tokens [first_token, end_token), cubes likewise."""

    first_token: int
    end_token: int
    first_cube: int
    end_cube: int

    def part(self, first: int, end: int, cubes: Tensor) -> Slab | None:
        """What is left of it where tokens [first, end) and `cubes`, int64 ascending, are."""
        tokens = max(self.first_token, first), min(self.end_token, end)
        if tokens[0] >= tokens[1]:
            return None
        edges = torch.tensor([self.first_cube, self.end_cube])
        start, stop = torch.searchsorted(cubes, edges).tolist()
        return Slab(tokens[0] - first, tokens[1] - first, start, stop)


@dataclass(frozen=True, eq=False)
class _Places:
    slice: Tensor
    row: Tensor
    column: Tensor
    cube: Tensor
    bounds: Tensor


def _places(grid: Grid, cube: Grid) -> _Places:
    """Slice, row, column and cube of each token of one video, and the bounds of its cubes."""
    axes = torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")
    at = [axis.reshape(-1) for axis in axes]
    counts = [ceil(n / side) for n, side in zip(grid, cube, strict=True)]
    blocks = [axis // side for axis, side in zip(at, cube, strict=True)]
    index = (blocks[0] * counts[1] + blocks[1]) * counts[2] + blocks[2]
    corners = torch.cartesian_prod(*(torch.arange(n) for n in counts)).reshape(-1, 3)
    first = corners * torch.tensor(cube)
    end = torch.minimum(first + torch.tensor(cube), torch.tensor(grid))
    return _Places(at[0], at[1], at[2], index, torch.stack([first, end], -1).reshape(-1, 6))


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
