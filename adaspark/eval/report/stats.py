"""The statistics of every evaluation: intervals, paired comparisons, and scores that are not exact.

Items of one video are not independent, so intervals resample whole videos (a cluster bootstrap;
the video's seed names it). Dense and sparse answer identical items, so differences are paired.
Scores are numbers in [0, 1]; exact answers are 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

CONFIDENCE = 0.95
DRAWS = 5_000
MARGIN = 0.01
"""One point: the loss that counts as none, fixed before anything was measured."""
MIN_VIDEOS = 20
"""With fewer clusters a bootstrap interval is too narrow to decide anything."""
RIGHT = 0.5
"""The score from which an item counts as right; for grounding this is R@0.5."""
IOU_THRESHOLDS = (0.3, 0.5, 0.7)

Verdict = Literal["better", "non-inferior", "worse", "undecided"]
Scores = NDArray[np.float64]


class Estimate(NamedTuple):
    """A value and the ends of its interval; JSON keeps it as [value, low, high]."""

    value: float
    low: float
    high: float


def wilson(right: int, total: int, *, confidence: float = CONFIDENCE) -> Estimate:
    """A share of independent items with Wilson's score interval (1927).

    Without items the share is NaN and its interval is all of [0, 1].

    Raises ValueError unless 0 <= right <= total.
    """
    if not 0 <= right <= total:
        raise ValueError(f"Of {total} items {right} cannot be right.")
    if total == 0:
        return Estimate(math.nan, 0.0, 1.0)
    interval = binomtest(right, total).proportion_ci(confidence, method="wilson")
    return Estimate(right / total, float(interval.low), float(interval.high))


def bootstrap_mean(
    scores: ArrayLike,
    videos: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Mean of `scores` [N] with the percentile interval of a bootstrap over `videos` [N].

    Without `videos` every item is a cluster of its own. Without items everything is NaN.
    (`scipy.stats.bootstrap` draws indices of single items, with other random numbers: published
    intervals could not be reproduced.)

    Raises ValueError if the lengths differ or a score is not finite.
    """
    values = _checked(scores)
    sums, counts = _per_video(values, videos)
    if not len(values):
        return Estimate(math.nan, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    even = np.full(len(sums), 1 / len(sums))
    means = np.empty(draws)
    step = max(1, 2**21 // len(sums))  # bounds the table of drawn counts to 16 MB
    for first in range(0, draws, step):
        drawn = rng.multinomial(len(sums), even, size=min(step, draws - first))  # [draws, videos]
        means[first : first + len(drawn)] = drawn @ sums / (drawn @ counts)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(values.mean()), float(low), float(high))


def paired_difference(
    treated: ArrayLike,
    baseline: ArrayLike,
    videos: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Mean of `treated - baseline` [N] on identical items, bootstrapped by video.

    Resampling cannot see a flip that did not happen yet, so the interval reaches at least as far
    as N independent items without any flip allow (Clopper and Pearson: 1 - (alpha / 2)^(1 / N)).
    """
    treated, baseline = _paired(treated, baseline)
    found = bootstrap_mean(
        treated - baseline, videos, confidence=confidence, draws=draws, seed=seed
    )
    if not len(treated):
        return found
    unseen = 1 - ((1 - confidence) / 2) ** (1 / len(treated))
    return Estimate(
        found.value, min(found.low, found.value - unseen), max(found.high, found.value + unseen)
    )


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p-value of McNemar's exact test: are flips as likely in both directions?"""
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


@dataclass(frozen=True)
class Comparison:
    """A sparse condition against the dense one on identical items.

    `gained` items were wrong and became right, `lost` ones the reverse; `p_value` is McNemar's.
    Means and the difference are shares, not points.
    """

    items: int
    videos: int
    baseline: float
    treated: float
    difference: Estimate
    gained: int
    lost: int
    p_value: float
    margin: float
    verdict: Verdict

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        value, low, high = (_signed(100 * number) for number in self.difference)
        found = f"{value} points (95 % interval {low} to {high})"
        margin = f"{100 * self.margin:g}"
        if self.videos < MIN_VIDEOS:
            return f"Undecided: {found}, from {self.videos} videos; {MIN_VIDEOS} are needed."
        return {
            "better": f"Better: {found}.",
            "non-inferior": f"Non-inferior: {found}; a loss of {margin} or more is excluded.",
            "worse": f"Worse: {found}; a loss of more than {margin} is shown.",
            "undecided": f"Undecided: {found}; a loss of {margin} is neither shown nor excluded.",
        }[self.verdict]


def compare(
    treated: ArrayLike,
    baseline: ArrayLike,
    videos: Sequence[Hashable] | None = None,
    *,
    margin: float = MARGIN,
) -> Comparison:
    """Difference, flips and the non-inferiority verdict of two conditions; scores are [N].

    Non-inferior: the whole 95 % interval of the difference lies above -margin. Worse: it lies under
    it. Better, which asks for more than a loss does: it lies above 0, and McNemar's test agrees
    (p < 0.05).
    """
    treated, baseline = _paired(treated, baseline)
    difference = paired_difference(treated, baseline, videos)
    number = len(_per_video(treated, videos)[0])
    was, became = baseline >= RIGHT, treated >= RIGHT
    gained, lost = int((became & ~was).sum()), int((was & ~became).sum())
    p = mcnemar(gained, lost)
    return Comparison(
        items=len(treated),
        videos=number,
        baseline=_mean(baseline),
        treated=_mean(treated),
        difference=difference,
        gained=gained,
        lost=lost,
        p_value=p,
        margin=margin,
        verdict=_verdict(difference, p, margin) if number >= MIN_VIDEOS else "undecided",
    )


def relative_accuracy(predicted: ArrayLike, true: ArrayLike) -> Scores:
    """[N]: VSI-Bench's score of counts, the share of ten tolerances that an answer keeps.

    The tolerances are 50 %, 45 %, ... 5 % of the true count; their mean over items is MRA. An
    answer exactly at a tolerance keeps it, as in VSI-Bench's code (its paper writes <). NaN, an
    answer that is no number, scores 0; of a true count of 0 only 0 is right.
    """
    answers, counts = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    error = np.abs(answers - counts)[..., None] * 20  # twentieths: whole numbers stay exact
    kept: NDArray[np.bool_] = error <= np.arange(1, 11) * counts[..., None]
    scores: Scores = kept.mean(-1)
    return scores


def temporal_iou(predicted: ArrayLike, true: ArrayLike) -> Scores:
    """[N]: intersection over union of time spans [N, 2] (start, end) in seconds.

    NaN, a span that could not be read, and a span that ends before it starts score 0; two equal
    moments score 1.
    """
    (start, end), (first, last) = _spans(predicted), _spans(true)
    overlap = np.minimum(end, last) - np.maximum(start, first)
    union = np.maximum(end, last) - np.minimum(start, first)
    valid = (start <= end) & (first <= last) & (overlap >= 0)
    shared = np.divide(overlap, union, out=np.ones_like(union), where=valid & (union > 0))
    return np.where(valid, shared, 0.0)


def grounding(ious: ArrayLike, videos: Sequence[Hashable] | None = None) -> dict[str, Estimate]:
    """mIoU and R@0.3, R@0.5, R@0.7 (IoU at least that) of `ious` [N], bootstrapped by video."""
    values = _checked(ious)
    scores = {"mIoU": values} | {f"R@{t}": (values >= t).astype(float) for t in IOU_THRESHOLDS}
    return {name: bootstrap_mean(score, videos) for name, score in scores.items()}


def _verdict(difference: Estimate, p: float, margin: float) -> Verdict:
    if difference.low > 0 and p < 1 - CONFIDENCE:
        return "better"
    if difference.low > -margin:
        return "non-inferior"
    return "worse" if difference.high < -margin else "undecided"


def _signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−")  # noqa: RUF001


def _checked(scores: ArrayLike) -> Scores:
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"Scores are one row of finite numbers, got shape {values.shape}.")
    return values


def _paired(treated: ArrayLike, baseline: ArrayLike) -> tuple[Scores, Scores]:
    a, b = _checked(treated), _checked(baseline)
    if a.shape != b.shape:
        raise ValueError(f"Paired scores are of identical items; got {len(a)} and {len(b)}.")
    return a, b


def _per_video(values: Scores, videos: Sequence[Hashable] | None) -> tuple[Scores, Scores]:
    """Sum and number of the scores of each video."""
    if videos is None:
        return values, np.ones_like(values)
    if len(videos) != len(values):
        raise ValueError(f"Each of the {len(values)} scores needs its video; got {len(videos)}.")
    names = {name: index for index, name in enumerate(dict.fromkeys(videos))}
    at = np.array([names[name] for name in videos], np.int64)
    sums, counts = np.zeros(len(names)), np.zeros(len(names))
    np.add.at(sums, at, values)
    np.add.at(counts, at, 1)
    return sums, counts


def _mean(values: Scores) -> float:
    return float(values.mean()) if len(values) else math.nan


def _spans(spans: ArrayLike) -> tuple[Scores, Scores]:
    table = np.asarray(spans, np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
