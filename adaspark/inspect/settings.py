"""The settings that a run compares: the dials as typed, dense, and the points of a grid."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adaspark.arguments import cube, top_p
from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig

DENSE = {"attn_top_p": 1.0, "ffn_top_p": 1.0}
_DIALS = {
    "p": ("attn_top_p", "ffn_top_p"),
    "attn-top-p": ("attn_top_p",),
    "ffn-top-p": ("ffn_top_p",),
    "cube": ("cube",),
}


@dataclass(frozen=True)
class Setting:
    """A name for the tables, and what of `AdaSparkConfig` differs from the model's own."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)


def read_settings(dials: Mapping[str, Any], grid: Sequence[str], *, dense: bool) -> list[Setting]:
    """One setting a point of the grid, or the dials alone; and dense beside them, if wanted.

    A grid is `NAME=VALUE,VALUE` (cubes are parted by `;`) for p (both thresholds), attn-top-p,
    ffn-top-p or cube; several are crossed. Raises UserError for a value that cannot be used.
    """
    axes = [_axis(text) for text in grid]
    named = [*dials, *(dial for axis in axes for dial in axis[0][1])]
    if twice := [name for name in named if named.count(name) > 1]:
        raise UserError(f"{twice[0]} is given twice: name it once, in --grid or by its own option.")
    settings = {}
    for point in itertools.product(*axes):
        changes = dict(dials)
        for _, dialled in point:
            changes |= dialled
        name = " ".join(label for label, _ in point) or "sparse"
        settings[name] = Setting(name, changes)
    if dense:
        settings["dense"] = Setting("dense", {**dials, **DENSE})
    for setting in settings.values():
        AdaSparkConfig.from_dict(dict(setting.changes))
    return list(settings.values())


def _axis(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The points of one `NAME=VALUE,VALUE`: each its label and what it sets."""
    name, equals, values = (part.strip() for part in text.partition("="))
    if name not in _DIALS or not equals or not values:
        raise UserError(
            f"--grid {text!r} cannot be used: write NAME=VALUE,VALUE with a name of "
            f"{', '.join(_DIALS)}."
        )
    read = cube if name == "cube" else top_p
    points = []
    for value in values.split(";" if name == "cube" else ","):
        try:
            found = read(value.strip())
        except argparse.ArgumentTypeError as error:
            raise UserError(f"--grid {text!r}: {error}.") from None
        points.append((f"{name}={value.strip()}", dict.fromkeys(_DIALS[name], found)))
    return points
