"""The server's own folder on disk: made at the start, bounded while it runs, removed at the end."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path

from filelock import FileLock, Timeout
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adaspark.errors import UserError

PREFIX, LOCK = "adaspark-", "in-use.lock"
FULL = (
    "This server's disk is full, so it takes no video now; try again in a while, or choose one of "
    "the sample clips."
)
ARRIVING: ContextVar[list[Path] | None] = ContextVar("arriving", default=None)
"""The files that are written for the upload under way."""
_SPARE_BYTES = 64 * 2**20  # what results and exports still need
_LOOK_AGAIN_SECS = 1.0


class OwnFolder:
    """A new folder in `parent` (None: the system's temporary one) that ends with the server.

    Folders of servers that were killed are removed first: nobody holds their lock. Raises
    UserError if nothing can be written there.
    """

    def __init__(self, parent: Path | None) -> None:
        try:
            if parent is not None:
                parent.mkdir(parents=True, exist_ok=True)
            _remove_dead(parent or Path(tempfile.gettempdir()))
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            self._lock = FileLock(self.path / LOCK)
            self._lock.acquire()
        except OSError as error:
            where = parent or tempfile.gettempdir()
            raise UserError(
                f"{where} cannot be written to; name a folder that can by ADASPARK_CACHE_DIR."
            ) from error

    def remove(self) -> None:
        """Remove it and all in it."""
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def _remove_dead(parent: Path) -> None:
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError, Timeout), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent, ignore_errors=True)


class Disk:
    """How much of `folder` is in use, of `limit_bytes` at most. Thread-safe."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._used = 0

    @property
    def used_bytes(self) -> int:
        """Bytes of all files in the folder, at most a second old."""
        with self._lock:
            if time.monotonic() - self._looked > _LOOK_AGAIN_SECS:
                self._used = sum(size for _, size, _ in _files(self.folder))
                self._looked = time.monotonic()
            return self._used

    def takes(self, more_bytes: int) -> bool:
        """Whether so much more fits under the limit and on the disk."""
        free = shutil.disk_usage(self.folder).free
        return self.used_bytes + more_bytes <= self.limit_bytes and more_bytes + _SPARE_BYTES < free

    def remove_older(self, secs: float, folders: Iterable[Path]) -> None:
        """Remove the files in `folders` that were neither written nor read for so long."""
        before = time.time() - secs
        for folder in folders:
            for path, _, used in list(_files(folder)):
                if used < before:
                    path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """Each file with its bytes and when it was last used, in seconds since the epoch."""
    for where, _, names in os.walk(folder):  # passes by a folder that is gone, as glob does not
        for name in names:
            with suppress(OSError):  # removed in the meantime
                path = Path(where, name)
                facts = path.stat()
                if path.is_file() and name != LOCK:
                    yield path, facts.st_size, max(facts.st_atime, facts.st_mtime)


def remove_copies(uploads: Path, key: str) -> None:
    """Remove what was handed to a program among `uploads`: files whose names begin with `key`."""
    for path, _, _ in list(_files(uploads)):
        if path.name.startswith(key):
            path.unlink(missing_ok=True)


class UploadQuota:
    """ASGI middleware: refuses an upload that the disk does not take, before its bytes come, and
    removes what is left of one that breaks off.
    """

    def __init__(self, app: ASGIApp, disk: Disk) -> None:
        self._app, self._disk = app, disk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand everything else on."""
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        if not is_post or not scope["path"].endswith("/upload"):
            return await self._app(scope, receive, send)
        if not self._disk.takes(_length(scope)):
            return await PlainTextResponse(FULL, 507)(scope, receive, send)
        scope = {**scope, "query_string": b""}  # else its progress is kept for who never asks
        arriving: list[Path] = []
        before = ARRIVING.set(arriving)
        try:
            await self._app(scope, receive if _length(scope) else self._bounded(receive), send)
        finally:
            ARRIVING.reset(before)
            for path in arriving:  # what has arrived has another name by now
                path.unlink(missing_ok=True)

    def _bounded(self, receive: Receive) -> Receive:
        """Receives an upload of unknown length for as long as the disk takes it."""

        async def receive_bounded() -> Message:
            if not self._disk.takes(0):
                raise OSError(errno.ENOSPC, "an upload of unknown length")
            return await receive()

        return receive_bounded


def _length(scope: Scope) -> int:
    given = dict(scope["headers"]).get(b"content-length", b"")
    return int(given) if given.isdigit() and len(given) < 20 else 0
