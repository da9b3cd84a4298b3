"""A video file to what the model is shown: sampled, resized frames and their patches.

Frames are chosen by presentation time, read one at a time and resized at once, so neither a full
clip nor an hour of patches is ever in memory.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from adaspark.video import preprocess
from adaspark.video.content import content_hash
from adaspark.video.file import damage_warning
from adaspark.video.images import Source
from adaspark.video.limits import DEFAULT_LIMITS, Limits
from adaspark.video.parts import in_parts, part_length, readers_here
from adaspark.video.preprocess import smart_resize
from adaspark.video.probe import VideoInfo, probe, scan
from adaspark.video.rgb import SampledPicture
from adaspark.video.sampling import Sampling as Sampling

__all__ = [
    "DEFAULT_LIMITS",
    "Clip",
    "FrameChunk",
    "Limits",
    "OpenedVideo",
    "Opener",
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


class OpenedVideo(Protocol):
    """A checked video; a `Scan` is one that this process reads."""

    @property
    def info(self) -> VideoInfo:
        """What it is."""

    def pictures(self, times_secs: Sequence[float]) -> Iterator[SampledPicture]:
        """Yield what is shown at these times, in seconds from its start, which never fall."""


class Opener(Protocol):
    """Checks and opens a video; `scan` does it in this process."""

    def __call__(
        self, source: Source, limits: Limits = ..., *, fps: float | None = None
    ) -> OpenedVideo:
        """Raises `UserError`, one sentence, for everything that cannot be used."""


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

    Those that go `to_end` reach from the first frame to the last one. Their number is that of
    transformers' processor: `fps` a second, at least `min_frames`, at most `max_frames`, no more
    than there are frames, and a multiple of `temporal_patch`. A clip with fewer frames than one
    slice, which the processor refuses, fills the slice by repetition.
    """
    step = sampling.temporal_patch
    ceiling = min(sampling.max_frames, info.frames) // step * step
    requested = min(max(info.duration_secs * sampling.fps, sampling.min_frames), ceiling)
    # Durations are sums of rounded ticks: without the slack 10.0 s may count as 9.999 s.
    count = max(math.floor(requested / step + 1e-6) * step, step)
    if sampling.to_end:
        return _times_to_end(info, count)
    return [n * info.duration_secs / count for n in range(count)]


def _times_to_end(info: VideoInfo, count: int) -> list[float]:
    """As Qwen3-VL's processor: even steps, each rounded to a whole frame, the last one included."""
    a_frame = info.duration_secs / info.frames
    numbers = [round(n * (info.frames - 1) / (count - 1)) for n in range(count)]
    return [(number + 0.25) * a_frame for number in numbers]  # while that frame is shown


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
    opened = scan(path, limits, fps=sampling.fps)
    info = opened.info
    chunks = list(_in_chunks(_resized_frames(opened, sampling, on_progress), 1))
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
    first_frame: int = 0,
    limits: Limits = DEFAULT_LIMITS,
    on_progress: OnProgress | None = None,
    open_video: Opener = scan,
) -> Iterator[FrameChunk]:
    """Yield the frames of `read_clip` from `first_frame` on in chunks of whole slices, decoded
    where `open_video` does it: in this process, unless another opener is given.
    """
    chunk_frames = slices_per_chunk * sampling.temporal_patch
    opened = open_video(path, limits, fps=sampling.fps)
    frames = _resized_frames(opened, sampling, on_progress, first_frame)
    yield from _in_chunks(frames, chunk_frames)


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


def _frame_size(info: VideoInfo, sampling: Sampling) -> tuple[int, int]:
    frames = len(sample_times(info, sampling))
    return smart_resize(
        info.height,
        info.width,
        factor=sampling.factor,
        min_pixels=sampling.frame_min_pixels(frames),
        max_pixels=sampling.frame_max_pixels(frames),
    )


def _in_chunks(
    resized: Iterator[tuple[Tensor, float, bool]], chunk_frames: int
) -> Iterator[FrameChunk]:
    frames: list[Tensor] = []
    times_secs: list[float] = []
    damaged = 0
    for frame, time_secs, is_whole in resized:
        frames.append(frame)
        times_secs.append(time_secs)
        damaged += not is_whole
        if len(frames) == chunk_frames:
            yield FrameChunk(torch.cat(frames), times_secs, damaged)
            frames, times_secs, damaged = [], [], 0
    if frames:
        yield FrameChunk(torch.cat(frames), times_secs, damaged)


def _resized_frames(
    opened: OpenedVideo, sampling: Sampling, on_progress: OnProgress | None, first: int = 0
) -> Iterator[tuple[Tensor, float, bool]]:
    times = sample_times(opened.info, sampling)
    height, width = size = _frame_size(opened.info, sampling)

    def read(times_secs: Sequence[float]) -> Iterator[tuple[Tensor, float, bool]]:
        for picture in opened.pictures(times_secs):
            frame = torch.from_numpy(picture.rgb).permute(2, 0, 1).unsqueeze(0)
            yield preprocess.resize(frame, size), picture.time_secs, picture.is_whole

    apart = opened.info.frames / len(times)
    readers = readers_here(apart) if opened.info.decoder == "pyav" else 1
    length = part_length(len(times) - first, 3 * height * width, readers, apart)
    shown = in_parts(read, times[first:], length=length, readers=readers)
    for done, item in enumerate(shown, start=first + 1):
        yield item
        if on_progress is not None:
            on_progress(done, len(times))
