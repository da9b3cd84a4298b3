"""Where the tokens of one video stand on its grid, and the cubes that this is cut into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from adaspark.method.config import Grid


@dataclass(frozen=True, eq=False)
class Places:
    """Of each token its slice, row, column and cube, int64 [V] each; `bounds` int64 [C, 6] are the
    first and end slice, row and column of each cube.
    """

    slice: Tensor
    row: Tensor
    column: Tensor
    cube: Tensor
    bounds: Tensor


def places_of(grid: Grid, cube: Grid) -> Places:
    """Slice, row, column and cube of each token of one video, and the bounds of its cubes."""
    axes = torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")
    at = [axis.reshape(-1) for axis in axes]
    counts = [ceil(n / side) for n, side in zip(grid, cube, strict=True)]
    blocks = [axis // side for axis, side in zip(at, cube, strict=True)]
    index = (blocks[0] * counts[1] + blocks[1]) * counts[2] + blocks[2]
    corners = torch.cartesian_prod(*(torch.arange(n) for n in counts)).reshape(-1, 3)
    first = corners * torch.tensor(cube)
    end = torch.minimum(first + torch.tensor(cube), torch.tensor(grid))
    return Places(at[0], at[1], at[2], index, torch.stack([first, end], -1).reshape(-1, 6))


def stamped(places: Places, grid: Grid, stamps: Sequence[int], cube: Grid) -> Places:
    """The same with `stamps[t]` tokens before slice t, those of a slab in a cube of their own.

    Cubes are numbered by their first tokens, which kernels rely on: that of the stamps comes before
    the slab's others, or after them where the slab's first slice has no stamp.
    """
    counts = torch.tensor(stamps)
    of_slice = torch.arange(grid[0]).repeat_interleave(counts)
    slab_from_slice = torch.arange(grid[0]) // cube[0]
    has = torch.zeros(ceil(grid[0] / cube[0]), dtype=torch.long)
    has = (has.index_add(0, slab_from_slice, counts) > 0).long()
    leads = (counts[:: cube[0]] > 0).long()
    before = has.cumsum(0) - has  # cubes of stamps in earlier slabs
    each = len(places.bounds) // len(has)
    own = torch.arange(len(has)) * each + before + each * (has - leads)
    moved = places.cube + (before + leads)[places.slice // cube[0]]
    order = torch.cat([2 * of_slice, 2 * places.slice + 1]).argsort(stable=True)
    nowhere = torch.full_like(of_slice, -1)
    bounds: list[Tensor] = []
    for slab, rows in enumerate(torch.split(places.bounds, each)):
        of_stamps = torch.tensor([[*rows[0, :2].tolist(), 0, 0, 0, 0]])[: has[slab]]
        bounds += [of_stamps, rows] if leads[slab] else [rows, of_stamps]
    new = (of_slice, nowhere, nowhere, own[slab_from_slice][of_slice])
    old = (places.slice, places.row, places.column, moved)
    at = [torch.cat(pair)[order] for pair in zip(new, old, strict=True)]
    return Places(at[0], at[1], at[2], at[3], torch.cat(bounds))
