"""Measured figures as JSON to be read, and compared by lines: a row of plain values on each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adaspark.files import write_whole


def text_of(figures: Any) -> str:
    """JSON, a line for each list or object that holds no other; ends with a newline.

    Raises ValueError for numbers that JSON has not, such as NaN.
    """
    return _text(figures, "") + "\n"


def write_figures(path: str | Path, figures: Any) -> None:
    """Write them whole, or leave what was there."""
    text = text_of(figures)
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def _text(value: Any, margin: str) -> str:
    held = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list | tuple) or not any(
        isinstance(each, dict | list | tuple) for each in held
    ):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    inner = margin + " "
    lines = [_text(each, inner) for each in held]
    if isinstance(value, dict):
        names = (json.dumps(str(name), ensure_ascii=False) for name in value)
        lines = [f"{name}: {line}" for name, line in zip(names, lines, strict=True)]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return f"{start}\n{inner}" + f",\n{inner}".join(lines) + f"\n{margin}{end}"
