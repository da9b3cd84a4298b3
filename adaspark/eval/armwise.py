"""Arms on the same clips: one item a clip and arm, and what the items say of arms.

An item's key is (length, arm, clip's seed). Its questions are rows of family, score, logprob of the
right answer in nats, and hit rate (null where the question is about no single object).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaspark.eval import stats
from adaspark.eval.arms import DENSE_ARM, Arm, Clip
from adaspark.eval.context import Context
from adaspark.eval.outcomes import Outcome

Items = Sequence[Mapping[str, Any]]
Scores = NDArray[np.float64]
CORRECT, LOGPROB, HIT = 1, 2, 3
ALPHA = 0.05
"""p-values below it decide"""
_EXACT = 12


def answer(context: Context, length: str, clips: Sequence[Clip], arms: Sequence[Arm]) -> None:
    """Add the items of these arms and clips that are missing; `clips` fit in one batch."""
    for arm in arms:
        missing = [clip for clip in clips if not context.results.has(length, arm.name, clip.seed)]
        if missing:
            for clip, found in zip(missing, context.runner.run(missing, arm), strict=True):
                context.results.add(length, arm.name, clip.seed, **_told(arm, found))


def jobs(context: Context, length: str, clips: Sequence[Clip]) -> list[tuple[str, Sequence[Clip]]]:
    """Batches of one length as `answer` wants them."""
    return [(length, batch) for batch in context.runner.batches(clips)]


def _told(arm: Arm, found: Sequence[Outcome]) -> dict[str, Any]:
    """Figures are means over the clip's questions; `with_vision` counts the tower on both sides."""

    def over(figure: Callable[[Outcome], float]) -> float:
        return round(mean(map(figure, found)), 5)

    return {
        "config": arm.config.to_dict(),
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
    (`scipy.stats.permutation_test` draws others: the p-values that were published would change.)
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
class Arms:
    """Items of one length."""

    items: Items

    @classmethod
    def at(cls, length: str, items: Items) -> Arms:
        """Those of `length` among items of several."""
        return cls([item for item in items if item["key"][0] == length])

    @cached_property
    def by_arm(self) -> dict[str, dict[int, Mapping[str, Any]]]:
        """Item by arm and seed. An arm that a budget of time cut short has fewer clips."""
        found: dict[str, dict[int, Mapping[str, Any]]] = {}
        for item in self.items:
            found.setdefault(item["key"][1], {})[item["key"][2]] = item
        return found

    def mean(self, arm: str, figure: str) -> float:
        """Mean of a figure over an arm's clips."""
        return float(np.mean([item[figure] for item in self.by_arm[arm].values()]))

    def column(self, arm: str, column: int, among: str = DENSE_ARM.name) -> Scores:
        """[N]: CORRECT, LOGPROB or HIT of the questions that `among` answered too; NaN for null."""
        rows = self._rows(arm, among)
        return np.array([row[column] for row in rows], np.float64)

    def families(self, arm: str, among: str = DENSE_ARM.name) -> list[str]:
        """[N]: the family of each of these questions."""
        return [row[0] for row in self._rows(arm, among)]

    def videos(self, arm: str, among: str = DENSE_ARM.name) -> list[int]:
        """[N]: the clip of each of these questions."""
        common = self._common(arm, among)
        return [seed for seed in common for _ in self.by_arm[arm][seed]["questions"]]

    def accuracy(self, arm: str) -> stats.Estimate:
        """Mean score with its interval, bootstrapped by video."""
        return stats.bootstrap_mean(self.column(arm, CORRECT), self.videos(arm))

    def hit_rate(self, arm: str) -> float:
        """Mean over the questions about one object."""
        return float(np.nanmean(self.column(arm, HIT)))

    def lost(self, arm: str, rival: str = DENSE_ARM.name) -> stats.Estimate:
        """Nats of logprob of the right answer that `arm` loses against `rival`, by video."""
        change = self.column(rival, LOGPROB, arm) - self.column(arm, LOGPROB, rival)
        return stats.bootstrap_mean(change, self.videos(arm, rival))

    def p_value(self, arm: str, rival: str) -> float:
        """Of a difference in logprob this large where neither loses more: exact on few clips."""
        change = self.column(rival, LOGPROB, arm) - self.column(arm, LOGPROB, rival)
        videos = np.array(self.videos(arm, rival))
        return sign_flip(np.array([change[videos == v].mean() for v in dict.fromkeys(videos)]))

    def compared(self, arm: str, rival: str = DENSE_ARM.name) -> stats.Comparison:
        """An arm against another on identical questions."""
        pair = self.column(arm, CORRECT, rival), self.column(rival, CORRECT, arm)
        return stats.compare(*pair, self.videos(arm, rival))

    def changes(self, arm: str, column: int) -> dict[str, float]:
        """By family: mean change of a column from dense."""
        change = self.column(arm, column) - self.column(DENSE_ARM.name, column, arm)
        names = np.array(self.families(arm))
        return {str(name): float(change[names == name].mean()) for name in np.unique(names)}

    def _common(self, arm: str, among: str) -> list[int]:
        return [seed for seed in self.by_arm[arm] if seed in self.by_arm[among]]

    def _rows(self, arm: str, among: str) -> list[list[Any]]:
        return [row for s in self._common(arm, among) for row in self.by_arm[arm][s]["questions"]]
