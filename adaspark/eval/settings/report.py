"""Tables of `adaspark eval settings`, from its items alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adaspark.eval.harness.by_condition import Conditions
from adaspark.eval.report.page import write_page
from adaspark.eval.report.tables import Columns, Row, Table
from adaspark.mini.questions.families import FAMILIES

Items = Sequence[dict[str, Any]]
DENSE = "dense"


@dataclass(frozen=True)
class Compared:
    """One setting against dense."""

    name: str
    conditions: Conditions

    @cached_property
    def families(self) -> dict[str, Any]:
        """By family, on identical questions."""
        found = self.conditions.compared_by_family(self.name)
        return {family: found[family] for family in FAMILIES if family in found}

    @property
    def worst(self) -> str:
        """The family that loses most."""
        return min(self.families, key=lambda name: self.families[name].difference.value)

    @property
    def holds(self) -> bool:
        """Whether no family's estimate is more than a point below dense."""
        worst = self.families[self.worst]
        return bool(worst.difference.value >= -worst.margin)

    def mean(self, figure: str) -> float:
        """Mean of a figure over the clips."""
        return self.conditions.mean(self.name, figure)


def compared(items: Items) -> list[Compared]:
    """The settings, cheapest first."""
    conditions = Conditions(items)
    names = [name for name in conditions.by_condition if name != DENSE]
    found = [Compared(name, conditions) for name in names]
    return sorted(found, key=lambda each: each.mean("flops"))


def summarise(items: Items) -> list[Table]:
    """What each setting costs and loses, then family by family."""
    if not items:
        return []
    found = compared(items)
    return [_settings(found), _families(found), _scores(found)]


def draw(results: Any) -> None:
    """Write tables and the page of saved items."""
    results.save(summarise(results.items))
    write_page(
        results,
        title="Settings against dense",
        seen=list(findings(results.items)),
        failed=[],
    )


def findings(items: Items) -> Iterator[str]:
    """The cheapest setting at which every family stays within a point."""
    found = compared(items)
    holding = [each for each in found if each.holds]
    if not holding:
        yield "At no setting does every family's estimate stay within a point of dense."
        return
    best = holding[0]
    worst = best.families[best.worst]
    yield (
        f"Cheapest with every family's estimate within a point of dense: {best.name}, "
        f"{100 * best.mean('flops'):.1f} % of dense FLOPs; it loses most at {best.worst}, "
        f"{100 * worst.difference.value:+.1f} points."
    )


def _settings(found: Sequence[Compared]) -> Table:
    columns: Columns = {
        "setting": "text",
        "FLOPs, share of dense": "percent",
        "attention density": "share",
        "FFN density": "share",
        "all families, points": "points",
        "loses most at": "text",
        "there, points": "points",
        "every family within a point": "text",
    }
    rows: list[Row] = []
    for each in found:
        whole, worst = each.conditions.compared(each.name), each.families[each.worst]
        cost = [each.mean(figure) for figure in ("flops", "attention", "ffn")]
        holds = "yes" if each.holds else "no"
        rows.append([each.name, *cost, whole.difference, each.worst, worst.difference, holds])
    note = (
        "A setting is cube, attn_top_p, text_top_p (-: as attn_top_p, the paper's one p), "
        "ffn_top_p. Identical questions; 95 % intervals, bootstrapped by video."
    )
    return Table("Settings", columns, rows, note)


def _families(found: Sequence[Compared]) -> Table:
    columns: Columns = {"setting": "text"}
    columns.update((family, "points") for family in found[0].families)
    rows: list[Row] = [
        [each.name, *(c.difference for c in each.families.values())] for each in found
    ]
    return Table("Change from dense by family, points", columns, rows)


def _scores(found: Sequence[Compared]) -> Table:
    columns: Columns = {"family": "text", "items": "count", "dense": "percent"}
    columns.update((each.name, "percent") for each in found)
    rows: list[Row] = []
    for family, dense in found[0].families.items():
        scores = [each.families[family].treated for each in found]
        rows.append([family, dense.items, dense.baseline, *scores])
    return Table("Scores by family", columns, rows, "Grounding is mIoU.")
