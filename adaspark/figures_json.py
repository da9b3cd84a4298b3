"""Measured figures as JSON to be read, and compared by lines: a row of plain values on each."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import Any

from adaspark.files import write_whole


def text_of(figures: Any) -> str:
    """JSON, a line for each list or object that holds no other; ends with a newline.

    A number that JSON has not, such as NaN, is null: no run is lost for one figure.
    """
    return _text(figures, "") + "\n"


def write_figures(path: str | Path, figures: Any) -> None:
    """Write them whole, or leave what was there."""
    text = text_of(figures)
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def _text(value: Any, margin: str) -> str:
    if not isinstance(value, dict | list | tuple):
        known = not isinstance(value, float) or isfinite(value)
        return json.dumps(value if known else None, ensure_ascii=False)
    held, inner = list(value.values() if isinstance(value, dict) else value), margin + " "
    parts = [_text(each, inner) for each in held]
    if isinstance(value, dict):
        names = (json.dumps(str(name), ensure_ascii=False) for name in value)
        parts = [f"{name}: {part}" for name, part in zip(names, parts, strict=True)]
    start, end = "{}" if isinstance(value, dict) else "[]"
    if any(isinstance(each, dict | list | tuple) for each in held):
        return f"{start}\n{inner}" + f",\n{inner}".join(parts) + f"\n{margin}{end}"
    return start + ", ".join(parts) + end
