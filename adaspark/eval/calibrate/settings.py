"""Settings that answered the calibration's clips, and which of them meet a budget best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from adaspark.eval.harness.by_condition import BASELINE, CORRECT, Conditions, Items
from adaspark.eval.report.stats import MARGIN, Comparison, Estimate
from adaspark.method.config import THRESHOLDS, AdaSparkConfig, Cube

UNSEEN = "unseen"
"""First part of the key of items on clips that nothing was chosen on."""


@dataclass(frozen=True)
class Setting:
    """One setting on all clips against dense."""

    name: str
    conditions: Conditions

    @property
    def config(self) -> AdaSparkConfig:
        """Its dials."""
        first = next(iter(self.conditions.by_condition[self.name].values()))
        return AdaSparkConfig.from_dict(first["config"])

    @property
    def is_pair(self) -> bool:
        """Whether both thresholds are one number for all layers."""
        return self.config.layers is None

    @property
    def is_searched(self) -> bool:
        """Whether it comes from the search by layer, which moves both thresholds of every layer."""
        return isinstance(self.config.attn_top_p, tuple)

    @property
    def sides(self) -> str:
        """Its cube, such as `2x2x2`."""
        return "x".join(map(str, self.config.cube))

    @cached_property
    def flops(self) -> float:
        """FLOPs of the language model's prefill, share of dense."""
        return self.conditions.mean(self.name, "flops")

    @cached_property
    def changes(self) -> dict[str, float]:
        """Change of the score by family."""
        return self.conditions.changes(self.name, CORRECT)

    @cached_property
    def loss(self) -> float:
        """Nats of logprob of the right answer that are lost, mean over questions."""
        return self.conditions.lost(self.name).value

    @cached_property
    def families(self) -> dict[str, Comparison]:
        """Scores against dense by family."""
        return self.conditions.compared_by_family(self.name)

    @property
    def keeps_all(self) -> bool:
        """Whether no family's score falls by more than a point."""
        return min(self.changes.values()) >= -MARGIN

    @cached_property
    def comparison(self) -> Comparison:
        """Scores against dense."""
        return self.conditions.compared(self.name)

    @property
    def worst(self) -> str:
        """The family whose score falls most."""
        return min(self.changes, key=self.changes.__getitem__)

    @property
    def worst_change(self) -> Estimate:
        """How that family's score changes, with its interval."""
        return self.families[self.worst].difference

    @property
    def keeps(self) -> bool:
        """Whether the score falls by no more than a point."""
        return self.comparison.difference.value >= -MARGIN


def settings(items: Items) -> list[Setting]:
    """What answered as many clips as dense did (a survey's conditions did not), cheapest first."""
    conditions = Conditions([item for item in items if item["key"][0] != UNSEEN])
    dense = conditions.by_condition.get(BASELINE, {})
    found = [
        Setting(name, conditions)
        for name, clips in conditions.by_condition.items()
        if name != BASELINE and dense.keys() <= clips.keys() and dense
    ]
    return sorted(found, key=lambda setting: setting.flops)


def best(found: Sequence[Setting], budget: float) -> Setting | None:
    """Of the settings within the budget, those that keep the score first, the least loss."""
    within = [setting for setting in found if setting.flops <= budget]
    return min(within, key=lambda s: (not s.keeps, s.loss), default=None)


def chosen_pairs(found: Sequence[Setting], budgets: Sequence[float]) -> dict[float, Setting]:
    """The best pair of each budget that one meets, all in the cube, and by the importance, that is
    best for the first.
    """
    found = [setting for setting in found if setting.is_pair]
    chosen: dict[float, Setting] = {}
    for budget in budgets:
        if chosen:
            first = _kind(next(iter(chosen.values())))
            found = [setting for setting in found if _kind(setting) == first]
        setting = best(found, budget)
        if setting is not None:
            chosen[budget] = setting
    return chosen


def _kind(setting: Setting) -> tuple[Cube, str]:
    return setting.config.cube, setting.config.ffn_importance


def improves(new: Setting, old: Setting, budget: float) -> bool:
    """Whether `new` meets the budget, loses less, and keeps the score if `old` does."""
    return new.flops <= budget and new.loss < old.loss and new.keeps >= old.keeps


def best_by_layer(found: Sequence[Setting], pair: Setting, budget: float) -> Setting:
    """The best of the settings by layer that improve on a budget's pair; the pair if none does."""
    better = [s for s in found if s.is_searched and improves(s, pair, budget)]
    return best(better, budget) or pair


def spread(config: AdaSparkConfig, layers: int) -> AdaSparkConfig:
    """The same thresholds, one number for each of `layers` layers."""
    attn, ffn = (p if isinstance(p, tuple) else (p,) * layers for p in _thresholds(config))
    return replace(config, attn_top_p=attn, ffn_top_p=ffn)


def chosen_points(items: Items, budgets: Sequence[float], own: Cube) -> list[dict[str, Any]]:
    """JSON-ready: the best pair of each budget, its dials and what it costs; in the model's `own`
    cube, which is where a dial over the budgets begins, if that was tried.
    """
    found = settings(items)
    pairs = chosen_pairs([s for s in found if s.config.cube == own] or found, budgets)
    return [_point(pair, pair.config, budget) for budget, pair in pairs.items()]


def points_by_layer(items: Items, budgets: Sequence[float], layers: int) -> list[dict[str, Any]]:
    """JSON-ready: the best setting by layer for each of these budgets, one threshold a layer."""
    found = settings(items)
    points = []
    for budget, pair in chosen_pairs(found, budgets).items():
        setting = best_by_layer(found, pair, budget)
        points.append(_point(setting, spread(setting.config, layers), budget))
    return points


def _thresholds(config: AdaSparkConfig) -> tuple[Any, Any]:
    return config.attn_top_p, config.ffn_top_p


def _point(setting: Setting, config: AdaSparkConfig, budget: float) -> dict[str, Any]:
    comparison = setting.comparison
    dials = config.to_dict()
    return {
        "budget": budget,
        **{name: dials[name] for name in ("cube", *THRESHOLDS, "ffn_importance") if name in dials},
        "reduction": round(1 - setting.flops, 4),
        "loss": round(setting.loss, 5),
        "accuracy": round(comparison.treated, 4),
        "dense_accuracy": round(comparison.baseline, 4),
        "worst_family": setting.worst,
        "worst_change": round(setting.changes[setting.worst], 4),
        "questions": comparison.items,
    }
