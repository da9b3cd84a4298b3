"""What the page keeps for its visitors: a store that never grows past its bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ByteStore(Generic[Item]):
    """The newest items that fit in `limit_bytes`, least recently used first to go; thread-safe.

    The newest item is always kept, even where it alone passes the limit.
    """

    def __init__(self, limit_bytes: int, *, on_drop: Callable[[Item], None] | None = None) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._on_drop = on_drop
        self._items: OrderedDict[str, tuple[Item, int]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, key: str, item: Item, size_bytes: int) -> None:
        """Keep `item` under `key`, dropping the longest unused ones that no longer fit."""
        with self._lock:
            self._forget(key)
            self._items[key] = (item, size_bytes)
            self.held_bytes += size_bytes
            dropped = []
            while self.held_bytes > self.limit_bytes and len(self._items) > 1:
                dropped.append(self._forget(next(iter(self._items))))
        for old in dropped:
            if self._on_drop and old is not None:
                self._on_drop(old)

    def get(self, key: str) -> Item | None:
        """The item, now the most recently used one, or None."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][0]

    def _forget(self, key: str) -> Item | None:
        item, size_bytes = self._items.pop(key, (None, 0))
        self.held_bytes -= size_bytes
        return item


class Footage:
    """Uploaded videos as the player and the sampler read them, in one folder of bounded size."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._store: ByteStore[Path] = ByteStore(limit_bytes, on_drop=_remove)

    def keep(self, proxy: Path) -> None:
        """Count a file of the folder in; the longest unused ones go where it no longer fits."""
        self._store.put(proxy.name, proxy, proxy.stat().st_size)

    def touch(self, path: Path) -> bool:
        """Mark a file as in use; False where it is no longer there."""
        return self._store.get(path.name) is not None and path.exists()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
