"""Tables, findings and pictures of `adaspark eval niah`, from its items alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaspark.eval.harness.by_layer import said_left_out
from adaspark.eval.harness.clips import Length
from adaspark.eval.report import stats
from adaspark.eval.report.cells import written
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.page import write_page
from adaspark.eval.report.results import Results
from adaspark.eval.report.tables import Columns, Row, Table

ADASPARK = "AdaSpark"
RULES = {"top-k": "top_k", "uniform": "uniform"}
"""Baselines by name: their rule."""
NO_RULE = "none"
CONDITIONS = ("dense", ADASPARK, *RULES)
VARIANTS = ("needle", "lookalike")
TITLES = {"needle": "A needle in a haystack", "lookalike": "A needle with a look-alike"}

Items = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Haystack:
    """The items of one variant."""

    variant: str
    items: Items

    @cached_property
    def conditions(self) -> list[str]:
        """The conditions that were asked, dense first."""
        return [condition for condition in CONDITIONS if condition in self.items[0]]

    @property
    def rules(self) -> list[str]:
        """The baselines among them."""
        return [condition for condition in self.conditions if condition in RULES]

    @cached_property
    def lengths(self) -> list[Length]:
        """Trained lengths first, then by frames."""
        found = {Length.parse(item["key"][1]) for item in self.items}
        return sorted(found, key=lambda length: (not length.is_trained, length.frames))

    @cached_property
    def depths(self) -> list[float]:
        """Depths, the start of the clip first."""
        return sorted({item["key"][2] for item in self.items})

    def of(self, length: Length) -> Items:
        """The items of one length."""
        return [item for item in self.items if item["key"][1] == str(length)]

    def grid(self, condition: str, name: str) -> NDArray[np.float64]:
        """[depths, lengths]: mean of a condition's figure in each cell; NaN if it is empty."""
        cells = np.full((len(self.depths), len(self.lengths)), np.nan)
        for column, length in enumerate(self.lengths):
            for row, depth in enumerate(self.depths):
                values = _known(
                    [i for i in self.of(length) if i["key"][2] == depth], condition, name
                )
                cells[row, column] = np.mean(values) if values else np.nan
        return cells


def study(items: Items) -> list[Haystack]:
    """The items by variant."""
    found = [Haystack(v, [item for item in items if item["key"][0] == v]) for v in VARIANTS]
    return [haystack for haystack in found if haystack.items]


def summarise(items: Items) -> list[Table]:
    """Each variant by length and condition, and AdaSpark against every other condition."""
    return [table(haystack) for haystack in study(items) for table in (_conditions, _against)]


def draw(results: Results) -> None:
    """Write tables, pictures and the page of saved items."""
    studied = study(results.items)
    figures = [figure for haystack in studied for figure in _figures(haystack)]
    results.save(summarise(results.items), figures)
    write_page(
        results,
        title="Needle in a haystack: frames by depth",
        paper="Fig. 3",
        seen=[sentence for haystack in studied for sentence in findings(haystack)],
        failed=[
            *(said for haystack in studied for said in failures(haystack)),
            *said_left_out(results.data),
        ],
    )


def findings(haystack: Haystack) -> Iterator[str]:
    """What the numbers of one variant say."""
    title = TITLES[haystack.variant]
    found = "; ".join(
        f"{condition} {written(_accuracy(haystack.items, condition), 'percent')} (lowest cell "
        f"{written(_lowest(haystack, condition), 'percent')})"
        for condition in haystack.conditions
    )
    yield f"{title}, {len(haystack.items):,} clips: {found}."
    chosen = "; ".join(
        f"{condition} {written(_mean(haystack.items, condition, 'hit_last'), 'percent')} at "
        f"density {written(_mean(haystack.items, condition, 'attention'), 'share')}"
        for condition in haystack.conditions[1:]
    )
    yield f"{title}: share of layers and heads that choose the needle's cube: {chosen}."
    for baseline in haystack.rules:
        row = compared(haystack.items, baseline)
        if row.difference.low > 0:
            yield f"{title}: AdaSpark beats {baseline} at equal density. {_difference(row)}"


def failures(haystack: Haystack) -> Iterator[str]:
    """What one variant does not show, or shows against the method."""
    title = TITLES[haystack.variant]
    for baseline in haystack.rules:
        row = compared(haystack.items, baseline)
        if row.difference.low <= 0:
            yield (
                f"{title}: AdaSpark is not shown to beat {baseline} at equal density. "
                f"{_difference(row)}"
            )
    row = compared(haystack.items, "dense")
    if row.verdict in ("worse", "undecided"):
        yield f"{title}, AdaSpark against dense. {row.sentence}"


def compared(items: Items, baseline: str) -> stats.Comparison:
    """AdaSpark against another condition on the same needles."""
    treated, others = (
        [item[condition]["correct"] for item in items] for condition in (ADASPARK, baseline)
    )
    return stats.compare(treated, others, [item["key"][3] for item in items])


def _difference(row: stats.Comparison) -> str:
    return (
        f"Difference {written(row.difference, 'points')} points, {row.gained} needles gained, "
        f"{row.lost} lost, McNemar's p {written(row.p_value, 'p')}."
    )


def _conditions(haystack: Haystack) -> Table:
    columns: Columns = {
        "length": "text",
        "arm": "text",
        "needles": "count",
        "found": "percent",
        "lowest depth": "percent",
        "hit rate": "percent",
        "attention density": "share",
        "of question rows": "share",
        "share of cubes kept": "share",
    }
    names = ["hit_last", "attention", "rows", "keep"]
    if any("flops" in item[ADASPARK] for item in haystack.items):  # not in older items
        columns, names = {**columns, "FLOPs": "percent"}, [*names, "flops"]
    rows: list[Row] = []
    for column, length in enumerate(haystack.lengths):
        mine = haystack.of(length)
        for condition in haystack.conditions:
            lowest = float(np.nanmin(haystack.grid(condition, "correct")[:, column]))
            means = [_mean(mine, condition, name) for name in names]
            name = str(length) if length.is_trained else f"{length}, longer than trained"
            rows.append([name, condition, len(mine), _accuracy(mine, condition), lowest, *means])
    note = (
        "Wilson's 95 % interval. Hit rate: share of layers and heads in which the prompt's last "
        "row chose a cube of the needle."
    )
    if haystack.rules:
        note += (
            " Top-k and uniform keep the share of cubes at which their attention density is "
            "AdaSpark's; the FFN is AdaSpark's in all three."
        )
    return Table(TITLES[haystack.variant], columns, rows, note)


def _against(haystack: Haystack) -> Table:
    columns: Columns = {
        "AdaSpark against": "text",
        "needles": "count",
        "AdaSpark": "percent",
        "the other": "percent",
        "difference, points": "points",
        "gained": "count",
        "lost": "count",
        "McNemar's p": "p",
        "verdict": "text",
    }
    rows: list[Row] = []
    for baseline in ("dense", *haystack.rules):
        row = compared(haystack.items, baseline)
        shares: Row = [row.treated, row.baseline, row.difference]
        rows.append([baseline, row.items, *shares, row.gained, row.lost, row.p_value, row.verdict])
    note = "Identical clips of all lengths; a 95 % interval, bootstrapped by video."
    return Table(f"{TITLES[haystack.variant]}, paired", columns, rows, note)


def _figures(haystack: Haystack) -> Iterator[Figure]:
    title = f"{TITLES[haystack.variant]}: found, by frames and depth"
    panels = {condition: haystack.grid(condition, "correct") for condition in haystack.conditions}
    yield _panels(haystack, f"niah_{haystack.variant}", title, panels)
    title = f"{TITLES[haystack.variant]}: density, and how often its cube is chosen"
    panels = {"attention density, AdaSpark": haystack.grid(ADASPARK, "attention")}
    panels |= {
        f"hit rate, {condition}": haystack.grid(condition, "hit_last")
        for condition in haystack.conditions[1:]
    }
    yield _panels(haystack, f"niah_{haystack.variant}_hits", title, panels)


def _panels(
    haystack: Haystack, name: str, title: str, panels: Mapping[str, NDArray[np.float64]]
) -> Figure:
    from adaspark.eval.report import charts

    usual = max(length.side for length in haystack.lengths)
    picture = charts.heatmap_panels(
        panels,
        [f"{100 * depth:.0f} %" for depth in haystack.depths],
        [f"{n.frames}" + f"\n{n.side} px" * (n.side != usual) for n in haystack.lengths],
        title=title,
        column_label=f"frames, {usual} px",
        trained=sum(length.is_trained for length in haystack.lengths),
        note="Small model, synthetic video.",
    )
    said = "; ".join(
        f"{panel} {written(_average(grid), 'percent')}" for panel, grid in panels.items()
    )
    return Figure(name, picture, title, f"Heat maps of depth by frames. Means: {said}.")


def _accuracy(items: Items, condition: str) -> stats.Estimate:
    return stats.wilson(sum(int(item[condition]["correct"]) for item in items), len(items))


def _lowest(haystack: Haystack, condition: str) -> float:
    return float(np.nanmin(haystack.grid(condition, "correct")))


def _average(grid: NDArray[np.float64]) -> float:
    return float(np.nanmean(grid))


def _known(items: Items, condition: str, name: str) -> list[float]:
    return [item[condition][name] for item in items if name in item[condition]]


def _mean(items: Items, condition: str, name: str) -> float | None:
    values = _known(items, condition, name)
    return float(np.mean(values)) if values else None
