"""A store that never grows past its bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

from cachetools import LRUCache

Item = TypeVar("Item")


class _Entry(NamedTuple):
    item: Any
    size: int


class _Entries(LRUCache[Hashable, _Entry]):
    """By key; what no longer fits is moved to `dropped`."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, getsizeof=lambda entry: entry.size)
        self.dropped: list[Any] = []

    def popitem(self) -> tuple[Hashable, _Entry]:
        """Called by the cache for the least recently used entry, which has to go."""
        key, entry = super().popitem()
        self.dropped.append(entry.item)
        return key, entry


class ByteStore(Generic[Item]):
    """The newest items that fit in `limit_bytes`, least recently used first to go; thread-safe.

    The newest item is always kept, even where it alone passes the limit. `on_drop` is told of each
    item that had to go, not of one that another took the place of.
    """

    def __init__(self, limit_bytes: int, *, on_drop: Callable[[Item], None] | None = None) -> None:
        self._limit = max(limit_bytes, 1)
        self._entries = _Entries(self._limit)
        self._on_drop = on_drop
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Bytes of all items; one that alone passes the limit counts as the limit."""
        return int(self._entries.currsize)

    def put(self, key: Hashable, item: Item, size_bytes: int) -> None:
        """Keep `item` under `key`, dropping the longest unused ones that no longer fit."""
        size = min(max(size_bytes, 1), self._limit)
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = _Entry(item, size)
            dropped, self._entries.dropped = self._entries.dropped, []
        if self._on_drop:
            for old in dropped:
                self._on_drop(old)

    def drop(self, key: Hashable) -> None:
        """Let an item go, if there is one."""
        with self._lock:
            entry = self._entries.pop(key, None)
        if entry is not None and self._on_drop:
            self._on_drop(entry.item)

    def clear(self) -> None:
        """Forget all items."""
        with self._lock:
            self._entries.clear()

    def get(self, key: Hashable) -> Item | None:
        """The item, now the most recently used one, or None."""
        with self._lock:
            entry = self._entries.get(key)
        return None if entry is None else entry.item
