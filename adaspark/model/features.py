"""Vision features of a video, encoded slice by slice and cached by content."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from cachetools import LRUCache
from torch import Tensor

from adaspark.method.layout import Grid
from adaspark.model import vision
from adaspark.model.byte_store import ByteStore
from adaspark.model.checkpoint import Checkpoint
from adaspark.model.streaming import ahead
from adaspark.video.clip import (
    DEFAULT_LIMITS,
    FrameChunk,
    Limits,
    Sampling,
    content_hash,
    damage_warning,
    patchify,
    stream_frames,
)

CACHE_BYTES = 2**30
MOST_HASHES = 4096
Report = Callable[[str, int, int], None]
Key = tuple[str, Sampling]


@dataclass(frozen=True, eq=False)
class Features:
    """What the language model is shown: embeddings [V, h] of a (T, H, W) grid.

    `times_secs` has the presentation time of each sampled frame. Where tokens were pruned, `kept`
    int64 [V] says which of the grid are left, ascending, on the host; None: all. `warnings` are
    sentences for the user.
    """

    embeddings: Tensor
    grid: Grid
    times_secs: list[float]
    kept: Tensor | None = None
    warnings: tuple[str, ...] = ()

    @property
    def shown_grid(self) -> Grid:
        """The grid that the language model is told: what pruning leaves is a row of tokens."""
        return self.grid if self.kept is None else (1, 1, len(self.kept))


def strongest(features: Features, count: int) -> Features:
    """The `count` tokens of largest norm alone, in order: what token pruning leaves for good."""
    norms = features.embeddings.float().norm(dim=-1)
    kept = norms.topk(count).indices.sort().values
    return replace(features, embeddings=features.embeddings[kept], kept=kept.cpu())


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
        self._store.put(key, features, features.embeddings.nbytes)


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
) -> tuple[Features, dict[str, float]]:
    """Decode and encode in chunks of slices: neither frames nor patches of a whole clip are held.

    The tower attends within a slice only, so chunks change nothing. A thread decodes ahead of it.
    `grid` is (T, H, W) in merged tokens. Returns the features and the seconds of `decode`, spent
    waiting for frames, and of `vision`, all others.
    """
    visual, device = checkpoint.model.model.visual, checkpoint.device
    parts: list[Tensor] = []
    times: list[float] = []
    chunks = stream_frames(
        source,
        sampling,
        slices_per_chunk=vision.slices_at_once(grid, sampling.merge, device),
        limits=limits,
        on_progress=lambda done, total: report("decode", done, total),
    )
    start = time.perf_counter()
    waited = 0.0
    asked = start
    damaged = 0
    for chunk in ahead(_pinned(chunks, device)):
        waited += time.perf_counter() - asked
        shown = chunk.frames.to(device, non_blocking=True)
        pixels = patchify(shown, sampling, checkpoint.mean, checkpoint.std).to(visual.dtype)
        slices = len(chunk.times_secs) // sampling.temporal_patch
        parts.append(vision.encode(visual, pixels, (slices, *grid[1:])))
        times += chunk.times_secs
        damaged += chunk.damaged
        report("vision", len(times), grid[0] * sampling.temporal_patch)
        asked = time.perf_counter()
    embeddings = torch.cat(parts)
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # for the seconds to be true
    seconds = {"decode": waited, "vision": time.perf_counter() - start - waited}
    warnings = damage_warning(_files(source)[0], damaged, len(times))
    return Features(embeddings, grid, times, warnings=warnings), seconds


def _pinned(chunks: Iterable[FrameChunk], device: torch.device) -> Iterator[FrameChunk]:
    """The chunks, where a GPU is to have them in memory that it copies from by itself."""
    for chunk in chunks:
        if device.type == "cuda":
            chunk = replace(chunk, frames=chunk.frames.pin_memory())
        yield chunk
