"""The files that a command writes: checked before any work, written after it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaspark.errors import UserError
from adaspark.files import write_whole

if TYPE_CHECKING:
    from adaspark.model.events import Result


def check_outputs(*paths: str | None) -> None:
    """Raise UserError where a file could not be made; None is one that nobody wants."""
    for path in paths:
        if path is not None and not _is_writable(path):
            raise UserError(f"{path!r} cannot be written: name a file in a folder that exists.")


def check_apart(*paths: str | None) -> None:
    """Raise UserError where two of the files are one: the second would replace the first."""
    files = [Path(path).resolve() for path in paths if path is not None]
    twice = next((file for file in files if files.count(file) > 1), None)
    if twice is not None:
        raise UserError(f"{twice.name} cannot hold two outputs: name a file for each.")


def write_outputs(
    results: Sequence[Result],
    video: str | None,
    json_path: str | None,
    trace: str | None,
    report: str | None,
) -> None:
    """Write what was asked for: the figures of a result (`-`: standard output), or of several as a
    list that names their questions; of the first one trace and offline page.

    Raises UserError where a file turns out not to be writable.
    """
    result = results[0]
    try:
        if json_path:
            told: Any = result.summary()
            if len(results) > 1:
                told = [
                    {"question": each.trace.meta.question, **each.summary()} for each in results
                ]
            text = json.dumps(told, indent=2, ensure_ascii=False)
            if json_path == "-":
                print(text)
            else:
                _write_text(json_path, text + "\n")
        if trace:
            write_whole(trace, result.trace.save)
        if report:
            from viz.report.page import report as page

            _write_text(report, page(result.trace, video_path=video))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be written ({error.strerror}): name another file."
        ) from error


def _write_text(path: str, text: str) -> None:
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def _is_writable(path: str) -> bool:
    """Whether a file could be made at `path`, as far as one can know without making it."""
    try:
        folder = Path(path).absolute().parent
        usable = path != "-" and not Path(path).is_dir() and folder.is_dir()
        return usable and os.access(folder, os.W_OK)
    except OSError:  # such as a name that is too long
        return False
