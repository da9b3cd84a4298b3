"""What `make test` leaves to `make test-all`: tests marked `long`.

Of a test's parameters it tries each value once, not every combination: `mark_further` marks the
others. `some_of` and the mark `few` leave it fewer values of those that take seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
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


def mark_further(items: Sequence[pytest.Item]) -> None:
    """Mark `long` what tries no value of a parameter that another item of the test does not try,
    and what is beyond the number that a test's mark `few` says.
    """
    by_test: dict[str, list[pytest.Function]] = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and not item.get_closest_marker("long"):
            by_test[item.nodeid.split("[")[0]].append(item)
    for mine in by_test.values():
        few = mine[0].get_closest_marker("few")
        most = (few.args or (1,))[0] if few else None
        once = sorted(_each_once([_values(item) for item in mine]))
        most = min(most or len(once), len(once))
        kept = {once[n * len(once) // most] for n in range(most)}  # far from each other
        for at, item in enumerate(mine):
            if at not in kept:
                item.add_marker(pytest.mark.long)


def _values(item: pytest.Function) -> set[Any]:
    """What an item has been given: of each `parametrize` a row, of each fixture a parameter."""
    called = getattr(item, "callspec", None)
    given = {name: id(value) for name, value in called.params.items()} if called else {}
    rows: set[Any] = set()
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0]
        names = names.split(",") if isinstance(names, str) else names
        rows.add(tuple((name.strip(), given.pop(name.strip(), None)) for name in names))
    return rows | set(given.items()) or {()}


def _each_once(rows: Sequence[set[Any]]) -> list[int]:
    """Rows that hold all values among them: first those that share none, so that they are few."""
    seen: set[Any] = set()
    kept: list[int] = []
    for shares in (False, True):
        for at, row in enumerate(rows):
            if at not in kept and row - seen and (shares or not row & seen):
                kept.append(at)
                seen |= row
    return kept
