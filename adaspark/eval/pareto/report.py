"""Fronts, hypervolumes, findings and pictures of `adaspark eval pareto`, from its items alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from adaspark.eval.harness.by_condition import BASELINE, CORRECT, Conditions, Items
from adaspark.eval.report.cells import written
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.page import write_page
from adaspark.eval.report.results import Results
from adaspark.eval.report.stats import CONFIDENCE, MARGIN, MIN_VIDEOS, Estimate
from adaspark.eval.report.tables import Columns, Row, Table

ADASPARK, FRAMES, PRUNED = "AdaSpark", "fewer frames", "pruned tokens"
SERIES = (ADASPARK, FRAMES, PRUNED)
_DRAWS = 1_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """The settings of one method of saving FLOPs that answered every clip."""

    name: str
    conditions: Conditions

    @cached_property
    def names(self) -> list[str]:
        """Its settings, the cheapest first."""
        dense = self.conditions.by_condition[BASELINE].keys()
        mine = [
            n for n, clips in self.conditions.by_condition.items() if n.startswith(f"{self.name} ")
        ]
        whole = [n for n in mine if dense <= self.conditions.by_condition[n].keys()]
        return sorted(whole, key=lambda name: self.conditions.mean(name, "flops"))

    @cached_property
    def costs(self) -> Floats:
        """[settings]: FLOPs of the language model's prefill, share of dense."""
        return np.array([self.conditions.mean(name, "flops") for name in self.names])

    @cached_property
    def by_clip(self) -> Floats:
        """[settings, clips]: sums of scores."""
        return np.array([_sums(self.conditions, name) for name in self.names])

    def volume(self, weights: Floats, min_budget: float) -> Floats:
        """[draws]: hypervolume if clip c counts `weights` [draws, clips] times."""
        scores = weights @ self.by_clip.T / (weights @ _counts(self.conditions))[:, None]
        return np.array([hypervolume(self.costs, row, min_budget) for row in scores])


def hypervolume(costs: Floats, scores: Floats, min_budget: float = 0.0) -> float:
    """Area below the front: the best score within a budget, averaged over budgets from `min_budget`
    to that of dense.

    A budget that no setting meets scores 0. `costs` [N] rising, `scores` [N]; `min_budget` below 1.
    """
    reached = np.maximum.accumulate(np.clip(scores, 0.0, None))
    ends = np.append(costs, 1.0).clip(min_budget, 1.0)
    return float((np.diff(ends) * reached).sum() / (1 - min_budget))


def study(items: Items) -> list[Series]:
    """The series that answered anything, AdaSpark first."""
    conditions = Conditions(items)
    if BASELINE not in conditions.by_condition:
        return []
    return [series for name in SERIES if (series := Series(name, conditions)).names]


def shared(found: Sequence[Series]) -> float:
    """The least budget that every series meets."""
    return min(max(float(series.costs[0]) for series in found), 1.0 - 1e-6)


def volumes(found: Sequence[Series], min_budget: float) -> dict[str, tuple[Estimate, Estimate]]:
    """Hypervolume of each series from the budget `min_budget` on, and how far it lies above the
    first one's; clips resampled.
    """
    if not found:
        return {}
    clips = len(_counts(found[0].conditions))
    drawn = np.random.default_rng(0).multinomial(clips, np.full(clips, 1 / clips), size=_DRAWS)
    weights = np.concatenate([np.ones((1, clips)), drawn])
    all_of = {series.name: series.volume(weights, min_budget) for series in found}
    first = all_of[found[0].name]
    return {name: (_estimate(v), _estimate(v - first)) for name, v in all_of.items()}


def summarise(items: Items) -> list[Table]:
    """Hypervolumes, and every setting."""
    found = study(items)
    return [_volumes(found), *map(_settings, found)] if found else []


def draw(results: Results) -> None:
    """Write tables, pictures and the page of saved items."""
    found = study(results.items)
    results.save(summarise(results.items), [_figure(found)] if found else [])
    write_page(
        results,
        title="Answers against FLOPs",
        seen=list(findings(found)),
        failed=list(failures(found)),
    )


def findings(found: Sequence[Series]) -> Iterator[str]:
    """What each method of saving FLOPs keeps, and which keeps more."""
    for series in found:
        cheapest = _cheapest(series)
        if cheapest:
            yield (
                f"{series.name}: the cheapest setting within a point of dense, "
                f"{cheapest.removeprefix(series.name).strip()}, spends "
                f"{written(series.conditions.mean(cheapest, 'flops'), 'percent')} of the dense "
                f"FLOPs. {series.conditions.compared(cheapest).sentence}"
            )
    for series, above in _against(found):
        if above.high < 0 and _are_enough(series):
            yield f"AdaSpark's front lies above that of {series.name}. {_lead(series, above)}"


def failures(found: Sequence[Series]) -> Iterator[str]:
    """Fronts that AdaSpark's does not beat, and methods that match dense at no setting."""
    for series, above in _against(found):
        if above.low > 0 and _are_enough(series):
            yield f"The front of {series.name} lies above AdaSpark's. {_lead(series, above)}"
        elif above.high >= 0 or not _are_enough(series):
            yield (
                f"AdaSpark's front is not shown to lie above that of {series.name}. "
                f"{_lead(series, above)}"
            )
        if series.costs[0] < found[0].costs[0]:
            accuracy = series.conditions.accuracy(series.names[0]).value
            yield (
                f"Below {written(found[0].costs[0], 'percent')} of the dense FLOPs AdaSpark has no "
                f"setting here; {series.name} goes down to {written(series.costs[0], 'percent')}, "
                f"with {written(accuracy, 'percent')} right."
            )
    for series in found:
        if _cheapest(series) is None:
            yield f"{series.name}: no setting that was tried stays within a point of dense."


def _against(found: Sequence[Series]) -> Iterator[tuple[Series, Estimate]]:
    """Each baseline, and how far its hypervolume lies above AdaSpark's over budgets of both."""
    if found and found[0].name == ADASPARK:
        for baseline in found[1:]:
            pair = [found[0], baseline]
            yield baseline, volumes(pair, shared(pair))[baseline.name][1]


def _are_enough(series: Series) -> bool:
    return len(_counts(series.conditions)) >= MIN_VIDEOS


def _lead(series: Series, above: Estimate) -> str:
    few = f" from {len(_counts(series.conditions))} clips; {MIN_VIDEOS} are needed to decide"
    return (
        f"Over the budgets that both meet, the rival's hypervolume lies "
        f"{written(above, 'points')} points above{'' if _are_enough(series) else few}."
    )


def _cheapest(series: Series) -> str | None:
    """The first setting whose score lies at most a point below dense."""
    dense = series.conditions.accuracy(BASELINE).value
    scores = series.by_clip.sum(1) / _counts(series.conditions).sum()
    kept = np.flatnonzero(scores >= dense - MARGIN)
    return series.names[kept[0]] if len(kept) else None


def _volumes(found: Sequence[Series]) -> Table:
    columns: Columns = {"": "text", "settings": "count", "cheapest": "percent"}
    ranges = {"all budgets": 0.0, "budgets that all meet": shared(found)}
    for name in ranges:
        columns |= {f"hypervolume, {name}": "percent", f"{name}, difference": "points"}
    by_range = [volumes(found, min_budget) for min_budget in ranges.values()]
    rows: list[Row] = []
    for series in found:
        row: Row = [series.name, len(series.names), float(series.costs[0])]
        for every in by_range:
            volume, above = every[series.name]
            row += [volume, None if series is found[0] else above]
        rows.append(row)
    note = (
        "Hypervolume: the best share of right answers within a budget, averaged over budgets up to "
        "dense; 0 where no setting is as cheap. Difference to the first row, in points. 95 % "
        "interval, bootstrapped by clip. The best is taken on the same questions, so a series of "
        "more settings has more chances."
    )
    return Table("Fronts", columns, rows, note)


def _settings(series: Series) -> Table:
    columns: Columns = {
        "setting": "text",
        "FLOPs, share of dense": "percent",
        "with the vision tower": "percent",
        "attention density": "share",
        "FFN density": "share",
        "right answers": "percent",
        "change, points": "points",
        "loss, nats": "number",
    }
    rows: list[Row] = []
    for name in series.names:
        conditions = series.conditions
        figures = ("flops", "with_vision", "attention", "ffn")
        shares = [conditions.mean(name, figure) for figure in figures]
        change = conditions.compared(name).difference
        setting = name.removeprefix(series.name).strip()
        rows.append([setting, *shares, conditions.accuracy(name), change, conditions.lost(name)])
    what = {
        ADASPARK: "attn_top_p and ffn_top_p",
        FRAMES: "share of frames, evenly sampled",
        PRUNED: "share of video tokens, those of largest norm after the vision tower",
    }
    note = f"Setting: {what[series.name]}. Changes and losses against dense on the same questions."
    return Table(f"Settings, {series.name}", columns, rows, note)


def _figure(found: Sequence[Series]) -> Figure:
    from adaspark.eval.report import charts

    title = "Right answers against FLOPs"
    conditions = found[0].conditions
    points = {
        series.name: [(conditions.mean(n, "flops"), conditions.accuracy(n)) for n in series.names]
        for series in found
    }
    dense = (1.0, conditions.accuracy(BASELINE))
    picture = charts.pareto(
        points,
        title=title,
        dense=dense,
        xlabel="FLOPs of the language model's prefill, share of dense",
        ylabel="right answers",
        note="Small model, synthetic video.",
    )
    said = "; ".join(
        f"{name} {written(volume.value, 'percent')}"
        for name, (volume, _) in volumes(found, shared(found)).items()
    )
    alt = (
        "Every setting and the front of each way to save. Hypervolumes over the budgets that all "
        f"meet: {said}."
    )
    return Figure("pareto", picture, title, alt)


def _sums(conditions: Conditions, name: str) -> list[float]:
    """Sum of a condition's scores in each clip that dense answered."""
    clips = conditions.by_condition[BASELINE]
    return [
        sum(row[CORRECT] for row in conditions.by_condition[name][s]["questions"]) for s in clips
    ]


def _counts(conditions: Conditions) -> Floats:
    """[clips]: questions."""
    clips = conditions.by_condition[BASELINE].values()
    return np.array([len(clip["questions"]) for clip in clips], np.float64)


def _estimate(values: Floats) -> Estimate:
    """The first value, with the interval of the others."""
    ends = np.quantile(values[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(values[0]), float(ends[0]), float(ends[1]))
