"""Where the tokens of one sequence stand: all that the FFN and decoding ask of it.

Axes: N tokens, V video tokens, X text tokens. A padding token is neither text nor video.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from adaspark.method.layout import CubeLayout


@dataclass(frozen=True, eq=False)
class TokenPositions:
    """Where the video and the text of one sequence stand.

    `video_positions` int64 [V] and `text_positions` int64 [X], both ascending; `length` is N,
    padding included. The last `added` tokens are known to be text without asking the device.
    Text that belongs to a slice of a video (the layout's stamps) stands among the video's tokens.
    """

    layout: CubeLayout
    video_positions: Tensor
    text_positions: Tensor
    length: int
    added: int = 0

    @cached_property
    def video_alone(self) -> TokenPositions:
        """The same with all text among the text, that of slices too: as the FFN takes it."""
        if not self.layout.has_stamps:
            return self
        is_stamp = self.layout.row_from_token < 0
        stamps, video = self.video_positions[is_stamp], self.video_positions[~is_stamp]
        text = torch.cat([self.text_positions, stamps]).sort().values
        return TokenPositions(self.layout.video, video, text, self.length, self.added)

    @property
    def is_unpadded(self) -> bool:
        """Whether every token is text or video."""
        return len(self.video_positions) + len(self.text_positions) == self.length

    def tokens_before(self, start: int) -> int:
        """How many of the first `start` tokens are text or video."""
        return sum(int((at < start).sum()) for at in (self.video_positions, self.text_positions))

    def has_video_from(self, start: int) -> bool:
        """Whether any video token stands at `start` or after it."""
        if start >= self.length - self.added or not len(self.video_positions):
            return False
        return int(self.video_positions[-1]) >= start
