"""Parameters of tests that take seconds: the first in every run, all in `make test-all`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some_of(
    names: str, values: Iterable[Any], *, always: int = 1, ids: list[str] | None = None
) -> pytest.MarkDecorator:
    """`pytest.mark.parametrize`, where the values after the first `always` are marked long."""
    rows = [value if isinstance(value, tuple) and "," in names else (value,) for value in values]
    marks = [() if at < always else (pytest.mark.long,) for at in range(len(rows))]
    params = [pytest.param(*row, marks=mark) for row, mark in zip(rows, marks, strict=True)]
    return pytest.mark.parametrize(names, params, ids=ids)
