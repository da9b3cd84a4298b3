"""The base class, and how it reads `--model_args`."""

from __future__ import annotations

import re
from typing import Any


def _value(text: str) -> Any:
    """A number where it is one; a list stays as it was typed."""
    if text.isnumeric():
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


class lmms:
    is_simple = True

    @classmethod
    def create_from_arg_string(cls, text: str, more: dict[str, Any]) -> lmms:
        parts = re.split(r",(?![^\[]*\])", text)  # not inside of a list
        given = {name: _value(value) for name, value in (part.split("=", 1) for part in parts)}
        return cls(**given, **{name: value for name, value in more.items() if value is not None})
