"""The vision tower on slices of a video, its windows attended to together.

transformers' SDPA path calls attention once for every window of every slice: 65,000 calls for 768
frames. Windows of equal length are a batch: one call for each length. Axes: P patches, H heads, D
head dimension, B windows of L patches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.vision_utils import get_vision_position_ids

from adaspark.kernels import flash
from adaspark.method.config import Grid

PACKED = "adaspark_flash_windows"
"""Where "flash" is in the name, transformers hands over all windows of a layer in one call."""
SLICES_AT_ONCE = 64
PATCHES_AT_ONCE = {"cuda": 2**15, "cpu": 2**12}
"""Bounds what is in memory of the tower at one time: about 50 KB a patch of the 7B model's."""


def slices_at_once(grid: Grid, merge: int, device: torch.device) -> int:
    """How many slices of a (T, H, W) grid of merged tokens are encoded together."""
    patches = grid[1] * grid[2] * merge**2
    most = PATCHES_AT_ONCE.get(device.type, PATCHES_AT_ONCE["cpu"])
    return max(1, min(SLICES_AT_ONCE, most // patches))


def encode(visual: Any, pixels: Tensor, grid: Grid) -> tuple[Tensor, ...]:
    """Features [V, h] of whole slices: `pixels` [P, C] of a (T, H, W) grid of merged tokens.

    After them come those that a tower adds to the first layers (DeepStack), [V, h] each. All are
    what the tower itself gives to rounding: windows are the rows of a batch, in any number.
    """
    merge = visual.spatial_merge_size
    shape = torch.tensor([[grid[0], grid[1] * merge, grid[2] * merge]])  # the host reads it
    positions = get_vision_position_ids(shape, merge).to(pixels.device)
    if hasattr(visual, "pos_embed"):  # of learned positions, found where the grid is
        shape = shape.to(pixels.device)
    with windows_together(visual):
        output = visual(pixels, grid_thw=shape, position_ids=positions)
    return output.pooler_output, *(getattr(output, "deepstack_features", None) or ())


@contextmanager
def windows_together(visual: Any) -> Iterator[None]:
    """Attention of the vision tower `visual` by batches of windows inside the block.

    Only where transformers would use SDPA; any other implementation stays, as it was chosen.
    """
    config = visual.config
    previous = config._attn_implementation
    if previous == "sdpa":
        AttentionInterface.register(PACKED, _attention)
        config._attn_implementation = PACKED
    try:
        yield
    finally:
        config._attn_implementation = previous


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    scaling: float,
    cu_seq_lens_q: Tensor,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """As transformers calls flash attention: [1, H, P, D] in, [1, P, H, D] out.

    `cu_seq_lens_q` int32 [windows + 1] says where each window begins.
    """
    packed = query[0].transpose(0, 1), key[0].transpose(0, 1), value[0].transpose(0, 1)  # [P, H, D]
    starts = tuple(cu_seq_lens_q.tolist())
    by_length = partial(_by_length, packed, starts, scaling, dropout)
    if dropout:
        return by_length()[None], None
    longest = int(np.diff(starts).max())
    given = cu_seq_lens_q.int(), longest
    return flash.windows(packed, *given, scale=scaling, stock=by_length)[None], None


def _by_length(
    packed: tuple[Tensor, Tensor, Tensor], starts: tuple[int, ...], scaling: float, dropout: float
) -> Tensor:
    """[P, H, D]: windows of equal length as a batch."""
    batches = _batches(starts, packed[0].device)
    if len(batches) == 1:  # every window is as long: nothing is to be gathered
        return _attend(packed, batches[0][0], scaling, dropout)
    output = torch.empty_like(packed[0])
    for length, rows in batches:
        query, key, value = (t.index_select(0, rows) for t in packed)
        output.index_copy_(0, rows, _attend((query, key, value), length, scaling, dropout))
    return output


def _attend(
    packed: tuple[Tensor, Tensor, Tensor], length: int, scaling: float, dropout: float
) -> Tensor:
    """[B * L, H, D] from queries, keys and values of that shape."""
    query, key, value = (t.view(-1, length, *t.shape[1:]).transpose(1, 2) for t in packed)
    mixed = scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scaling)
    return mixed.transpose(1, 2).flatten(0, 1)


@lru_cache(maxsize=8)
def _batches(starts: tuple[int, ...], device: torch.device) -> list[tuple[int, Tensor]]:
    """The lengths that windows have, and the patches int64 [B * L] of those that have it.

    `starts` has the first patch of each window, and the number of patches.
    """
    first, lengths = np.array(starts[:-1]), np.diff(starts)
    found = []
    with torch.inference_mode(False):  # kept for later calls, in whatever mode
        for length in np.unique(lengths):
            rows = first[lengths == length][:, None] + np.arange(length)
            found.append((int(length), torch.from_numpy(rows.reshape(-1)).to(device)))
    return found
