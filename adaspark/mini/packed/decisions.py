"""What AdaSpark decided in a packed forward, layer by layer.

Axes: B clips, H query heads, S recorded rows, C cubes, N tokens, V video tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from adaspark.mini.packed.geometry import Chunk, PackedGeometry


@dataclass(eq=False)
class LayerDecisions:
    """One layer. Fields that were not asked for are None.

    `kept` bool [B, H, S, C] and `probs` fp32 likewise, of the recorded rows (own cube not
    included); `mass` fp32 likewise: the share of a row's dense attention that each cube holds (own
    cube included; the rest of the sum to one is on text), given this run's queries and keys.
    `pairs` int64 [B, N]: keys that each row read, summed over heads. `ffn_kept` bool [B, V].
    `ffn_in` and `ffn_out` fp32 [B, N]: norms of the residual stream before the FFN and of the
    branch's output.
    """

    kept: Tensor
    probs: Tensor
    pairs: Tensor
    mass: Tensor | None = None
    ffn_kept: Tensor | None = None
    ffn_in: Tensor | None = None
    ffn_out: Tensor | None = None


@dataclass
class Decisions:
    """Collects the decisions of one forward.

    `rows` are the rows of the sequence whose choices are kept (ascending; None: all text rows of
    the blocks); `mass` and `norms` ask for the fields of those names.
    """

    rows: list[int] | None = None
    mass: bool = False
    norms: bool = False
    layers: list[LayerDecisions] = field(default_factory=list)

    def layer(self, index: int, geometry: PackedGeometry, clips: int, heads: int) -> LayerDecisions:
        """The layer's record; the first call for a layer allocates it."""
        if self.rows is None:
            self.rows = list(range(geometry.shape.prefix_tokens, geometry.tokens))
        if index == len(self.layers):
            device, cubes = geometry.layout.device, geometry.layout.cubes
            table = torch.zeros(clips, heads, len(self.rows), cubes, device=device)
            self.layers.append(
                LayerDecisions(
                    kept=table.bool(),
                    probs=table,
                    pairs=torch.zeros(clips, geometry.tokens, dtype=torch.long, device=device),
                    mass=torch.zeros_like(table) if self.mass else None,
                    ffn_in=table.new_zeros(clips, geometry.tokens) if self.norms else None,
                    ffn_out=table.new_zeros(clips, geometry.tokens) if self.norms else None,
                )
            )
        return self.layers[index]

    def places(self, chunk: Chunk, device: torch.device) -> tuple[slice, Tensor]:
        """Which recorded rows lie in a chunk: their slice of S, and their rows in the chunk."""
        assert self.rows is not None
        inside = [i for i, row in enumerate(self.rows) if chunk.start <= row < chunk.end]
        local = [self.rows[i] - chunk.start for i in inside]
        first = inside[0] if inside else 0
        return slice(first, first + len(inside)), torch.tensor(local, device=device).long()
