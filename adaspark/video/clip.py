"""A video file to what the model is shown: sampled, resized frames and their patches.

Frames are chosen by presentation time, read one at a time and resized at once, so neither a full
clip nor an hour of patches is ever in memory.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from adaspark.video import preprocess
from adaspark.video.decode import upright_tensor
from adaspark.video.file import DEFAULT_LIMITS, Limits, damage_warning
from adaspark.video.images import Source, image_paths
from adaspark.video.preprocess import smart_resize
from adaspark.video.probe import Scan, VideoInfo, probe, scan
from adaspark.video.rgb import RgbPictures
from adaspark.video.sampling import Sampling as Sampling

__all__ = [
    "DEFAULT_LIMITS",
    "Clip",
    "FrameChunk",
    "Limits",
    "Sampling",
    "Source",
    "VideoInfo",
    "content_hash",
    "damage_warning",
    "patchify",
    "probe",
    "read_clip",
    "sample_times",
    "smart_resize",
    "stream_frames",
    "token_grid",
]

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class FrameChunk:
    """Consecutive sampled frames: uint8 [F, 3, H, W], the presentation time of each, and how many
    of them are damaged.
    """

    frames: Tensor
    times_secs: list[float]
    damaged: int = 0


@dataclass(frozen=True, eq=False)
class Clip:
    """What the model is shown of a video.

    `frames` uint8 [F, 3, H, W], resized; `times_secs` the true presentation time of each, as a
    player of the file counts it; `grid` (T, H, W) counts visual tokens after merging; `fps` is the
    sampled rate and `seconds_per_slice` the mean spacing of slices that M-RoPE is given;
    `warnings` are sentences for the user, such as of damage that was played over.
    """

    frames: Tensor
    times_secs: list[float]
    grid: tuple[int, int, int]
    seconds_per_slice: float
    info: VideoInfo
    fps: float
    warnings: tuple[str, ...] = ()


def sample_times(info: VideoInfo, sampling: Sampling) -> list[float]:
    """Return the times to show, spread evenly over the whole clip, in seconds from its start.

    Their number is that of transformers' processor: `fps` a second, at least `min_frames`, at most
    `max_frames`, no more than there are frames, and a multiple of `temporal_patch`. A clip with
    fewer frames than one slice, which the processor refuses, fills the slice by repetition.
    """
    step = sampling.temporal_patch
    ceiling = min(sampling.max_frames, info.frames) // step * step
    wanted = min(max(info.duration_secs * sampling.fps, sampling.min_frames), ceiling)
    # Durations are sums of rounded ticks: without the slack 10.0 s may count as 9.999 s.
    count = max(math.floor(wanted / step + 1e-6) * step, step)
    return [n * info.duration_secs / count for n in range(count)]


def token_grid(info: VideoInfo, sampling: Sampling) -> tuple[int, int, int]:
    """Return (T, H, W) visual tokens after merging, without decoding anything."""
    height, width = _frame_size(info, sampling)
    factor = sampling.factor
    slices = len(sample_times(info, sampling)) // sampling.temporal_patch
    return slices, height // factor, width // factor


def read_clip(
    path: Source,
    sampling: Sampling,
    *,
    limits: Limits = DEFAULT_LIMITS,
    on_progress: OnProgress | None = None,
) -> Clip:
    """Check, sample and resize a video; `on_progress(done, total)` counts frames.

    `path` is a file, or a folder, pattern or list of images, which come `sampling.fps` a second.
    Raises `UserError` for a file that cannot be used, and whatever `on_progress` raises.
    """
    scanned = scan(path, limits, fps=sampling.fps)
    info = scanned.info
    chunks = list(_frame_chunks(scanned, sampling, on_progress, chunk_frames=1))
    fps = len(chunks) / info.duration_secs
    damage = damage_warning(info.path, sum(chunk.damaged for chunk in chunks), len(chunks))
    return Clip(
        frames=torch.cat([chunk.frames for chunk in chunks]),
        times_secs=[time_secs for chunk in chunks for time_secs in chunk.times_secs],
        grid=token_grid(info, sampling),
        seconds_per_slice=sampling.temporal_patch / fps,
        info=info,
        fps=fps,
        warnings=info.warnings + damage,
    )


def stream_frames(
    path: Source,
    sampling: Sampling,
    *,
    slices_per_chunk: int = 8,
    limits: Limits = DEFAULT_LIMITS,
    on_progress: OnProgress | None = None,
) -> Iterator[FrameChunk]:
    """Yield the frames of `read_clip` in chunks of whole slices."""
    chunk_frames = slices_per_chunk * sampling.temporal_patch
    scanned = scan(path, limits, fps=sampling.fps)
    yield from _frame_chunks(scanned, sampling, on_progress, chunk_frames=chunk_frames)


def patchify(
    frames: Tensor, sampling: Sampling, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Turn frames [F, 3, H, W] (0 to 255) into float32 pixel values [T * h * w, C].

    C = 3 * temporal_patch * patch * patch. Equal to transformers' `Qwen2VLVideoProcessor`.
    """
    return preprocess.patchify(
        frames,
        mean=mean,
        std=std,
        patch=sampling.patch,
        merge=sampling.merge,
        temporal_patch=sampling.temporal_patch,
    )


def content_hash(source: Source) -> str:
    """Return the SHA-256, in hex, of a file's bytes, or of those of all images."""
    images = image_paths(source)
    if not images:
        assert isinstance(source, str | Path)
        return _hash(Path(source))
    each = "".join(_hash(path) for path in images)
    return hashlib.sha256(each.encode()).hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _frame_size(info: VideoInfo, sampling: Sampling) -> tuple[int, int]:
    return smart_resize(
        info.height,
        info.width,
        factor=sampling.factor,
        min_pixels=sampling.min_pixels,
        max_pixels=sampling.frame_max_pixels(len(sample_times(info, sampling))),
    )


def _frame_chunks(
    scanned: Scan, sampling: Sampling, on_progress: OnProgress | None, *, chunk_frames: int
) -> Iterator[FrameChunk]:
    frames: list[Tensor] = []
    times_secs: list[float] = []
    damaged = 0
    for frame, time_secs, is_whole in _resized_frames(scanned, sampling, on_progress):
        frames.append(frame)
        times_secs.append(time_secs)
        damaged += not is_whole
        if len(frames) == chunk_frames:
            yield FrameChunk(torch.cat(frames), times_secs, damaged)
            frames, times_secs, damaged = [], [], 0
    if frames:
        yield FrameChunk(torch.cat(frames), times_secs, damaged)


def _resized_frames(
    scanned: Scan, sampling: Sampling, on_progress: OnProgress | None
) -> Iterator[tuple[Tensor, float, bool]]:
    info, index = scanned.info, scanned.index
    wanted = [index.frame_from_time(t) for t in sample_times(info, sampling)]
    size = _frame_size(info, sampling)
    rgb = RgbPictures(scanned.colour, scanned.crop)
    shown = scanned.reader.frames(wanted)
    for done, (number, (frame, is_whole)) in enumerate(zip(wanted, shown, strict=True), start=1):
        upright = upright_tensor(rgb.picture(frame), scanned.turn)
        time_secs = info.start_secs + float(index.times_secs[number])
        yield preprocess.resize(upright, size), time_secs, is_whole
        if on_progress is not None:
            on_progress(done, len(wanted))
