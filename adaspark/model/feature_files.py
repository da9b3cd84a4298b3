"""A folder of vision features of long videos: a killed run goes on from what it has written."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

from adaspark import __version__
from adaspark.model.feature_rows import PROGRESS, Spilled

if sys.platform != "win32":
    import fcntl

MAX_BYTES = 4 * 2**30
SPILLED_BYTES = {"cpu": 2**24, "cuda": 2**30}
"""Features of more bytes than this go to the disk; fewer are made again as quickly."""
_LOCK = "lock"


def default_folder() -> Path | None:
    """Where the command line keeps features: $ADASPARK_FEATURES, nowhere if that is empty, or the
    user's own cache.
    """
    given = os.environ.get("ADASPARK_FEATURES")
    if given is not None:
        return Path(given) if given else None
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "adaspark" / "features"


class FeatureFiles:
    """The features that a model's tower has made, in a folder (None: nowhere).

    The longest unused entries go where all take more than `max_bytes`.
    """

    def __init__(self, folder: Path | None, model: Any, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._model, self._max_bytes = folder, model, max_bytes
        self._open: list[Spilled] = []

    def entry(self, *depends_on: Any, tokens: int) -> Spilled | None:
        """Where features of so many video tokens are, or go; all that they depend on names them.

        None where memory holds them: they are small, the disk has no room or refuses, or another
        process is at it.
        """
        size = self._bytes_of(tokens)
        if self._folder is None or size <= SPILLED_BYTES.get(self._model.device.type, 2**24):
            return None
        name = hashlib.sha256(repr((__version__, self._tower, *depends_on)).encode()).hexdigest()[
            :32
        ]
        folder = self._folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(size, folder)
            if shutil.disk_usage(folder).free < 2 * size or (lock := _locked(folder)) is None:
                return None
            found = Spilled(folder, lock)
        except OSError:
            return None
        self._open.append(found)
        return found

    @contextmanager
    def request(self, gone: Event) -> Iterator[None]:
        """What a request writes inside the block stays, unless the request fails or its asker is
        `gone`. (What a killed process has written stays, too.)
        """
        try:
            yield
        except BaseException:
            self._close(discard=True)
            raise
        self._close(discard=gone.is_set())

    def _close(self, *, discard: bool) -> None:
        for entry in self._open:
            if discard and entry.is_of_this_run:
                shutil.rmtree(entry.folder, ignore_errors=True)
                with suppress(OSError):  # others may be there
                    entry.folder.parent.rmdir()
            entry.close()
        self._open.clear()

    def _make_room(self, size_bytes: int, mine: Path) -> None:
        """Remove entries until so many bytes more fit; not those that are open somewhere."""
        assert self._folder is not None
        entries = sorted((_used(path), path) for path in self._folder.glob("*/") if path != mine)
        held = size_bytes + sum(_held(path) for _, path in entries)
        for _, path in entries:
            if held <= self._max_bytes:
                return
            if (lock := _locked(path)) is not None:
                held -= _held(path)
                shutil.rmtree(path, ignore_errors=True)
                lock.close()

    def _bytes_of(self, tokens: int) -> int:
        config = self._model.config
        added = getattr(config.vision_config, "deepstack_visual_indexes", None) or ()
        width, itemsize = config.text_config.hidden_size, self._model.dtype.itemsize
        return int(tokens * width * itemsize * (1 + len(added)))

    @cached_property
    def _tower(self) -> str:
        """What tells this vision tower from others: names, shapes, and a sample of each weight."""
        found = hashlib.sha256()
        for name, weight in self._model.model.visual.state_dict().items():
            found.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
            flat = weight.detach().flatten()
            sample = flat[:: max(1, flat.numel() // 1024)].float().cpu()
            found.update(sample.numpy().tobytes())
        return found.hexdigest()


def _locked(folder: Path) -> BinaryIO | None:
    """The entry's lock, which ends with this process; None where another one has it."""
    if sys.platform == "win32":
        return None
    lock = (folder / _LOCK).open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def _used(path: Path) -> float:
    with suppress(OSError):
        return (path / PROGRESS).stat().st_mtime
    return 0.0


def _held(path: Path) -> int:
    return sum(file.stat().st_size for file in path.glob("*") if file.is_file())
