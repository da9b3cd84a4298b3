"""Conditions on the same clips: one item for each clip and condition, and figures from them.

An item's key is (length, condition, clip's seed). Its questions are rows of family, score, logprob
of the right answer in nats, and hit rate (null if the question is about no single object).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.conditions import DENSE_CONDITION, Condition
from adaspark.eval.harness.context import Context
from adaspark.eval.harness.outcomes import Outcome
from adaspark.eval.report import stats

Items = Sequence[Mapping[str, Any]]
Scores = NDArray[np.float64]
CORRECT, LOGPROB, HIT = 1, 2, 3
BASELINE = DENSE_CONDITION.name
"""what the others are compared with"""
ALPHA = 0.05
"""p-values below it decide"""
_EXACT = 12


def answer(
    context: Context, length: str, clips: Sequence[Clip], conditions: Sequence[Condition]
) -> None:
    """Add the items of these conditions and clips that are missing; `clips` fit in one batch."""
    for condition in conditions:
        missing = [
            clip for clip in clips if not context.results.has(length, condition.name, clip.seed)
        ]
        if missing:
            for clip, found in zip(missing, context.runner.run(missing, condition), strict=True):
                context.results.add(length, condition.name, clip.seed, **_fields(condition, found))


def with_dense(conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions behind the dense one, which they are compared with."""
    return [DENSE_CONDITION, *conditions]


def jobs(context: Context, length: str, clips: Sequence[Clip]) -> list[tuple[str, Sequence[Clip]]]:
    """Batches of one length, as `answer` takes them."""
    return [(length, batch) for batch in context.runner.batches(clips)]


def _fields(condition: Condition, found: Sequence[Outcome]) -> dict[str, Any]:
    """Figures are means over the clip's questions; `with_vision` counts the tower on both sides."""

    def over(figure: Callable[[Outcome], float]) -> float:
        return round(mean(map(figure, found)), 5)

    return {
        "config": condition.config.to_dict(),
        "attention": over(lambda o: o.density["attention"]),
        "ffn": over(lambda o: o.density["ffn"]),
        "flops": over(lambda o: o.flops["sparse"] / o.flops["dense"]),
        "with_vision": over(
            lambda o: (
                (o.flops["sparse"] + o.flops["vision"])
                / (o.flops["dense"] + o.flops["vision_dense"])
            )
        ),
        "questions": [
            [o.family, round(o.correct, 4), round(o.logprob, 5), o.hit_last] for o in found
        ],
    }


def sign_flip(differences: Scores) -> float:
    """Two-sided p-value of Fisher's randomisation test: how often a random choice of signs moves
    the mean of `differences` [N] as far from 0. All choices up to N = 12, else 4,096 drawn ones.
    (`scipy.stats.permutation_test` draws other signs: published p-values would change.)
    """
    count = len(differences)
    if count <= _EXACT:
        signs = 1 - 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
    else:
        signs = np.random.default_rng(0).choice((-1, 1), size=(2**_EXACT, count))
        signs[0] = 1  # what was observed is one of them, so p is never 0
    moved = np.abs(signs @ differences)
    return float((moved >= moved[0] * (1 - 1e-9)).mean())


@dataclass(frozen=True)
class Conditions:
    """Items of one length."""

    items: Items

    @classmethod
    def at(cls, length: str, items: Items) -> Conditions:
        """The items of `length`."""
        return cls([item for item in items if item["key"][0] == length])

    @cached_property
    def by_condition(self) -> dict[str, dict[int, Mapping[str, Any]]]:
        """Item by condition and seed; a condition has fewer clips if the time budget ran out."""
        found: dict[str, dict[int, Mapping[str, Any]]] = {}
        for item in self.items:
            found.setdefault(item["key"][1], {})[item["key"][2]] = item
        return found

    def mean(self, condition: str, figure: str) -> float:
        """Mean of a figure over a condition's clips."""
        return float(np.mean([item[figure] for item in self.by_condition[condition].values()]))

    def column(self, condition: str, column: int, among: str = BASELINE) -> Scores:
        """[N]: CORRECT, LOGPROB or HIT of the questions that `among` answered too; NaN for null."""
        rows = self._rows(condition, among)
        return np.array([row[column] for row in rows], np.float64)

    def families(self, condition: str, among: str = BASELINE) -> list[str]:
        """[N]: the family of each of these questions."""
        return [row[0] for row in self._rows(condition, among)]

    def videos(self, condition: str, among: str = BASELINE) -> list[int]:
        """[N]: the clip of each of these questions."""
        common = self._common(condition, among)
        return [seed for seed in common for _ in self.by_condition[condition][seed]["questions"]]

    def accuracy(self, condition: str) -> stats.Estimate:
        """Mean score with its interval, bootstrapped by video."""
        return stats.bootstrap_mean(self.column(condition, CORRECT), self.videos(condition))

    def hit_rate(self, condition: str) -> float:
        """Mean over the questions about one object."""
        return float(np.nanmean(self.column(condition, HIT)))

    def lost(self, condition: str, baseline: str = BASELINE) -> stats.Estimate:
        """Nats of logprob of the right answer that `condition` loses against `baseline`."""
        change = self._losses(condition, baseline)
        return stats.bootstrap_mean(change, self.videos(condition, baseline))

    def p_value(self, condition: str, baseline: str) -> float:
        """Probability of a difference in logprob this large by chance; exact for few clips."""
        change = self._losses(condition, baseline)
        videos = np.array(self.videos(condition, baseline))
        return sign_flip(np.array([change[videos == v].mean() for v in dict.fromkeys(videos)]))

    def compared(self, condition: str, baseline: str = BASELINE) -> stats.Comparison:
        """A condition against another on identical questions."""
        pair = self.column(condition, CORRECT, baseline), self.column(baseline, CORRECT, condition)
        return stats.compare(*pair, self.videos(condition, baseline))

    def compared_by_family(self, condition: str) -> dict[str, stats.Comparison]:
        """A condition against dense on identical questions, family by family."""
        names, videos = np.array(self.families(condition)), self.videos(condition)
        mine = self.column(condition, CORRECT)
        dense = self.column(DENSE_CONDITION.name, CORRECT, condition)
        places = {str(name): np.flatnonzero(names == name) for name in dict.fromkeys(names)}
        return {
            name: stats.compare(mine[at], dense[at], [videos[i] for i in at])
            for name, at in places.items()
        }

    def changes(self, condition: str, column: int) -> dict[str, float]:
        """By family: mean change of a column from dense."""
        change = self.column(condition, column) - self.column(BASELINE, column, condition)
        names = np.array(self.families(condition))
        return {str(name): float(change[names == name].mean()) for name in np.unique(names)}

    def _losses(self, condition: str, baseline: str) -> Scores:
        """[N]: nats that `condition` loses against `baseline` on each question of both."""
        return self.column(baseline, LOGPROB, condition) - self.column(condition, LOGPROB, baseline)

    def _common(self, condition: str, among: str) -> list[int]:
        return [seed for seed in self.by_condition[condition] if seed in self.by_condition[among]]

    def _rows(self, condition: str, among: str) -> list[list[Any]]:
        return [
            row
            for s in self._common(condition, among)
            for row in self.by_condition[condition][s]["questions"]
        ]
