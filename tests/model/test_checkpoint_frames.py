"""How large frames are shown: Qwen's rule for video, what a checkpoint says, what a CPU bears."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from checkpoint_configs import IMAGE_PREPROCESSOR, VIDEO_PREPROCESSOR
from checkpoints import write_json

from adaspark.assets import BUNDLED_MODEL
from adaspark.model.checkpoint_files import UserError
from adaspark.model.checkpoint_frames import CPU_MAX_TOKENS, frame_settings
from adaspark.model.checkpoint_source import Source
from adaspark.model.shown import chosen_sampling, estimate
from adaspark.video.clip import token_grid
from adaspark.video.sampling import Sampling

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
TOKEN = 28 * 28


def info(width: int, height: int, seconds: float, fps: float = 25.0) -> Any:
    frames = round(seconds * fps)
    return SimpleNamespace(width=width, height=height, duration_secs=seconds, frames=frames)


def sampling(folder: Path, device: torch.device, **files: Any) -> Sampling:
    for name, values in files.items():
        write_json(folder / f"{name}.json", values)
    return frame_settings(Source("x", folder), device).sampling


def qwen_pixels(height: int, width: int, frames: int) -> tuple[int, int]:
    """Rows and columns of tokens by qwen-vl-utils 0.0.14, `vision_process.fetch_video`."""
    least = 128 * TOKEN
    total = 128000 * TOKEN * 0.9
    most = max(min(768 * TOKEN, total / frames * 2), int(least * 1.05))
    rows, columns = (max(28, round(side / 28) * 28) for side in (height, width))
    if rows * columns > most:
        beta = (height * width / most) ** 0.5
        rows, columns = (int(side / beta / 28) * 28 for side in (height, width))
    elif rows * columns < least:
        beta = (least / (height * width)) ** 0.5
        rows, columns = (-int(-side * beta // 28) * 28 for side in (height, width))
    return rows // 28, columns // 28


@pytest.mark.parametrize("frames", [4, 64, 300, 768])
@pytest.mark.parametrize(
    "size", [(1280, 720), (1920, 1080), (320, 180), (640, 480), (608, 1080), (28, 28), (3840, 2160)]
)
def test_the_older_layout_follows_qwen_s_rule(
    tmp_path: Path, size: tuple[int, int], frames: int
) -> None:
    """The image preprocessor's own limits, 4 to 16,384 tokens, are not those of video."""
    found = sampling(tmp_path, CUDA, preprocessor_config=IMAGE_PREPROCESSOR)
    found = chosen_sampling(found, max_frames=768)
    video = info(*size, seconds=frames / 2)
    assert token_grid(video, found) == (frames // 2, *qwen_pixels(size[1], size[0], frames))


def test_a_720p_clip_takes_20_x_36_tokens_a_slice(tmp_path: Path) -> None:
    found = sampling(tmp_path, CUDA, preprocessor_config=IMAGE_PREPROCESSOR)
    assert token_grid(info(1280, 720, 10), found) == (10, 20, 36)


SIZES: list[tuple[dict[str, Any], tuple[int, int, int, float]]] = [
    (VIDEO_PREPROCESSOR, (128 * TOKEN, 768 * TOKEN, 768, 2.0)),
    ({"size": {"shortest_edge": 3136, "longest_edge": 50176}}, (3136, 50176, 64, 2.0)),
    ({"min_pixels": 3136, "max_pixels": 50176, "fps": 1}, (3136, 50176, 64, 1.0)),
    ({"size": {"shortest_edge": 1, "longest_edge": 9}, "max_pixels": 8}, (1, 8, 64, 2.0)),
    ({"max_frames": 16, "fps": None}, (128 * TOKEN, 768 * TOKEN, 16, 2.0)),
]


@pytest.mark.parametrize("values, expected", SIZES)
@pytest.mark.parametrize("nested", [False, True])
def test_the_newer_layout_says_it_itself(
    tmp_path: Path, values: dict[str, Any], expected: tuple[int, int, int, float], nested: bool
) -> None:
    files: dict[str, Any] = {"preprocessor_config": IMAGE_PREPROCESSOR}
    if nested:
        files |= {"processor_config": {"video_processor": values}}
        files |= {"video_preprocessor_config": {"max_frames": 2}}
    else:
        files |= {"video_preprocessor_config": values}
    found = sampling(tmp_path, CUDA, **files)
    assert (found.min_pixels, found.max_pixels, found.max_frames, found.fps) == expected


def test_a_cpu_is_shown_fewer_frames_and_tokens(tmp_path: Path) -> None:
    found = sampling(tmp_path, CPU, video_preprocessor_config=VIDEO_PREPROCESSOR)
    assert (found.max_frames, found.max_tokens) == (64, CPU_MAX_TOKENS)
    assert estimate(info(1280, 720, 3600), found).video_tokens <= CPU_MAX_TOKENS
    few = sampling(tmp_path, CPU, video_preprocessor_config={"max_frames": 8})
    assert few.max_frames == 8


def test_what_a_cpu_takes_away_is_said(tmp_path: Path) -> None:
    found = sampling(tmp_path, CPU, preprocessor_config=IMAGE_PREPROCESSOR)
    long, short = info(1280, 720, 60), info(1280, 720, 3)
    note = estimate(long, found).note
    assert "instead of 1008 x 560" in note and "5,120 tokens" in note
    assert "max_video_tokens" in note
    assert estimate(short, found).note == ""
    more = chosen_sampling(found, max_video_tokens=30000)
    wide = estimate(long, more, max_tokens=30000)
    assert wide.note == "" and wide.grid[1:] == (20, 36)


def test_the_bundled_model_s_own_sampling_is_the_same_everywhere() -> None:
    source = Source("mini", BUNDLED_MODEL)
    here, there = (frame_settings(source, device).sampling for device in (CPU, CUDA))
    assert here == there == Sampling(fps=4.0, max_frames=64, min_pixels=3136, max_pixels=50176)


@pytest.mark.parametrize(
    "asked, pixels",
    [
        ({"max_pixels": 50176}, (50176, 50176)),
        ({"min_pixels": 900_000}, (900_000, 900_000)),
        ({"max_pixels": 200_000}, (128 * TOKEN, 200_000)),
        ({"min_pixels": 784, "max_pixels": 1000}, (784, 1000)),
    ],
)
def test_one_limit_moves_the_other_along(asked: dict[str, int], pixels: tuple[int, int]) -> None:
    found = chosen_sampling(Sampling(), **asked)
    assert (found.min_pixels, found.max_pixels) == pixels


@pytest.mark.parametrize("tokens", [800, 2000, 5000, 20000])
def test_asked_for_tokens_are_kept_to(tokens: int) -> None:
    found = chosen_sampling(Sampling(), max_video_tokens=tokens, min_pixels=16 * TOKEN)
    assert estimate(info(1280, 720, 30), found, max_tokens=tokens).video_tokens <= tokens


def test_tokens_that_cannot_be_kept_to_are_refused() -> None:
    found = chosen_sampling(Sampling(), max_video_tokens=1000)
    with pytest.raises(UserError, match="show fewer frames, or lower min_pixels"):
        estimate(info(1280, 720, 30), found, max_tokens=1000)
