"""Live objects that change class: each to one of its own, which calls what it was.

Special methods are looked up on the class, so a call is met whatever stands in the instance:
accelerate's hooks, a `forward` that was patched in. The shared class is left alone, the new one
bears its name, and copying and pickling work.
"""

from __future__ import annotations

from functools import cache
from typing import Any


class Swapped:
    """The part of a class made by `swap` that is not the object's own."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        kind, original = type(self).__bases__
        if _joined(kind, original) is not type(self):  # somebody has made a class of it since
            return super().__reduce_ex__(protocol)
        return _blank, (kind, original), *super().__reduce_ex__(protocol)[2:]


def swap(thing: Any, kind: Any) -> None:
    """Put `kind` before the class of `thing`; once only."""
    original: Any = type(thing)
    if not issubclass(original, kind):
        thing.__class__ = _joined(kind, original)


def swap_back(thing: Any, kind: Any) -> None:
    """Undo `swap`, unless somebody has made a class of it since: `kind` must then stand aside."""
    bases = type(thing).__bases__
    if bases[0] is kind and _joined(*bases) is type(thing):
        thing.__class__ = bases[1]


@cache
def _joined(kind: Any, original: Any) -> type:
    same = {name: getattr(original, name) for name in ("__module__", "__qualname__", "__doc__")}
    made: type = type(original)(original.__name__, (kind, original), same)
    return made


def _blank(kind: Any, original: Any) -> Any:
    joined: Any = _joined(kind, original)
    return joined.__new__(joined)
