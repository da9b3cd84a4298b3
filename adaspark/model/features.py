"""Vision features of a video, encoded slice by slice and cached by content."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from cachetools import LRUCache
from torch import Tensor

from adaspark.method.config import Grid
from adaspark.model import vision
from adaspark.model.byte_store import ByteStore
from adaspark.model.checkpoint import Checkpoint
from adaspark.model.feature_rows import Held, Spilled
from adaspark.model.freed_memory import give_back
from adaspark.model.streaming import ahead
from adaspark.video.clip import (
    DEFAULT_LIMITS,
    FrameChunk,
    Limits,
    Opener,
    Sampling,
    damage_warning,
    patchify,
    stream_frames,
)
from adaspark.video.content import content_hash
from adaspark.video.probe import scan

CACHE_BYTES = 2**30
MOST_HASHES = 4096
Report = Callable[[str, int, int], None]
Key = tuple[str, Sampling]


@dataclass(frozen=True, eq=False)
class Features:
    """What the language model is shown: embeddings [V, h] of a (T, H, W) grid.

    `times_secs` has the presentation time of each sampled frame. Where tokens were pruned, `kept`
    int64 [V] says which of the grid are left, ascending, on the host; None: all. `warnings` are
    sentences for the user. `deepstack` [V, h] each are what a tower adds after the first layers.
    """

    embeddings: Tensor
    grid: Grid
    times_secs: list[float]
    kept: Tensor | None = None
    warnings: tuple[str, ...] = ()
    deepstack: tuple[Tensor, ...] = ()

    @property
    def slice_times(self) -> list[float]:
        """The time of each slice in seconds: the mean of its first and last frame's."""
        frames = len(self.times_secs) // self.grid[0]
        pairs = zip(self.times_secs[::frames], self.times_secs[frames - 1 :: frames], strict=True)
        return [(first + last) / 2 for first, last in pairs]

    @property
    def nbytes(self) -> int:
        """Of all tensors."""
        return self.embeddings.nbytes + sum(level.nbytes for level in self.deepstack)

    @property
    def bare(self) -> Features:
        """What remains to be said of them where a model has read them: no embeddings."""
        return replace(self, embeddings=self.embeddings.new_zeros(0, 0), deepstack=())

    @property
    def shown_grid(self) -> Grid:
        """The grid that the language model is told: what pruning leaves is a row of tokens."""
        return self.grid if self.kept is None else (1, 1, len(self.kept))


def strongest(features: Features, count: int) -> Features:
    """The `count` tokens of largest norm alone, in order: what token pruning leaves for good."""
    norms = features.embeddings.float().norm(dim=-1)
    kept = norms.topk(count).indices.sort().values
    levels = tuple(level[kept] for level in features.deepstack)
    return replace(
        features, embeddings=features.embeddings[kept], deepstack=levels, kept=kept.cpu()
    )


class FeatureCache:
    """The most recently used features, up to a number of bytes in all."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._store: ByteStore[Features] = ByteStore(max_bytes)
        self._hashes: LRUCache[tuple[tuple[str, int, int], ...], str] = LRUCache(MOST_HASHES)

    def key(self, source: Path | tuple[Path, ...], sampling: Sampling) -> Key:
        """Content and sampling; an unchanged file, or list of images, is hashed once."""
        stats = [(path, path.stat()) for path in _files(source)]
        seen = tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats)
        found = self._hashes.get(seen)
        if found is None:
            found = self._hashes[seen] = content_hash(source)
        return found, sampling

    def get(self, key: Key) -> Features | None:
        """The features, now the most recently used."""
        return self._store.get(key)

    def put(self, key: Key, features: Features) -> None:
        """Keep these, and drop the oldest past the limit (never these)."""
        self._store.put(key, features, features.nbytes)

    def clear(self) -> None:
        """Forget all features."""
        self._store.clear()


def _files(source: Path | tuple[Path, ...]) -> tuple[Path, ...]:
    return (source,) if isinstance(source, Path) else source


@torch.inference_mode()
def encode(
    checkpoint: Checkpoint,
    source: Path | tuple[Path, ...],
    grid: Grid,
    sampling: Sampling,
    report: Report,
    *,
    limits: Limits = DEFAULT_LIMITS,
    open_video: Opener = scan,
    into: Held | Spilled | None = None,
) -> tuple[Features, dict[str, float]]:
    """Decode and encode in chunks of slices: neither frames nor patches of a whole clip are held.

    The tower attends within a slice only, so chunks change nothing. A thread decodes ahead of it,
    from the video that `open_video` opens. Features are put `into` memory or what else is given,
    after those that it has.
    `grid` is (T, H, W) in merged tokens. Returns the features and the seconds of `decode`, spent
    waiting for frames, and of `vision`, all others.
    """
    visual, device = checkpoint.model.model.visual, checkpoint.device
    into = into or Held()
    chunks = stream_frames(
        source,
        sampling,
        slices_per_chunk=vision.slices_at_once(grid, sampling.merge, device),
        first_frame=len(into.times_secs),
        limits=limits,
        open_video=open_video,
        on_progress=lambda done, total: report("decode", done, total),
    )
    start = time.perf_counter()
    waited = 0.0
    asked = start
    for chunk in ahead(_pinned(chunks, device)):
        waited += time.perf_counter() - asked
        shown = chunk.frames.to(device, non_blocking=True)
        pixels = patchify(shown, sampling, checkpoint.mean, checkpoint.std).to(visual.dtype)
        slices = len(chunk.times_secs) // sampling.temporal_patch
        levels = vision.encode(visual, pixels, (slices, *grid[1:]))
        into.add(levels, chunk.times_secs, chunk.damaged)
        report("vision", len(into.times_secs), grid[0] * sampling.temporal_patch)
        asked = time.perf_counter()
    give_back()
    embeddings, *others = into.levels()
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # for the seconds to be true
    seconds = {"decode": waited, "vision": time.perf_counter() - start - waited}
    times = list(into.times_secs)
    warnings = damage_warning(_files(source)[0], into.damaged, len(times))
    found = Features(embeddings, grid, times, warnings=warnings, deepstack=tuple(others))
    return found, seconds


def _pinned(chunks: Iterable[FrameChunk], device: torch.device) -> Iterator[FrameChunk]:
    """The chunks, where a GPU is to have them in memory that it copies from by itself."""
    for chunk in chunks:
        if device.type == "cuda":
            chunk = replace(chunk, frames=chunk.frames.pin_memory())
        yield chunk
