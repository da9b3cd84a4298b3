"""Vision features of a video, encoded slice by slice and cached by content."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from cachetools import LRUCache
from torch import Tensor

from adaspark.bytestore import ByteStore
from adaspark.checkpoint import Checkpoint
from adaspark.layout import Grid
from adaspark.video import Sampling, content_hash, stream_patches

CACHE_BYTES = 2**30
MOST_HASHES = 4096
Report = Callable[[str, int, int], None]
Key = tuple[str, Sampling]


@dataclass(frozen=True, eq=False)
class Features:
    """What the language model is shown: embeddings [V, h] of a (T, H, W) grid.

    `times_secs` has the presentation time of each sampled frame. Where tokens were pruned, `kept`
    int64 [V] says which of the grid are left, ascending, on the host; None: all.
    """

    embeddings: Tensor
    grid: Grid
    times_secs: list[float]
    kept: Tensor | None = None

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
        self._hashes: LRUCache[tuple[str, int, int], str] = LRUCache(MOST_HASHES)

    def key(self, path: Path, sampling: Sampling) -> Key:
        """Content and sampling; an unchanged file is hashed once."""
        stat = path.stat()
        seen = (str(path), stat.st_size, stat.st_mtime_ns)
        found = self._hashes.get(seen)
        if found is None:
            found = self._hashes[seen] = content_hash(path)
        return found, sampling

    def get(self, key: Key) -> Features | None:
        """The features, now the most recently used."""
        return self._store.get(key)

    def put(self, key: Key, features: Features) -> None:
        """Keep these, and drop the oldest past the limit (never these)."""
        self._store.put(key, features, features.embeddings.nbytes)


@torch.inference_mode()
def encode(
    checkpoint: Checkpoint, path: Path, grid: Grid, sampling: Sampling, report: Report
) -> tuple[Features, dict[str, float]]:
    """Decode and encode in chunks of slices: neither frames nor patches of a whole clip are held.

    The tower attends within a slice only, so chunks change nothing. `grid` is (T, H, W) in merged
    tokens. Returns the features and the seconds of `decode` and `vision`.
    """
    visual = checkpoint.model.model.visual
    rows, columns = grid[1] * sampling.merge, grid[2] * sampling.merge
    parts: list[Tensor] = []
    times: list[float] = []
    seconds = {"decode": 0.0, "vision": 0.0}
    last = time.perf_counter()
    chunks = stream_patches(
        path,
        sampling,
        checkpoint.mean,
        checkpoint.std,
        on_progress=lambda done, total: report("decode", done, total),
    )
    for chunk in chunks:
        start = time.perf_counter()
        slices = len(chunk.times_secs) // sampling.temporal_patch
        shape = torch.tensor([[slices, rows, columns]], device=checkpoint.device)
        pixels = chunk.pixel_values.to(checkpoint.device, visual.dtype)
        parts.append(visual(pixels, grid_thw=shape).pooler_output)
        times += chunk.times_secs
        report("vision", len(times), grid[0] * sampling.temporal_patch)
        end = time.perf_counter()
        seconds["decode"] += start - last
        seconds["vision"] += end - start
        last = end
    return Features(torch.cat(parts), grid, times), seconds
