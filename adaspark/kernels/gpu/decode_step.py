"""Attention of one new token at a time over buffers that never move: what a CUDA graph replays.

Keys stand cube by cube, then text, then room for the answer. How many there are, and which slot of
the recorded tables a step writes, are numbers on the device. Axes: L layers, H heads, G KV heads,
C cubes, M key slots of a cube, X text keys, D head dimension, R slots of a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from adaspark.kernels.gpu import decode_attention, decode_selection
from adaspark.kernels.gpu.decode_keys import StepKeys
from adaspark.kernels.gpu.decode_layer import HeadNorms, gated, normed, product, rotated
from adaspark.method.token_positions import TokenPositions

__all__ = ["LayerKeys", "StepCache", "gated", "normed", "product"]
TABLE_BYTES = 2**26
"""Bounds the recorded scores that wait on the device until they are reduced."""


class LayerKeys(NamedTuple):
    """One layer's prompt: keys and values [G, N, D], `means` fp32 [G, C, D], and its rule: Top-p.

    `means` are None if no cube is chosen and nothing is recorded. `amount` is p, `forced` holds
    (cube, on or off), and the rule may be to keep all (`keeps_all`).
    """

    keys: Tensor
    values: Tensor
    means: Tensor | None
    amount: float
    forced: tuple[tuple[int, bool], ...]
    keeps_all: bool


class StepCache:
    """The keys of one prompt with `room` for an answer, and the choices of its tokens.

    With `records`, scores and choices of up to R tokens are kept until they are `drained`.
    """

    def __init__(
        self,
        sequence: TokenPositions,
        layers: Sequence[LayerKeys],
        *,
        heads: int,
        scale: float,
        room: int,
        records: bool,
    ) -> None:
        self._scale, self._heads = scale, heads
        self._layers = layers = list(layers)
        text = len(sequence.text_positions)
        device = sequence.text_positions.device
        self.state = torch.tensor([text, 0], dtype=torch.int32, device=device)
        self._length, self._slot = self.state[:1], self.state[1:]
        self._step = torch.tensor([1, int(records)], dtype=torch.int32, device=device)
        self._before = text
        sources = [(layer.keys, layer.values) for layer in layers]
        self._known = StepKeys.by_slot(sequence, sources, room=room, length=self._length)
        self.slots = self._tables(sequence.layout.cubes, device, records, room)

    def _tables(self, cubes: int, device: torch.device, records: bool, room: int) -> int:
        """Make the tables of scores and choices; one of each serves all layers if none is kept."""
        layers = len(self._layers)
        slots, kept = 1, 1
        if records:
            kept = layers
            each = 5 * layers * self._heads * max(cubes, 1)  # fp32 and a byte
            slots = max(1, min(room, TABLE_BYTES // each))
        shape = (kept, slots, self._heads, 1, cubes)
        self._scores = torch.zeros(shape, device=device)
        self._selected = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._records = records
        for table, layer in zip(self._selected, self._layers if records else (), strict=records):
            table.fill_(layer.amount >= 1)
        return slots

    def store(
        self,
        layer: int,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        rotation: tuple[Tensor, Tensor],
        norms: HeadNorms | None = None,
    ) -> Tensor:
        """The queries [H, 1, D] of the new token after their norms, if any, and rotary embedding;
        its key and value are stored. `rotation` holds cos and sin [room, D] of the places after
        the prompt.
        """
        known = self._known[layer]
        return rotated(
            *(queries, keys, values),
            rotation,
            norms,
            self._length,
            (known.keys, known.values),
            text_start=known.blocks.text_start,
            before=self._before,
        )

    def attend(self, layer: int, queries: Tensor) -> Tensor:
        """[H, 1, D]: attention of the token that was stored last."""
        rule = self._layers[layer]
        means = rule.means
        at = layer if self._records else 0
        scores, selected, slot = self._scores[at], self._selected[at], self._slot
        if means is not None and (self._records or 0 < rule.amount < 1):
            decode_selection.score(queries, means, scale=self._scale, into=scores, slot=slot)
        if 0 < rule.amount < 1:
            decode_selection.kept(scores, p=rule.amount, into=selected, slot=slot)
        elif not self._records:
            selected.fill_(rule.amount >= 1)
        for cube, on in rule.forced:
            selected[..., cube].fill_(on)
        return decode_attention.attend(
            queries,
            self._known[layer],
            None if rule.keeps_all else selected,
            scale=self._scale,
            slot=slot,
        )

    def advance(self) -> None:
        """The token is part of what the next one sees."""
        self.state.add_(self._step)

    def drained(self, count: int) -> tuple[Tensor, Tensor]:
        """Probabilities fp32 and choices bool [L, n, H, C] of the last `count` tokens; the tables
        are free again.
        """
        scores, selected = (t[:, :count, :, 0] for t in (self._scores, self._selected))
        found = (scores * log(2)).softmax(-1), selected.bool()
        self._slot.zero_()
        return found
