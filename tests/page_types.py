"""The interfaces of `viz/static/types.d.ts`, read."""

from __future__ import annotations

import re

from viz.report.modules import STATIC

TYPES = (STATIC / "types.d.ts").read_text("utf-8")


def stated(name: str) -> tuple[set[str], set[str]]:
    """The keys of an interface that are always there, and those that may be."""
    body = re.search(rf"(?ms)^export interface {name}\b[^{{]*\{{\n(.*?)^\}}", TYPES)
    assert body, name
    keys = re.findall(r"(?m)^  (\w+)(\??): ", body[1])
    return {k for k, optional in keys if not optional}, {k for k, optional in keys if optional}


def has_keys_of(name: str, value: dict[str, object]) -> bool:
    """Whether a value has all the keys of an interface that it must, and no others."""
    needed, optional = stated(name)
    return needed <= value.keys() <= needed | optional
