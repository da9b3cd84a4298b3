"""What a model is shown of a video under a request's options, and what to say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adaspark.errors import UserError
from adaspark.model.request import Estimate
from adaspark.video.clip import VideoInfo, sample_times, token_grid
from adaspark.video.sampling import Sampling

MAX_FPS = 120
PRESETS: dict[str, dict[str, Any]] = {
    "qwen": {"fps": 2.0, "max_frames": 768, "max_video_tokens": 24_576},
}
"""Ways to show a video: `qwen` is how Qwen evaluates its own models on long ones."""


def preset_sampling(name: str) -> dict[str, Any]:
    """The options of a preset. Raises UserError for an unknown one."""
    if name not in PRESETS:
        raise UserError(f"Unknown preset {name!r}: choose {', '.join(PRESETS)}.")
    return PRESETS[name]


def chosen_sampling(
    own: Sampling,
    *,
    fps: float | None = None,
    max_frames: int | None = None,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    max_video_tokens: int | None = None,
) -> Sampling:
    """The model's own sampling with what was asked for instead. Raises UserError for a bad value.

    One of the two pixel limits moves the other along where they would cross.
    """
    if fps is not None and not 0 < fps <= MAX_FPS:
        raise UserError(f"fps must be above 0 and at most {MAX_FPS}, got {fps:g}.")
    _check_count("max_frames", max_frames, 1)
    _check_count("min_pixels", min_pixels, own.factor**2)
    _check_count("max_pixels", max_pixels, own.factor**2)
    _check_count("max_video_tokens", max_video_tokens, 1)
    if min_pixels is not None and max_pixels is not None and min_pixels > max_pixels:
        raise UserError(f"min_pixels is {min_pixels:,} and max_pixels only {max_pixels:,}.")
    changes: dict[str, Any] = {"fps": fps, "max_frames": max_frames, "max_tokens": max_video_tokens}
    if min_pixels is not None or max_pixels is not None:
        changes["min_pixels"] = min_pixels or min(own.min_pixels, max_pixels or own.max_pixels)
        changes["max_pixels"] = max_pixels or max(own.max_pixels, min_pixels or own.min_pixels)
    return replace(own, **{name: value for name, value in changes.items() if value is not None})


def estimate(info: VideoInfo, sampling: Sampling, *, max_tokens: int | None = None) -> Estimate:
    """What a video takes under a sampling. `max_tokens` is a limit that somebody asked for.

    Raises UserError where the smallest frames take more than that.
    """
    grid = token_grid(info, sampling)
    frames = len(sample_times(info, sampling))
    found = Estimate(
        info,
        grid,
        frames,
        grid[2] * sampling.factor,
        grid[1] * sampling.factor,
        note="" if max_tokens else _note(info, sampling, grid),
    )
    if max_tokens is not None and found.video_tokens > max_tokens:
        raise UserError(
            f"{frames:,} frames of this video take {found.video_tokens:,} tokens at their smallest "
            f"and max_video_tokens is {max_tokens:,}: show fewer frames, or lower min_pixels."
        )
    return found


def _note(info: VideoInfo, sampling: Sampling, grid: tuple[int, int, int]) -> str:
    """That the whole video's tokens made its frames smaller, where they did."""
    free = replace(sampling, max_tokens=sampling.max_frames * sampling.max_pixels)
    _, rows, columns = token_grid(info, free)
    if (rows, columns) == grid[1:]:
        return ""
    side = sampling.factor
    return (
        f"frames are shown at {grid[2] * side} x {grid[1] * side} instead of "
        f"{columns * side} x {rows * side} to keep the video near {sampling.max_tokens:,} tokens, "
        f"the default here; max_video_tokens sets another"
    )


def _check_count(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise UserError(f"{name} must be at least {least:,}, got {value:,}.")
