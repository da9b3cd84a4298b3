"""x265 in a process of its own.

The x265 inside PyAV's wheel writes memory that nobody set into a stream's header: after some
encodings in one process most files cannot be muxed (`PatchWelcomeError`). In a fresh process all
were whole.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

_RUN = """
import pickle, sys
from importlib import import_module
module, name, arguments, given = pickle.load(sys.stdin.buffer)
getattr(import_module(module), name).__wrapped__(*arguments, **given)
"""


def apart(write: Callable[..., Path]) -> Callable[..., Path]:
    """`write(path, ..., codec=...)` of a test's clip: where the codec is x265, in a new process."""

    @wraps(write)
    def written(path: Path, *arguments: Any, **given: Any) -> Path:
        if given.get("codec") != "libx265":
            return write(path, *arguments, **given)
        job = pickle.dumps((write.__module__, write.__name__, (path, *arguments), given))
        folders = os.pathsep.join(folder for folder in sys.path if folder)
        environment = {**os.environ, "PYTHONPATH": folders}
        subprocess.run([sys.executable, "-c", _RUN], input=job, env=environment, check=True)
        return path

    return written
