"""Our arguments among those that lmms-eval is given for a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from adaspark.method.config import AdaSparkConfig


def split_arguments(given: Mapping[str, Any]) -> tuple[AdaSparkConfig, dict[str, Any]]:
    """The configuration among the arguments, and the other ones: the parent refuses ours."""
    own = {field.name for field in fields(AdaSparkConfig)} & given.keys()
    config = AdaSparkConfig.from_dict({name: _read(given[name]) for name in own})
    return config, {name: value for name, value in given.items() if name not in own}


def _read(value: Any) -> Any:
    """lmms-eval reads numbers from its command line and leaves lists as they were typed."""
    if isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value  # for AdaSparkConfig to refuse
    return value
