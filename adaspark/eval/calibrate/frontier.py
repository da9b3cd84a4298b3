"""The settings that no other beats in both cost and loss, and the cheapest that keeps every family.

Intervals are 95 %, bootstrapped by clip, on the clips that the settings were chosen on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adaspark.eval.calibrate.settings import Setting, settings
from adaspark.eval.harness.by_condition import Items


def frontier(found: Sequence[Setting]) -> list[Setting]:
    """Of settings, cheapest first, those that lose less than every cheaper one."""
    kept: list[Setting] = []
    for setting in sorted(found, key=lambda s: (s.flops, s.loss)):
        if not kept or setting.loss < kept[-1].loss:
            kept.append(setting)
    return kept


def cheapest(found: Sequence[Setting]) -> Setting | None:
    """The cheapest setting at which no family's score falls by more than a point."""
    keeping = [setting for setting in found if setting.keeps_all]
    return min(keeping, key=lambda setting: setting.flops, default=None)


def frontier_points(items: Items) -> list[dict[str, Any]]:
    """JSON-ready: dials, cost and what is lost, with intervals [value, low, high] in shares."""
    return [_point(setting) for setting in frontier(settings(items))]


def _point(setting: Setting) -> dict[str, Any]:
    return {
        **setting.config.to_dict(),
        "reduction": round(1 - setting.flops, 4),
        "loss": _rounded(setting.conditions.lost(setting.name)),
        "change": _rounded(setting.comparison.difference),
        "worst_family": setting.worst,
        "worst_change": _rounded(setting.worst_change),
        "questions": setting.comparison.items,
    }


def _rounded(estimate: Sequence[float]) -> list[float]:
    return [round(number, 5) for number in estimate]
