"""From a budget of FLOPs to both thresholds: the table that `adaspark calibrate` measured."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)
FILE = "calibration.json"
DENSE = {"budget": 1.0, "attn_top_p": 1.0, "ffn_top_p": 1.0}
_NUMBERS = tuple(DENSE)
TEXT = "text_top_p"
"""A point without it has one p for all attention."""


@dataclass(frozen=True)
class Calibration:
    """Points by rising budget (share of dense FLOPs), the last one dense, all numbers in [0, 1];
    `cube` is the shape they were measured with.
    """

    points: tuple[dict[str, float], ...]
    cube: tuple[int, ...]


def read_calibration(folder: Path) -> Calibration | None:
    """What was measured of the model in a folder; None if nothing, or it cannot be read."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        written = json.loads(path.read_text("utf-8"))
        points = [_point(given) for given in written["points"]]
        cube = tuple(int(side) for side in written["cube"])
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s is no calibration (%s): the budget dial is left out.", path, error)
        return None
    by_budget = {point["budget"]: point for point in [*points, DENSE]}
    if len(by_budget) < 2:
        return None
    return Calibration(tuple(by_budget[budget] for budget in sorted(by_budget)), cube)


def _point(given: Any) -> dict[str, float]:
    names = (*_NUMBERS, TEXT) if given.get(TEXT) is not None else _NUMBERS
    point = {name: float(given[name]) for name in names}
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in point.values()):
        raise ValueError(f"{point} lies outside of 0 to 1")
    return point
