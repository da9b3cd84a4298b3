"""Frames to the vision tower's input: resize and patchify, equal to transformers' processor.

The arithmetic is that of `Qwen2VLVideoProcessor` without its dependency on torchvision. Axis
letters: F frames, T temporal slices, H and W pixels, h and w patches.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from adaspark.video.sampling import MAX_ASPECT_RATIO


def smart_resize(
    height: int, width: int, *, factor: int, min_pixels: int, max_pixels: int
) -> tuple[int, int]:
    """Return the (height, width) nearest in shape that the model takes.

    Both are multiples of `factor`, and their product lies within [min_pixels, max_pixels] where
    that is possible. The same rule as transformers' `smart_resize` for Qwen2-VL.
    """
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise ValueError(f"aspect ratio must be at most {MAX_ASPECT_RATIO}, got {width} x {height}")
    fitted = (round(height / factor) * factor, round(width / factor) * factor)
    if math.prod(fitted) > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        return (
            max(factor, math.floor(height / shrink / factor) * factor),
            max(factor, math.floor(width / shrink / factor) * factor),
        )
    if math.prod(fitted) < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        return (
            math.ceil(height * grow / factor) * factor,
            math.ceil(width * grow / factor) * factor,
        )
    return fitted


def resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize uint8 frames [F, 3, H, W] to `size` = (height, width): bicubic with antialias.

    Interpolating uint8 directly rounds as torchvision does for the processor; through float it
    would differ by one level here and there.
    """
    if tuple(frames.shape[-2:]) == size:
        return frames
    return functional.interpolate(frames, size=size, mode="bicubic", antialias=True)


def patchify(
    frames: Tensor,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    patch: int,
    merge: int,
    temporal_patch: int,
) -> Tensor:
    """Normalise frames [F, 3, H, W] (0 to 255) and cut them into patches.

    Returns float32 [T * h * w, 3 * temporal_patch * patch * patch]; the rows run by slice, then by
    group of `merge` x `merge` patches, as the vision tower merges them. A last incomplete slice is
    filled by repeating the last frame.
    """
    frames = _whole_slices(_normalise(frames, mean, std), temporal_patch)
    _, channels, height, width = frames.shape
    if height % (patch * merge) or width % (patch * merge):
        raise ValueError(f"frames of {width} x {height} do not divide by {patch * merge}")
    blocks = frames.reshape(
        -1,
        temporal_patch,
        channels,
        height // (patch * merge),
        merge,
        patch,
        width // (patch * merge),
        merge,
        patch,
    )
    by_merge_group = blocks.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return by_merge_group.reshape(-1, channels * temporal_patch * patch * patch)


def _normalise(frames: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    # transformers fuses the rescaling into mean and std; the same products keep the same bits.
    scale = 1.0 / (1 / 255)
    scaled_mean = torch.tensor(mean, device=frames.device) * scale
    scaled_std = torch.tensor(std, device=frames.device) * scale
    return (frames.float() - scaled_mean[:, None, None]).div_(scaled_std[:, None, None])


def _whole_slices(frames: Tensor, temporal_patch: int) -> Tensor:
    missing = -len(frames) % temporal_patch
    if not missing:
        return frames
    return torch.cat((frames, frames[-1:].expand(missing, -1, -1, -1)))
