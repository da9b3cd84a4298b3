"""The keys of a sequence as the compiled kernels read them: in panels, cube by cube."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from adaspark.kernels.cpu.simd import LANES
from adaspark.kernels.cpu.state import PANEL, Ints
from adaspark.method.layout import CubeLayout


def first_tokens(layout: CubeLayout) -> Ints:
    """The earliest token of each cube, int64 [C]."""
    return layout.first_token_from_cube.numpy().copy() if layout.cubes else np.zeros(0, np.int64)


def panels_of(
    layout: CubeLayout, video_positions: Tensor, text_positions: Tensor
) -> tuple[Ints, Ints, Ints, Ints]:
    """The panels, their pieces, and the positions and ranks of all slots; the text is cube C.

    Pieces of one slab share a panel as long as one register holds it: a row that attends to
    one of them computes all.
    """
    texts = len(text_positions)
    sizes = [*layout.cube_sizes.tolist(), texts]
    fresh = {slab.first_cube for slab in layout.slabs} | {layout.cubes}
    panels: list[list[int]] = []
    pieces: list[tuple[int, int, int]] = []
    slot = 0
    for cube, size in enumerate(sizes):
        for first in range(0, size, PANEL):
            keys = min(PANEL, size - first)
            if not panels or cube in fresh or panels[-1][1] + keys > LANES:
                panels.append([slot, 0, 0, len(pieces), 0, cube])
            panel = panels[-1]
            pieces.append((panel[0] + panel[1], keys, cube))
            panel[1] += keys
            panel[2] = -(-panel[1] // LANES) * LANES
            panel[4] = len(pieces)
            slot = panel[0] + panel[2]
    order = layout.cube_from_token.argsort(stable=True)
    positions = torch.cat([video_positions[order], text_positions])
    ranks = torch.cat([order, torch.arange(texts)])
    taken = np.concatenate([np.arange(first, first + keys) for first, keys, _ in pieces])
    by_slot = np.zeros((2, slot), np.int64)
    by_slot[:, taken] = positions.numpy(), ranks.numpy()
    return np.array(panels, np.int64), np.array(pieces, np.int64), by_slot[0], by_slot[1]
