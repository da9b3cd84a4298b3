"""Dataclasses that hold tensors compare by identity: tensors have no one truth value to compare."""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import pkgutil
import sys
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch

import adaspark
import app
import viz

OPTIONAL = {"lmms_eval", "flash_attn"}


def project_classes() -> Iterator[type]:
    """Every class that a module of the project defines."""
    for package in (adaspark, viz, app):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name.endswith("__main__"):
                continue
            try:
                module = import_module(info.name)
            except ModuleNotFoundError as error:
                assert error.name and error.name.split(".")[0] in OPTIONAL, error
                continue
            for _, found in inspect.getmembers(module, inspect.isclass):
                if found.__module__ == info.name:
                    yield found


def holds_tensors(hint: Any) -> bool:
    """Whether a value of this type is, or directly holds, a tensor or an array.

    A function that takes or returns one holds none.
    """
    if isinstance(hint, type) and issubclass(hint, torch.Tensor | np.ndarray):
        return True
    origin = typing.get_origin(hint)
    if isinstance(origin, type) and issubclass(origin, np.ndarray):
        return True
    if origin is Callable:
        return False
    return any(holds_tensors(part) for part in typing.get_args(hint))


class Names(dict[str, Any]):
    """What a module's annotations may name; what only type checkers import there is no array."""

    def __init__(self, module: str) -> None:
        super().__init__(vars(sys.modules[module]))

    def __missing__(self, name: str) -> Any:
        if name in ("Tensor", "np", "torch") or hasattr(builtins, name):
            raise KeyError(name)
        return object


def compared_types(found: type) -> list[Any]:
    """The types of the fields that comparing by value would compare."""
    hints = typing.get_type_hints(found, localns=Names(found.__module__))
    return [hints[field.name] for field in dataclasses.fields(found) if field.compare]


DATACLASSES = [
    found
    for found in project_classes()
    if dataclasses.is_dataclass(found) and any(map(holds_tensors, compared_types(found)))
]


def test_there_are_such_classes() -> None:
    assert {"Segment", "Trace", "Rows"} <= {found.__name__ for found in DATACLASSES}


@pytest.mark.parametrize("found", DATACLASSES, ids=lambda found: found.__qualname__)
def test_it_compares_by_identity(found: type) -> None:
    assert found.__eq__ is object.__eq__, f"{found.__module__}: dataclass(eq=False)"
