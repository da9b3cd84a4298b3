"""What a model calls its cache: `past_key_values`, and `cache` from transformers 5.24 on."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_NAMES = ("cache", "past_key_values")


def argument_names(model: Any) -> list[str]:
    """The arguments of a model's `forward`, in order."""
    return _arguments(model.forward.__func__)


def cache_argument(model: Any, cache: Any) -> dict[str, Any]:
    """A cache as the keyword argument that this model takes it by."""
    names = argument_names(model)
    return {next(name for name in _NAMES if name in names): cache}


def cache_in(values: Mapping[str, Any]) -> Any:
    """The cache among the arguments of a call, or in what it returned; None where there is none."""
    return next((values[name] for name in _NAMES if values.get(name) is not None), None)


@lru_cache(maxsize=64)
def _arguments(forward: Any) -> list[str]:
    return list(inspect.signature(forward).parameters)[1:]
