"""Files in a folder of bounded size: proxies of uploads, and exports."""

from __future__ import annotations

from pathlib import Path

from adaspark.model.byte_store import ByteStore


class ProxyStore:
    """The files in one folder; the longest unused ones are removed when they pass the limit."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._store: ByteStore[Path] = ByteStore(limit_bytes, on_drop=_remove)

    def keep(self, proxy: Path) -> None:
        """Keep a file of the folder; the longest unused ones are removed if it does not fit."""
        self._store.put(proxy.name, proxy, proxy.stat().st_size)

    def drop(self, path: Path) -> None:
        """Remove a file."""
        self._store.drop(path.name)

    def touch(self, path: Path) -> bool:
        """Mark a file as in use; False if it is no longer there."""
        return self._store.get(path.name) is not None and path.exists()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
