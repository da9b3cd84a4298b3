"""How a model wants its frames, apart from reading any: no decoder is imported for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """How frames are chosen and sized: the numbers of the model's preprocessor configuration.

    The defaults are those of transformers' `Qwen2VLVideoProcessor`, but for `max_frames`.
    """

    fps: float = 2.0
    max_frames: int = 64
    min_frames: int = 4
    min_pixels: int = 128 * 28 * 28
    max_pixels: int = 768 * 28 * 28
    patch: int = 14
    merge: int = 2
    temporal_patch: int = 2
