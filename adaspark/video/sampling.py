"""How a model wants its frames, apart from reading any: no decoder is imported for it."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ASPECT_RATIO = 200
_LEAST_SHARE = 1.05  # of min_pixels: what a long video's frames keep, in qwen-vl-utils


@dataclass(frozen=True)
class Sampling:
    """How frames are chosen and sized: Qwen's rule for video unless a checkpoint says otherwise.

    A frame has `min_pixels` to `max_pixels`, so that a slice of two takes 128 to 768 tokens; a long
    video's frames shrink until all its tokens fit `max_tokens`, but not below 1.05 x `min_pixels`.
    The defaults are those of qwen-vl-utils 0.0.14, but for `max_frames`. `min_total_pixels` are of
    all frames together. The times of `to_end` reach to the last frame, others to where the next
    would stand.
    """

    fps: float = 2.0
    max_frames: int = 64
    min_frames: int = 4
    min_pixels: int = 128 * 28 * 28
    max_pixels: int = 768 * 28 * 28
    max_tokens: int = 115_200
    patch: int = 14
    merge: int = 2
    temporal_patch: int = 2
    min_total_pixels: int = 0
    to_end: bool = False

    @property
    def factor(self) -> int:
        """The side of one merged token, in pixels."""
        return self.patch * self.merge

    def frame_min_pixels(self, frames: int) -> int:
        """The fewest pixels of each of so many frames."""
        return max(self.min_pixels, -(-self.min_total_pixels // frames))

    def frame_max_pixels(self, frames: int) -> int:
        """The most pixels of each of so many frames, by the rule of the whole video."""
        share = self.max_tokens * self.factor**2 * self.temporal_patch // frames
        return min(self.max_pixels, max(share, int(_LEAST_SHARE * self.min_pixels)))
