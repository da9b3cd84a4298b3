"""Resizing and patchifying equal transformers' processor for Qwen2-VL and Qwen2.5-VL."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from paths import TESTS
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    smart_resize as transformers_smart_resize,
)

from adaspark.video import preprocess
from adaspark.video.clip import Sampling, patchify, smart_resize

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
# Recorded from transformers 5.23's Qwen2VLVideoProcessor with torchvision 0.29.1.
GOLDEN = TESTS / "data" / "qwen2_video_processor.npz"
GOLDEN_SAMPLING = Sampling(patch=4, min_pixels=8 * 8 * 4, max_pixels=8 * 8 * 6)
ONE_LEVEL = 1 / 255 / min(CLIP_STD)


def pixel_values(frames: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    size = smart_resize(
        *frames.shape[-2:],
        factor=sampling.patch * sampling.merge,
        min_pixels=sampling.min_pixels,
        max_pixels=sampling.max_pixels,
    )
    return patchify(preprocess.resize(frames, size), sampling, CLIP_MEAN, CLIP_STD)


@settings(max_examples=300, deadline=None)
@given(
    height=st.integers(1, 5000),
    width=st.integers(1, 5000),
    factor=st.sampled_from([8, 28, 32]),
    min_tokens=st.integers(1, 200),
    more_tokens=st.integers(0, 2000),
)
def test_smart_resize_is_that_of_transformers(
    height: int, width: int, factor: int, min_tokens: int, more_tokens: int
) -> None:
    assume(max(height, width) <= 200 * min(height, width))
    bounds = {
        "min_pixels": min_tokens * factor**2,
        "max_pixels": (min_tokens + more_tokens) * factor**2,
    }
    ours = smart_resize(height, width, factor=factor, **bounds)
    assert ours == transformers_smart_resize(height, width, factor=factor, **bounds)


@pytest.mark.parametrize("size", [(1, 201), (4000, 19)])
def test_smart_resize_refuses_what_transformers_refuses(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="aspect ratio"):
        smart_resize(*size, factor=28, min_pixels=1, max_pixels=10**6)
    with pytest.raises(ValueError, match="aspect ratio"):
        transformers_smart_resize(*size)


def test_pixel_values_equal_the_recorded_ones() -> None:
    golden = np.load(GOLDEN)
    ours = pixel_values(torch.from_numpy(golden["frames"]), GOLDEN_SAMPLING)
    assert ours.dtype == torch.float32
    assert ours.shape == (math.prod(golden["grid"].tolist()), 3 * 2 * 4 * 4)
    difference = (ours - torch.from_numpy(golden["pixel_values"])).abs()
    # Processors without AVX2 may round a resized level the other way.
    assert difference.max() <= ONE_LEVEL * 1.01
    assert difference.mean() <= ONE_LEVEL / 100


@pytest.mark.parametrize("size", [(180, 320), (179, 321), (720, 1280), (30, 900), (252, 448)])
@pytest.mark.parametrize("frames", [1, 3, 4])
def test_pixel_values_equal_the_processor_where_torchvision_imports(
    size: tuple[int, int], frames: int
) -> None:
    try:
        from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision does not import here: {error}")
    sampling = Sampling()
    pixels = torch.randint(0, 256, (frames, 3, *size), dtype=torch.uint8)
    processor = Qwen2VLVideoProcessor(
        size={"shortest_edge": sampling.min_pixels, "longest_edge": sampling.max_pixels}
    )
    theirs = processor(videos=[pixels], return_tensors="pt")["pixel_values_videos"]
    assert torch.equal(pixel_values(pixels, sampling), theirs)


def slow_patchify(frames: np.ndarray, *, patch: int, merge: int, temporal: int) -> np.ndarray:
    """The order of patches spelt out: slice, merge group, patch in the group, then its pixels."""
    while len(frames) % temporal:
        frames = np.concatenate([frames, frames[-1:]])
    _, channels, height, width = frames.shape
    side = patch * merge
    rows: list[list[float]] = []
    for first in range(0, len(frames), temporal):
        for group_y in range(0, height, side):
            for group_x in range(0, width, side):
                for y in range(group_y, group_y + side, patch):
                    for x in range(group_x, group_x + side, patch):
                        rows.append(
                            [
                                (frames[f, c, v, u] / 255 - CLIP_MEAN[c]) / CLIP_STD[c]
                                for c in range(channels)
                                for f in range(first, first + temporal)
                                for v in range(y, y + patch)
                                for u in range(x, x + patch)
                            ]
                        )
    return np.array(rows)


@pytest.mark.parametrize(
    ("frames", "patch", "merge", "temporal"),
    [(4, 2, 2, 2), (3, 3, 1, 2), (1, 2, 3, 2), (5, 2, 2, 3)],
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_patchify_equals_the_slow_one(
    frames: int, patch: int, merge: int, temporal: int, dtype: torch.dtype
) -> None:
    side = patch * merge
    pixels = torch.randint(0, 256, (frames, 3, 2 * side, 3 * side)).to(dtype)
    sampling = Sampling(patch=patch, merge=merge, temporal_patch=temporal)
    fast = patchify(pixels, sampling, CLIP_MEAN, CLIP_STD)
    slow = slow_patchify(pixels.double().numpy(), patch=patch, merge=merge, temporal=temporal)
    assert fast.dtype == torch.float32
    assert fast.numpy() == pytest.approx(slow, abs=1e-5)


def test_patchify_refuses_frames_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="30 x 28 do not divide by 28"):
        patchify(torch.zeros(2, 3, 28, 30, dtype=torch.uint8), Sampling(), CLIP_MEAN, CLIP_STD)


def test_resize_does_not_depend_on_memory_layout_or_batch() -> None:
    pixels = torch.randint(0, 256, (2, 97, 131, 3), dtype=torch.uint8)
    planar = pixels.permute(0, 3, 1, 2).contiguous()
    one_by_one = [preprocess.resize(frame.permute(2, 0, 1)[None], (56, 84)) for frame in pixels]
    assert torch.equal(preprocess.resize(planar, (56, 84)), torch.cat(one_by_one))


def test_resize_antialiases() -> None:
    stripes = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    stripes[..., ::2] = 255
    shrunk: Any = preprocess.resize(stripes, (56, 56))
    assert shrunk.float().std() < 5
