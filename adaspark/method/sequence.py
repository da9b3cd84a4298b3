"""One sequence of text and video: who may see whom, in the order that the stock model keeps.

Axes: N tokens, V video tokens, X text tokens, C cubes, n queries of a segment. A padding token is
neither text nor video: it is in no segment and is never a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from adaspark.method.layout import CubeLayout
from adaspark.method.segment import Segment, cut
from adaspark.method.token_positions import TokenPositions


@dataclass(frozen=True, eq=False)
class SequenceMap(TokenPositions):
    """Where the tokens of one sequence stand, and its queries cut into segments."""

    _segments: dict[int, list[Segment]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def build(
        cls,
        is_video: Tensor,
        grids: Sequence[Sequence[int]],
        cube: Sequence[int],
        *,
        is_real: Tensor | None = None,
    ) -> SequenceMap:
        """From bool [N] masks: which tokens are video, and which are not padding.

        Raises ValueError where the grids do not hold as many tokens as are marked.
        """
        real = torch.ones_like(is_video) if is_real is None else is_real
        layout = CubeLayout(grids, cube, device=is_video.device)
        video = (is_video & real).nonzero().flatten()
        if len(video) != layout.tokens:
            raise ValueError(
                f"The sequence marks {len(video)} video tokens, but its grids {layout.grids} "
                f"hold {layout.tokens}; pass the video_grid_thw that belongs to these input_ids."
            )
        text = (~is_video & real).nonzero().flatten()
        return cls(layout, video, text, len(is_video))

    def continued(self, start: int, count: int, *, is_real: Tensor | None = None) -> SequenceMap:
        """The same sequence cut at `start`, with `count` text tokens after it.

        `is_real` bool [count] tells those of them that are not padding. The device is not waited
        for where nothing is cut off and all are real, which is how decoding goes on.
        """
        text = self.text_positions
        if start < self.length:
            text = text[text < start]
        new = torch.arange(start, start + count, device=text.device)
        if is_real is not None:
            new = new[is_real]
        text = torch.cat([text, new])
        return SequenceMap(self.layout, self.video_positions, text, start + count, count)

    def extended(self, is_video: Tensor, is_real: Tensor, layout: CubeLayout) -> SequenceMap:
        """The same sequence with more of a video, or another, after it: bool [n] masks.

        `layout` is that of all video tokens, old and new.
        """
        video = (is_video & is_real).nonzero().flatten() + self.length
        text = (~is_video & is_real).nonzero().flatten() + self.length
        return SequenceMap(
            layout,
            torch.cat([self.video_positions, video]),
            torch.cat([self.text_positions, text]),
            self.length + len(is_video),
        )

    def from_token(self, start: int) -> SequenceMap:
        """What stands at `start` and after it, as a sequence of its own: positions from 0 again.

        A cube that is cut is one of its own.
        """
        if start == 0:
            return self
        video = self.video_positions[self.video_positions >= start] - start
        text = self.text_positions[self.text_positions >= start] - start
        tokens = self.layout.tokens
        layout = self.layout.part(tokens - len(video), tokens)
        return SequenceMap(layout, video, text, self.length - start)

    def on(self, device: torch.device) -> SequenceMap:
        """The same sequence on another device."""
        if device == self.video_positions.device:
            return self
        video, text = self.video_positions.to(device), self.text_positions.to(device)
        return SequenceMap(self.layout.on(device), video, text, self.length, self.added)

    def segments(self, start: int = 0) -> list[Segment]:
        """The queries at positions >= `start`, cut into segments; video slabs in cube order.

        Made once for all layers.
        """
        if start not in self._segments:
            self._segments[start] = cut(self, start)
        return self._segments[start]
