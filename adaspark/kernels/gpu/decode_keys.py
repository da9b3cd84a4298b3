"""The keys that a few new text tokens attend to, where they stand or copied by cube.

Axes: H heads, G KV heads, N tokens, S new tokens, C cubes, M key slots of a cube, X text keys,
D head dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from adaspark.kernels.gpu.tables import KeyBlocks
from adaspark.method.token_positions import TokenPositions


@dataclass(frozen=True, eq=False)
class StepKeys:
    """Keys and values [G, rows, D] that new text attends to: those of cubes, then those of text.

    By position in the sequence, with `text` int64 [X] the positions of the text keys; or, without
    it, by slot: the text keys then follow those of the cubes. X is `text_keys`, and as many more as
    `length` says, int32 [1] on the device.
    """

    keys: Tensor
    values: Tensor
    blocks: KeyBlocks
    text: Tensor | None
    text_keys: int
    length: Tensor | None = None

    @classmethod
    def by_slot(
        cls,
        sequence: TokenPositions,
        layers: Sequence[tuple[Tensor, Tensor]],
        *,
        room: int,
        length: Tensor | None,
    ) -> list[StepKeys]:
        """Copies of the keys and values [G, N, D] of all layers, with `room` for more text."""
        blocks = KeyBlocks.of_video(sequence)
        places = torch.cat([blocks.positions, sequence.text_positions])
        keys, _ = layers[0]
        groups, _, width = keys.shape
        # All at once: where memory is short, nothing of it is taken.
        both = keys.new_zeros(len(layers), 2, groups, len(places) + room, width)
        for buffers, sources in zip(both, layers, strict=True):
            for buffer, source in zip(buffers, sources, strict=True):
                torch.index_select(source, 1, places, out=buffer[:, : len(places)])
        text = len(sequence.text_positions) if length is None else 1  # the new token's own key
        return [cls(keys, values, blocks, None, text, length) for keys, values in both]

    @classmethod
    def of(cls, keys: Tensor, values: Tensor, sequence: TokenPositions) -> StepKeys:
        """All of a sequence, where they stand."""
        text = sequence.text_positions
        return cls(keys, values, KeyBlocks.of_video(sequence), text, len(text))


def pairs(selected: Tensor, groups: int, sequence: TokenPositions) -> Tensor:
    """int64 [2]: (row, key) pairs of all heads, in cubes that are attended to, and multiplied: a
    group's rows multiply what any of them selected, and all text.
    """
    blocks = KeyBlocks.of_video(sequence)
    heads, count, cubes = selected.shape
    chosen = (selected.sum((0, 1)) * sequence.layout.cube_sizes).sum()
    multiplied = selected.view(groups, -1, cubes).amax(1).sum() * blocks.slots * (heads // groups)
    text = ceil(len(sequence.text_positions) / blocks.block) * blocks.block
    return torch.stack([chosen, (multiplied + text * heads) * count])
