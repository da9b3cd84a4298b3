"""What is the same in all layers, found once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class ByIdentity(Generic[Value]):
    """One value for each sequence of the same objects, told apart by identity."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, ...], tuple[Sequence[Any], Value]] = {}

    def get(self, objects: Sequence[Any], make: Callable[[Any], Value]) -> Value:
        """The value of these objects; `make` it of them the first time."""
        key = tuple(map(id, objects))
        if key not in self._found:
            self._found[key] = objects, make(objects)  # held, so that ids stay theirs
        return self._found[key][1]
