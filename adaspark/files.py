"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_whole(target: str | Path, write: Callable[[Path], object]) -> None:
    """Have `write` make a file beside `target`, then put it in its place.

    Where `write` fails, nothing is left and what was there stays. A pipe or device is written to as
    it is. Raises what `write` raises, and OSError with the target's name.
    """
    path = Path(os.path.realpath(target))
    if path.exists() and not path.is_file():
        write(path)
        return
    draft = path.with_name(f".{os.getpid()}.part")
    try:
        write(draft)
        draft.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        draft.unlink(missing_ok=True)
