"""Vision features as they are made, in memory or on disk.

On disk they are a folder: rows of numbers in a file a level, and what is known of the slices so far
in `progress.json`, which is replaced whole after each chunk: what was written after it does not
count.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from adaspark.files import write_whole

PROGRESS = "progress.json"


@dataclass(eq=False)
class Held:
    """Features in memory, chunk by chunk: `times_secs` of the frames, how many were `damaged`."""

    times_secs: list[float] = field(default_factory=list)
    damaged: int = 0
    _parts: list[tuple[Tensor, ...]] = field(default_factory=list)

    def add(self, levels: tuple[Tensor, ...], times_secs: Sequence[float], damaged: int) -> None:
        """The next slices: embeddings [v, h], and each level that a tower adds."""
        self._parts.append(levels)
        self.times_secs.extend(times_secs)
        self.damaged += damaged

    def levels(self) -> tuple[Tensor, ...]:
        """All of each level, [V, h]."""
        return tuple(torch.cat(level) for level in zip(*self._parts, strict=True))


@dataclass
class _Progress:
    """What an entry holds: `rows` of each level, `width` and `dtype` of theirs."""

    levels: int = 0
    rows: int = 0
    width: int = 0
    dtype: str = ""
    times_secs: list[float] = field(default_factory=list)
    damaged: int = 0

    @property
    def level_bytes(self) -> int:
        """Bytes of one level."""
        itemsize = getattr(torch, self.dtype).itemsize if self.dtype else 0
        return int(self.rows * self.width * itemsize)


class Spilled:
    """The same on disk: an entry that this process alone has open. Methods may raise OSError."""

    def __init__(self, folder: Path, lock: BinaryIO) -> None:
        self.folder, self._lock = folder, lock
        self._progress = _read(folder / PROGRESS)
        if any(size < self._progress.level_bytes for size in self._sizes()):  # a disk lost some
            self._progress = _Progress()
        self._began_with = len(self.times_secs)
        for draft in folder.glob("*.part"):  # of a process that was killed
            draft.unlink()

    @property
    def times_secs(self) -> list[float]:
        """Of the frames whose features are here."""
        return self._progress.times_secs

    @property
    def damaged(self) -> int:
        """How many of these frames are damaged."""
        return self._progress.damaged

    def add(self, levels: tuple[Tensor, ...], times_secs: Sequence[float], damaged: int) -> None:
        """The next slices, as `Held.add`."""
        done = self._progress
        for number, rows in enumerate(levels):
            with self._level(number).open("r+b" if done.rows else "wb") as file:
                file.truncate(done.level_bytes)
                file.seek(0, os.SEEK_END)
                file.write(rows.cpu().contiguous().view(torch.uint8).numpy().data)
        self._progress = _Progress(
            len(levels),
            done.rows + len(levels[0]),
            levels[0].shape[1],
            str(levels[0].dtype).removeprefix("torch."),
            [*done.times_secs, *times_secs],
            done.damaged + damaged,
        )
        text = json.dumps(asdict(self._progress))
        write_whole(self.folder / PROGRESS, lambda draft: draft.write_text(text, "utf-8"))

    def levels(self) -> tuple[Tensor, ...]:
        """All of each level, [V, h], mapped from its file: pages come as they are read."""
        done = self._progress
        (self.folder / PROGRESS).touch()  # the most recently used
        shape, dtype = (done.rows, done.width), getattr(torch, done.dtype)
        return tuple(
            torch.from_file(
                str(self._level(number)), shared=False, size=done.rows * done.width, dtype=dtype
            ).view(shape)
            for number in range(done.levels)
        )

    @property
    def is_of_this_run(self) -> bool:
        """Whether this process has begun it, or added to it."""
        return not self._began_with or len(self.times_secs) > self._began_with

    def close(self) -> None:
        """Let other processes have it."""
        self._lock.close()

    def _level(self, number: int) -> Path:
        return self.folder / f"level-{number}.bin"

    def _sizes(self) -> list[int]:
        paths = map(self._level, range(self._progress.levels))
        return [path.stat().st_size if path.is_file() else 0 for path in paths]


def _read(path: Path) -> _Progress:
    """What an entry holds; nothing, if it is new or a disk has damaged it."""
    try:
        return _Progress(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return _Progress()
