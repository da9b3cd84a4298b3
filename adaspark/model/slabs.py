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

PART_BYTES = {"cpu": 2**28}
"""Bounds, about, what a layer holds at one time; elsewhere a prompt is one part."""
FEWEST_TOKENS = 2048
"""Of a part: in smaller ones a prompt takes longer, every time."""


def part_tokens(device: torch.device, tokens: int, inner: int, *, is_dense: bool) -> int:
    """How many of a prompt's `tokens` are read at one time.

    Each takes the FFN's `inner` numbers three times in fp32, and a row of the attention mask in
    bytes; where some layer's attention `is_dense`, the stock kernel makes fp32 of it.
    """
    if device.type not in PART_BYTES:
        return tokens
    mask = tokens * (5 if is_dense else 1)
    return max(FEWEST_TOKENS, PART_BYTES[device.type] // (12 * inner + mask))


def part_ends(
    token_types: Tensor, grid: Grid, slices: int, most: int, *, in_one: bool = False
) -> list[int]:
    """Where the parts of a prompt end: after every few slabs of `slices`, the last one with all
    that follows the video.

    `token_types` int64 [N] holds one run of video, a (T, H, W) `grid`. A prompt of up to `most`
    tokens, or one to be read `in_one`, has one part.
    """
    tokens = len(token_types)
    if in_one or tokens <= most:
        return [tokens]
    first = int((token_types == VIDEO).nonzero()[0])
    slab = slices * grid[1] * grid[2]
    step = max(1, most // slab) * slab
    return [*range(first + step, first + prod(grid), step), tokens]
