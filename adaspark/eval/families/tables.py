"""Tables of `adaspark eval families`, from its items alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from adaspark.eval.harness.clips import Length
from adaspark.eval.report import stats
from adaspark.eval.report.tables import Columns, Row, Table, comparisons
from adaspark.mini.questions.families import FAMILIES

TARGETS = {
    "needle": 0.95,
    "lookalike": 0.95,
    "order": 0.9,
    "count": 0.9,
    "motion": 0.9,
    "spatial": 0.9,
    "grounding": 0.6,
    "at_time": 0.85,
    "aggregate": 0.85,
    "absent": 0.9,
}
"""Targets of the dense model, fixed before it was trained; grounding in mIoU."""
CONDITIONS = ("dense", "AdaSpark", "AdaSpark, tuned")
NAMED = {"order_pair": 2, "beside": 2, "above": 2, "where": 4}
"""Forms whose possible answers are named or known: how many."""

Item = Mapping[str, Any]
Items = Sequence[Item]


@dataclass(frozen=True)
class Answers:
    """The items of one length; what takes long is worked out once."""

    length: Length
    items: Items

    @property
    def title(self) -> str:
        """The length in words."""
        of = self.length
        return f"{of.frames} frames of {of.side} px ({of.tokens:,} video tokens)"

    @cached_property
    def conditions(self) -> list[str]:
        """The conditions that all items have."""
        return [
            condition for condition in CONDITIONS if all(condition in item for item in self.items)
        ]

    @cached_property
    def families(self) -> dict[str, Items]:
        """Items of each family."""
        return by_family(self.items)

    @cached_property
    def accuracies(self) -> dict[str, dict[str, stats.Estimate]]:
        """By condition and family."""
        return {
            condition: {family: accuracy(mine, condition) for family, mine in self.families.items()}
            for condition in self.conditions
        }

    @cached_property
    def compared(self) -> dict[str, dict[str, stats.Comparison]]:
        """By condition and family: sparse conditions against dense on the same items; "all" at the
        end.
        """
        groups = {**self.families, "all": self.items}
        return {
            condition: {name: _compared(mine, condition) for name, mine in groups.items()}
            for condition in self.conditions[1:]
        }


def study(items: Items) -> list[Answers]:
    """The items by length, shortest first."""
    lengths = {name: Length.parse(name) for name in {item["key"][0] for item in items}}
    return [
        Answers(lengths[name], [item for item in items if item["key"][0] == name])
        for name in sorted(lengths, key=lambda name: lengths[name].tokens)
    ]


def summarise(items: Items) -> list[Table]:
    """All tables of saved items."""
    return tables(study(items))


def tables(studied: Sequence[Answers]) -> list[Table]:
    """Answers and sparse against dense, length by length; cost, graded scores and controls."""
    found = []
    for answers in studied:
        found.append(_answers(answers))
        found += [_comparisons(answers, condition) for condition in answers.compared]
    return [*found, _cost(studied), _graded(studied), _controls(studied)] if studied else []


def by_family(items: Items) -> dict[str, Items]:
    """Items of each family, in the order of `FAMILIES`."""
    found = {family: [item for item in items if item["family"] == family] for family in FAMILIES}
    return {family: mine for family, mine in found.items() if mine}


def accuracy(items: Items, condition: str) -> stats.Estimate:
    """Share of right answers with Wilson's interval; mIoU, bootstrapped, if all are spans."""
    scores = _scores(items, condition)
    if all(item["family"] == "grounding" for item in items):
        return stats.bootstrap_mean(scores, _videos(items))
    return stats.wilson(sum(score >= stats.RIGHT for score in scores), len(scores))


def chance(items: Items) -> float:
    """Chance score from the questions alone: the best constant answer to each form, or one of the
    answers that the question names. NaN for `absent`, whose objects are never there.
    """
    if items[0]["family"] == "absent":
        return float("nan")
    forms: dict[str, list[str]] = {}
    for item in items:
        forms.setdefault(item["form"], []).append(item["expected"])
    return sum(_by_luck(form, found) for form, found in forms.items()) / len(items)


def _by_luck(form: str, expected: list[str]) -> float:
    """How many answers to one form the best guess gets right; spans count by their overlap."""
    if form in NAMED:
        return len(expected) / NAMED[form]
    if form != "grounding":
        return Counter(expected).most_common(1)[0][1]
    spans = [[float(end) for end in answer.split(" to ")] for answer in expected]
    overlaps = [stats.temporal_iou([span] * len(spans), spans).sum() for span in spans]
    return float(max(overlaps))


def by_order(items: Items) -> float:
    """Share right that reading shuffled frames as they come would get."""
    return float(np.mean([item["shuffled"]["as_shown"] for item in items]))


def mean(items: Items, condition: str, name: str) -> float | None:
    """Mean of a figure of a condition over the items that have it."""
    known = [item[condition][name] for item in items if item[condition][name] is not None]
    return float(np.mean(known)) if known else None


def _compared(items: Items, condition: str) -> stats.Comparison:
    return stats.compare(_scores(items, condition), _scores(items, "dense"), _videos(items))


def _answers(answers: Answers) -> Table:
    sparse = answers.conditions[1:]
    shares = [
        "target",
        *answers.conditions,
        *(f"hit rate, {condition}" for condition in sparse),
        "chance",
    ]
    columns: Columns = {"family": "text", "items": "count"}
    columns.update((name, "percent") for name in shares)
    rows: list[Row] = []
    for family, mine in answers.families.items():
        right = [answers.accuracies[condition][family] for condition in answers.conditions]
        found = [mean(mine, condition, "hit_last") for condition in sparse]
        rows.append([family, len(mine), TARGETS[family], *right, *found, chance(mine)])
    note = (
        "Exact answers with Wilson's 95 % interval; grounding is mIoU, bootstrapped by video. Hit "
        "rate: share of layers and heads in which the prompt's last row chose a cube of what is "
        "asked about. Chance: the best answer without a picture."
    )
    return Table(f"Answers, {answers.title}", columns, rows, note)


def _comparisons(answers: Answers, condition: str) -> Table:
    note = (
        "Identical questions; difference with a 95 % interval, bootstrapped by video; non-inferior "
        "where it excludes a loss of 1 point. Grounding flips at an IoU of 0.5."
    )
    title = f"{condition} against dense, {answers.title}"
    return comparisons(title, answers.compared[condition], note=note)


def _cost(studied: Sequence[Answers]) -> Table:
    columns: Columns = {
        "length": "text",
        "arm": "text",
        "attention density": "share",
        "of question rows": "share",
        "FFN density": "share",
        "FLOPs, share of dense": "percent",
        "with the vision tower": "percent",
    }
    names = ("attention", "rows", "ffn", "flops", "with_vision")
    rows: list[Row] = [
        [str(answers.length), condition, *(mean(answers.items, condition, name) for name in names)]
        for answers in studied
        for condition in answers.conditions[1:]
    ]
    note = "FLOPs of the language model's prefill by arithmetic (label A), choosing included."
    return Table("Cost", columns, rows, note)


def _graded(studied: Sequence[Answers]) -> Table:
    """Scores between right and wrong: spans by their overlap, counts by their distance."""
    scores = ["grounding mIoU", *(f"R@{t}" for t in stats.IOU_THRESHOLDS), "count MRA"]
    columns: Columns = {"length": "text", "arm": "text"}
    columns.update((name, "percent") for name in scores)
    rows: list[Row] = []
    for answers in studied:
        spans = answers.families.get("grounding", [])
        counts = answers.families.get("count", [])
        true = [float(item["expected"]) for item in counts]
        for condition in answers.conditions:
            overlaps = stats.grounding(_scores(spans, condition), _videos(spans))
            said = [_number(item[condition]["answer"]) for item in counts]
            relative = stats.relative_accuracy(said, true)
            counted = stats.bootstrap_mean(relative, _videos(counts))
            rows.append([str(answers.length), condition, *overlaps.values(), counted])
    return Table("Graded scores", columns, rows, "MRA: mean relative accuracy, as in VSI-Bench.")


def _controls(studied: Sequence[Answers]) -> Table:
    columns: Columns = {
        "length": "text",
        "family": "text",
        "items": "count",
        "grey pictures": "percent",
        "chance": "percent",
        "items of order": "count",
        "frames shuffled": "percent",
        "read as shown": "percent",
    }
    rows: list[Row] = []
    for answers in studied:
        asked = by_family([item for item in answers.items if "blind" in item])
        for family, mine in asked.items():
            mixed = [item for item in mine if "shuffled" in item]
            shown: Row = [accuracy(mixed, "shuffled"), by_order(mixed)] if mixed else [None] * 2
            blind: Row = [len(mine), accuracy(mine, "blind"), chance(mine)]
            rows.append([str(answers.length), family, *blind, len(mixed) or None, *shown])
    note = (
        "Dense. Shuffled: only questions whose answer the frames' order decides, and what reading "
        "the shuffled frames as they come would get (of a motion the axis stays)."
    )
    return Table("Controls", columns, rows, note)


def _scores(items: Items, condition: str) -> list[float]:
    return [item[condition]["correct"] for item in items]


def _videos(items: Items) -> list[int]:
    """What names each item's video, for bootstraps."""
    return [item["key"][1] for item in items]


def _number(answer: str) -> float:
    return float(answer) if answer.isdecimal() else float("nan")
