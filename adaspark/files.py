"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A draft beside `path` to write to; it becomes `path` when the block ends, and is removed if
    the block raises. No two threads or processes share a draft; its suffix is that of `path`.
    """
    draft = path.with_name(f".{os.getpid()}-{threading.get_ident()}-{path.name}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
