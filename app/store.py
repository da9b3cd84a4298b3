"""The videos that the page keeps for its visitors."""

from __future__ import annotations

from pathlib import Path

from adaspark.bytestore import ByteStore


class ProxyStore:
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
