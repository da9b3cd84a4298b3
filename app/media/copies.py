"""Other copies of an upload than the proxy: one that is still being written, and a safe one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from adaspark.errors import UserError
from app.media import uploads
from app.media.disk_store import ProxyStore
from app.media.reader.uploads import UploadReader

GONE = "The uploaded video is no longer on the server; upload it again."
NO_OTHER_COPY = "There is no other copy of this video; another browser may play it."


class Copies:
    """Finds the copy that a browser asks for. `url_from_path` gives a file's address."""

    def __init__(
        self,
        proxies: ProxyStore,
        url_from_path: Callable[[Path], str],
        reader: UploadReader,
    ) -> None:
        self._proxies = proxies
        self._reader = reader
        self._url_from_path = url_from_path
        self._encoding = threading.Lock()  # one at a time: each uses all cores

    def safe(self, url: str) -> str:
        """The address of another copy of an uploaded video, encoded anew and kept.

        `url` is where the browser found the one that it cannot show. Raises UserError if there
        is none: for a sample clip, a dropped file, or one that was encoded already.
        """
        proxy = self.proxy(url)
        with self._encoding:
            safe = self._reader.safe_copy(proxy)
        self._proxies.keep(safe)
        return self._url_from_path(safe)

    def proxy(self, url: str) -> Path:
        """The copy of an upload at an address. Raises UserError if there is none."""
        proxy = self._proxies.folder / unquote(url).rpartition("/")[2]
        if url != self._url_from_path(proxy):
            raise UserError(NO_OTHER_COPY)
        if not self._proxies.touch(proxy):
            raise UserError(GONE)
        return proxy

    def growing(self, name: str) -> Path | None:
        """The file of a preview by its name, the proxy when that is whole; None for any other."""
        path = self._proxies.folder / Path(name).name
        if path.suffix != uploads.GROWING:
            return None
        return next((file for file in (path, uploads.finished(path)) if file.exists()), None)
