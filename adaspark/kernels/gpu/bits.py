"""The selected-block mask as bits, a machine word for 32 rows.

Axes: H heads, R rows, W groups of 32 rows, C cubes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

WORD = 32
"""Rows whose bits of the selected-block mask share one machine word."""


def pack(selected: Tensor) -> Tensor:
    """int32 [H, W, C]: bit i of word w is row 32 w + i of `selected`, bool [H, R, C]."""
    selected = pad(selected, (0, 0, 0, -selected.shape[1] % WORD)).unflatten(1, (-1, WORD))
    bit = torch.arange(WORD, dtype=torch.int32, device=selected.device)
    return (selected.int() << bit[:, None]).sum(2, dtype=torch.int32)


def unpack(words: Tensor, rows: Tensor) -> Tensor:
    """bool [H, n, C]: the cubes that `rows`, int64 [n], selected, from `words` as from `pack`."""
    return ((words[:, rows // WORD] >> (rows % WORD).int()[:, None]) & 1).bool()
