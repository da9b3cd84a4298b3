"""Why a file is no trace, in words of our own: numpy's advise to load it unsafely."""

from __future__ import annotations

import json
import zlib
from lzma import LZMAError
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

UNREADABLE = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    BadZipFile,
    LZMAError,
    zlib.error,
)
"""What reading a file that is no trace, or is damaged, may raise."""
_ZIP = b"PK"


class NoHeader(ValueError):
    """An archive without the header of a trace."""


def header_in(file: Any) -> dict[str, Any]:
    """The header of an opened NPZ. Raises NoHeader, and of `UNREADABLE` if it is damaged."""
    header = json.loads(str(file["meta"])) if "meta" in file else None
    if not isinstance(header, dict):
        raise NoHeader
    return header


def why_not(path: Path, error: Exception) -> str:
    """What is wrong with the file at `path`, reading which has raised `error` of `UNREADABLE`."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be read ({error.strerror})"
    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            return "it is no NPZ file"
    if isinstance(error, NoHeader):
        return "it has no header; give a file that `adaspark ask --trace` wrote"
    return "it is cut or damaged; copy it or record the run again"
