"""Points, tables, findings and pictures of `adaspark calibrate`, from its items alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adaspark.config import AdaSparkConfig, as_typed, one_number
from adaspark.eval.arms import DENSE_ARM
from adaspark.eval.armwise import CORRECT, Arms, Items
from adaspark.eval.page import write_page
from adaspark.eval.results import Figure, Results
from adaspark.eval.stats import MARGIN, Comparison
from adaspark.eval.tables import Cell, Kind, Table, written


@dataclass(frozen=True)
class Setting:
    """One setting on all clips against dense."""

    name: str
    arms: Arms

    @property
    def config(self) -> AdaSparkConfig:
        """Its dials."""
        first = next(iter(self.arms.by_arm[self.name].values()))
        return AdaSparkConfig.from_dict(first["config"])

    @cached_property
    def flops(self) -> float:
        """FLOPs of the language model's prefill, share of dense."""
        return self.arms.mean(self.name, "flops")

    @cached_property
    def changes(self) -> dict[str, float]:
        """Change of the score by family."""
        return self.arms.changes(self.name, CORRECT)

    @cached_property
    def loss(self) -> float:
        """Nats of logprob of the right answer that are lost, mean over questions."""
        return self.arms.lost(self.name).value

    @cached_property
    def comparison(self) -> Comparison:
        """Scores against dense."""
        return self.arms.compared(self.name)

    @property
    def worst(self) -> str:
        """The family whose score falls most."""
        return min(self.changes, key=self.changes.__getitem__)

    @property
    def keeps(self) -> bool:
        """Whether the score falls by no more than a point."""
        return self.comparison.difference.value >= -MARGIN


def settings(items: Items) -> list[Setting]:
    """What answered as many clips as dense did, the cheapest first. A survey's arms did not."""
    arms = Arms(items)
    dense = arms.by_arm.get(DENSE_ARM.name, {})
    found = [
        Setting(name, arms)
        for name, clips in arms.by_arm.items()
        if name != DENSE_ARM.name and dense.keys() <= clips.keys() and dense
    ]
    return sorted(found, key=lambda setting: setting.flops)


def best(found: Sequence[Setting], budget: float) -> Setting | None:
    """Of the settings within the budget, those that keep the score first, the least loss."""
    within = [setting for setting in found if setting.flops <= budget]
    return min(within, key=lambda s: (not s.keeps, s.loss), default=None)


def chosen_points(items: Items, budgets: Sequence[float]) -> list[dict[str, Any]]:
    """The best setting of each budget, all in the cube that is best for the first budget."""
    found = settings(items)
    points: list[dict[str, Any]] = []
    for budget in budgets:
        if points:
            found = [s for s in found if list(s.config.cube) == points[0]["cube"]]
        setting = best(found, budget)
        if setting is not None:
            points.append(_point(setting, budget))
    return points


def _point(setting: Setting, budget: float) -> dict[str, Any]:
    comparison = setting.comparison
    config = setting.config
    return {
        "budget": budget,
        "cube": list(config.cube),
        "attn_top_p": config.attn_top_p,
        "ffn_top_p": config.ffn_top_p,
        "reduction": round(1 - setting.flops, 4),
        "loss": round(setting.loss, 5),
        "accuracy": round(comparison.treated, 4),
        "dense_accuracy": round(comparison.baseline, 4),
        "worst_family": setting.worst,
        "worst_change": round(setting.changes[setting.worst], 4),
        "questions": comparison.items,
    }


def summarise(items: Items) -> list[Table]:
    """Every setting that answered all clips."""
    columns: dict[str, Kind] = {
        "cube": "text",
        "attn_top_p": "number",
        "ffn_top_p": "number",
        "FLOPs, share of dense": "percent",
        "attention density": "share",
        "FFN density": "share",
        "loss, nats": "number",
        "right answers": "percent",
        "change, points": "points",
        "worst family": "text",
        "its change, points": "points",
    }
    rows: list[list[Cell]] = []
    found = settings(items)
    for setting in found:
        arms, name, config = setting.arms, setting.name, setting.config
        comparison = setting.comparison
        ps = one_number(config.attn_top_p), one_number(config.ffn_top_p)
        dials: list[Cell] = [_sides(config), *ps]
        shares = [arms.mean(name, figure) for figure in ("flops", "attention", "ffn")]
        scores: list[Cell] = [arms.lost(name), comparison.treated, comparison.difference]
        worst: list[Cell] = [setting.worst, setting.changes[setting.worst]]
        rows.append([*dials, *shares, *scores, *worst])
    note = (
        "Loss: nats of logprob of the right answer that are lost against dense. 95 % intervals, "
        "bootstrapped by clip. Calibration scenes; few clips, many questions a clip."
    )
    return [Table("Settings that were tried", columns, rows, note)] if found else []


def draw(results: Results) -> None:
    """Write tables, pictures and the page of saved items."""
    found = settings(results.items)
    budgets = results.data.get("budgets", [])
    results.save(summarise(results.items), [_figure(found, budgets)] if found else [])
    write_page(
        results,
        title="Thresholds for a budget of FLOPs",
        seen=[sentence for budget in budgets for sentence in findings(found, budget)],
        failed=[sentence for budget in budgets for sentence in failures(found, budget)],
    )


def findings(found: Sequence[Setting], budget: float) -> Iterator[str]:
    """What a budget buys."""
    setting = best(found, budget)
    if setting is None:
        return
    config, comparison = setting.config, setting.comparison
    yield (
        f"Within {written(budget, 'percent')} of the dense FLOPs: cube {_sides(config)}, "
        f"attn_top_p {as_typed(config.attn_top_p)}, ffn_top_p {as_typed(config.ffn_top_p)}. "
        f"It spends {written(setting.flops, 'percent')} and loses "
        f"{written(setting.loss, 'number')} nats; "
        f"{written(comparison.treated, 'percent')} right answers, dense "
        f"{written(comparison.baseline, 'percent')}. {comparison.sentence} {setting.worst} "
        f"changes worst ({written(setting.changes[setting.worst], 'points')} points)."
    )


def failures(found: Sequence[Setting], budget: float) -> Iterator[str]:
    """What a budget does not reach."""
    share, setting = written(budget, "percent"), best(found, budget)
    if setting is None:
        yield f"No setting that was tried stays within {share} of the dense FLOPs."
        return
    if not setting.keeps:
        yield f"Within {share} no setting keeps the score within a point of dense."
    asked = Counter(setting.arms.families(setting.name))
    below = [
        f"{family} {written(change, 'points')} ({asked[family]} questions)"
        for family, change in setting.changes.items()
        if change < -MARGIN
    ]
    if below:
        yield f"Within {share}, families more than a point below dense: {'; '.join(below)}."


def _figure(found: Sequence[Setting], budgets: Sequence[float]) -> Figure:
    """Loss by `ffn_top_p`, a line for each budget and cube; a setting belongs to the least budget
    that it meets.
    """
    from adaspark.eval import charts

    title = "How to spend a budget: what the FFN does not use, attention does"
    ps = sorted({one_number(setting.config.ffn_top_p) for setting in found})
    series: dict[str, list[tuple[float, ...]]] = {}
    for setting in found:
        budget = min((b for b in budgets if setting.flops <= b), default=None)
        told = "over budget" if budget is None else f"{100 * budget:g} %"
        name = f"{told}, {_sides(setting.config)}"
        line = series.setdefault(name, [(math.nan, math.nan, math.nan)] * len(ps))
        line[ps.index(one_number(setting.config.ffn_top_p))] = setting.arms.lost(setting.name)
    picture = charts.lines(
        ps,
        series,
        title=title,
        xlabel="ffn_top_p",
        ylabel="nats lost against dense",
        note="Budget and cube beside each line. Small model, synthetic video.",
    )
    said = "; ".join(
        f"{setting.name}: {written(setting.flops, 'percent')} of FLOPs, "
        f"{written(setting.loss, 'number')} nats"
        for setting in found
    )
    return Figure("calibrate", picture, title, f"Settings (cube, both p): {said}.")


def _sides(config: AdaSparkConfig) -> str:
    return "x".join(map(str, config.cube))
