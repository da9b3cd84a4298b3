"""From a budget of FLOPs to both thresholds: the table that `adaspark calibrate` measured."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)
FILE = "calibration.json"
_NUMBERS = ("budget", "attn_top_p", "ffn_top_p")


def read_calibration(folder: Path) -> list[dict[str, float]]:
    """The measured points by rising budget (share of dense FLOPs); empty where there are none.

    Each has `budget`, `attn_top_p` and `ffn_top_p`, all in [0, 1].
    """
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        points = [_point(given) for given in json.loads(path.read_text("utf-8"))["points"]]
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s is no calibration (%s): the budget dial is left out.", path, error)
        return []
    by_budget = {point["budget"]: point for point in points}
    return [by_budget[budget] for budget in sorted(by_budget)]


def _point(given: Any) -> dict[str, float]:
    point = {name: float(given[name]) for name in _NUMBERS}
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in point.values()):
        raise ValueError(f"{point} lies outside of 0 to 1")
    return point
