"""A long prompt in parts of whole slabs: each part computes what one prefill computes of it.

A slab is the cubes that share one range of slices. No part cuts a cube, so that every query has the
candidates, means and tokens that it has in one prefill.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from adaspark.method.config import Grid
from adaspark.model.mrope import VIDEO

PART_TOKENS = {"cpu": 2048}
"""Bounds what a layer computes at one time; elsewhere a prompt is one part."""


def part_ends(
    token_types: Tensor, grid: Grid, slices: int, device: torch.device, *, in_one: bool = False
) -> list[int]:
    """Where the parts of a prompt end: after every few slabs of `slices`, the last one with all
    that follows the video.

    `token_types` int64 [N] holds one run of video, a (T, H, W) `grid`. A prompt that is short, or
    is to be read `in_one`, has one part.
    """
    tokens = len(token_types)
    most = PART_TOKENS.get(device.type, tokens)
    if in_one or tokens <= most:
        return [tokens]
    first = int((token_types == VIDEO).nonzero()[0])
    slab = slices * grid[1] * grid[2]
    step = max(1, most // slab) * slab
    return [*range(first + step, first + prod(grid), step), tokens]
