"""Is the choice adaptive? Questions about a whole clip against those about one object of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adaspark.eval.harness.by_layer import layer_names, lengths_of, mean_of, table_of
from adaspark.eval.report.cells import written
from adaspark.eval.report.stats import CONFIDENCE, MIN_VIDEOS, Estimate
from adaspark.eval.report.tables import Columns, Row, Table

Items = Sequence[dict[str, Any]]

ROWS = {
    "question": "the question's rows",
    "last": "the row that gives the answer's first token",
    "answer": "the answer's rows",
}
"""Rows of a question's text, as items of `layers` name them, and in words."""


@dataclass(frozen=True)
class Gap:
    """Kept share of cubes in some `rows`: aggregate less needle questions, paired by clip.

    `mean` is over all layers; the intervals of `layers` hold together (Bonferroni), so that a layer
    does not stand out by chance.
    """

    rows: str
    clips: int
    mean: Estimate
    layers: list[Estimate]

    @property
    def more(self) -> list[int]:
        """Layers in which the question about the whole clip clearly keeps more."""
        return [layer for layer, gap in enumerate(self.layers) if gap.low > 0]

    @property
    def fewer(self) -> list[int]:
        """Layers in which it clearly keeps fewer."""
        return [layer for layer, gap in enumerate(self.layers) if gap.high < 0]


def gaps(items: Items) -> list[Gap]:
    """The gap in each of `ROWS`, on the clips that are asked both kinds of question."""
    found = []
    for rows in ROWS:
        pairs = []
        for item in items:
            kept = {question["family"]: question[rows] for question in item["questions"]}
            if kept.keys() >= {"aggregate", "needle"}:
                pairs.append((kept["aggregate"], kept["needle"]))
        many, one = (table_of([pair[side] for pair in pairs]) for side in (0, 1))
        by_clip = many - one
        together = 1 - (1 - CONFIDENCE) / max(1, by_clip.shape[1])
        layers = [mean_of(column, confidence=together) for column in by_clip.T]
        found.append(Gap(rows, len(pairs), mean_of(_means(by_clip)), layers))
    return found


def seen(length: str, items: Items) -> Iterator[str]:
    """Findings: questions about the whole clip keep more cubes."""
    for gap in gaps(items):
        if gap.clips < MIN_VIDEOS:
            continue
        if gap.mean.low > 0:
            yield f"{length}: adaptive over all layers. {_said(gap, 'more')}"
        if gap.more:
            layers = ", ".join(
                f"layer {layer} ({written(gap.layers[layer], 'points')} points)"
                for layer in gap.more
            )
            yield (
                f"{length}: adaptive in some layers. In {ROWS[gap.rows]}, questions for the most "
                f"common keep more cubes than those for a single object in {layers}."
            )


def failed(length: str, items: Items) -> Iterator[str]:
    """Failures: they do not, or there are too few clips to decide."""
    for gap in gaps(items):
        if gap.clips < MIN_VIDEOS:
            yield (
                f"{length}: adaptivity in {ROWS[gap.rows]} is undecided: {gap.clips} clips are "
                f"asked both kinds of question, {MIN_VIDEOS} are needed."
            )
        elif gap.mean.high < 0:
            yield f"{length}: the wrong way round. {_said(gap, 'fewer')}"
        elif gap.mean.low <= 0:
            said = _said(gap, "not clearly more")
            yield f"{length}: over all layers adaptivity is not shown. {said}"


def table(items: Items) -> Table:
    """The gaps by length."""
    columns: Columns = {
        "clips": "text",
        "rows": "text",
        "number": "count",
        "all layers, points": "points",
        "more in": "text",
        "fewer in": "text",
    }
    rows: list[Row] = [
        [
            length,
            ROWS[gap.rows],
            gap.clips,
            gap.mean,
            layer_names(gap.more) if gap.more else None,
            layer_names(gap.fewer) if gap.fewer else None,
        ]
        for length, mine in lengths_of(items).items()
        for gap in gaps(mine)
    ]
    note = (
        "Kept cubes of a question for the most common less those of a question for a single object "
        "of the same clip, as shares of its cubes; paired by clip. Layers are named where the "
        "intervals of all, which hold together, leave out zero."
    )
    return Table("Is the choice adaptive? (S)", columns, rows, note)


def _means(by_clip: Any) -> Any:
    return np.nanmean(by_clip, axis=1) if by_clip.size else np.zeros(0)


def _said(gap: Gap, more: str) -> str:
    but = f" They keep fewer in {layer_names(gap.fewer)}." if gap.fewer else ""
    return (
        f"In {ROWS[gap.rows]}, questions for the most common keep {more} cubes than those for a "
        f"single object of the same clip: {written(gap.mean, 'points')} points of all cubes.{but}"
    )
