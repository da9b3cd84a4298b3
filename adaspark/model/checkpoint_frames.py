"""How a checkpoint wants a video's frames: its processor's files, and what this device bears."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from adaspark.model.checkpoint_files import blamed, read_json, unusable
from adaspark.model.checkpoint_source import Source
from adaspark.video.sampling import Sampling

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)  # Qwen3-VL's mean and standard deviation
APART_PATCH = 16
CPU_MAX_FRAMES = 64
CPU_MAX_TOKENS = 5120  # a laptop reads these in a minute or two; Qwen's own rule allows 115,200


@dataclass(frozen=True)
class FrameSettings:
    """Sampling on this device, and the mean and standard deviation of each colour channel."""

    sampling: Sampling
    mean: tuple[float, ...]
    std: tuple[float, ...]


def frame_settings(
    source: Source, device: torch.device, *, frames_apart: bool = False
) -> FrameSettings:
    """What the checkpoint's processor files say of video. Raises UserError where they are wrong.

    As transformers: `processor_config.json` comes before `video_preprocessor_config.json`. The
    older `preprocessor_config.json` states the pixels of images, for which Qwen's rule for video
    stands in, unless it speaks of frames, as the bundled model's does. On a CPU a large model is
    shown fewer tokens: `CPU_MAX_FRAMES` and `CPU_MAX_TOKENS`. With `frames_apart` the files are of
    Qwen3-VL's processor, whose pixels are those of all frames together.
    """
    image = read_json(source, "preprocessor_config.json")
    nested = read_json(source, "processor_config.json").get("video_processor")
    video = nested or read_json(source, "video_preprocessor_config.json")
    name = _file_name(bool(nested), bool(video))
    colours = (HALF, HALF) if frames_apart else (CLIP_MEAN, CLIP_STD)
    with blamed(source, name):
        common = video or image
        is_own = not video and "max_frames" in image
        said = image if is_own else video
        sampling = _sampling_apart(common, said) if frames_apart else _sampling(common, said)
        mean = tuple(map(float, common.get("image_mean") or colours[0]))
        std = tuple(map(float, common.get("image_std") or colours[1]))
    if not _is_usable(sampling) or len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise unusable(source, name, "holds sizes, rates or colours that cannot be")
    if device.type == "cpu" and not is_own:
        frames = min(sampling.max_frames, CPU_MAX_FRAMES)
        tokens = min(sampling.max_tokens, CPU_MAX_TOKENS)
        sampling = replace(sampling, max_frames=frames, max_tokens=tokens)
    return FrameSettings(sampling, mean, std)


def _file_name(is_nested: bool, has_video: bool) -> str:
    if is_nested:
        return "processor_config.json"
    return "video_preprocessor_config.json" if has_video else "preprocessor_config.json"


def _sampling(common: dict[str, Any], video: dict[str, Any]) -> Sampling:
    """`common` has what image and video share, `video` what is said of video alone."""
    own = Sampling()
    least, most = _pixels(video, own.min_pixels, own.max_pixels)
    return replace(
        _counts(common, video, own),
        min_pixels=least,
        max_pixels=most,
        max_tokens=int(0.9 * (video.get("max_video_tokens") or 128_000)),
    )


def _sampling_apart(common: dict[str, Any], video: dict[str, Any]) -> Sampling:
    """The same by Qwen3-VL's processor: the frames share the pixels, and reach to the last one."""
    side = APART_PATCH * 2
    least, most = _pixels(video, 128 * side**2, 768 * side**2)
    own = _counts(common, video, Sampling(patch=APART_PATCH))
    token = own.factor**2
    capped = video.get("cap_pixels_per_frame")
    return replace(
        own,
        min_pixels=token,
        max_pixels=min(most, int(video.get("max_video_tokens") or 768) * token) if capped else most,
        max_tokens=max(1, most // (token * own.temporal_patch)),
        min_total_pixels=least,
        to_end=True,
    )


def _counts(common: dict[str, Any], video: dict[str, Any], own: Sampling) -> Sampling:
    return replace(
        own,
        fps=float(video.get("fps") or own.fps),
        max_frames=int(video.get("max_frames") or own.max_frames),
        min_frames=int(video.get("min_frames") or own.min_frames),
        patch=int(common.get("patch_size") or own.patch),
        merge=int(common.get("merge_size") or own.merge),
        temporal_patch=int(common.get("temporal_patch_size") or own.temporal_patch),
    )


def _pixels(video: dict[str, Any], least: int, most: int) -> tuple[int, int]:
    """The fewest and the most pixels, under whichever names the file has them."""
    size = video.get("size") or {}
    return (
        int(video.get("min_pixels") or size.get("shortest_edge") or least),
        int(video.get("max_pixels") or size.get("longest_edge") or most),
    )


def _is_usable(sampling: Sampling) -> bool:
    counts = (sampling.max_frames, sampling.patch, sampling.merge, sampling.temporal_patch)
    pixels_agree = 0 < sampling.min_pixels <= sampling.max_pixels
    return min(counts) >= 1 and 0 < sampling.fps <= 120 and pixels_agree
