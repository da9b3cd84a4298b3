"""The statistics of evaluations: known values, and the laws that every input obeys."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adaspark.eval.report import stats

counts = st.integers(0, 400).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
bits = st.lists(st.booleans(), min_size=1, max_size=40)
seconds = st.floats(0, 100, allow_nan=False)
spans = st.tuples(seconds, seconds).map(sorted)


# Newcombe (1998), Statistics in Medicine 17, table I, method 3.
@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_s_interval_is_the_published_one(
    right: int, total: int, low: float, high: float
) -> None:
    found = stats.wilson(right, total)
    assert found == pytest.approx((right / total, low, high), abs=5e-5)


@given(counts)
def test_wilson_holds_the_share_inside_0_and_1_and_mirrors(case: tuple[int, int]) -> None:
    right, total = case
    found, mirrored = stats.wilson(right, total), stats.wilson(total - right, total)
    assert 0 <= found.low <= found.high <= 1
    assert (found.low, found.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-9)
    assert not total or found.low <= found.value <= found.high


def test_wilson_without_items_knows_nothing_and_refuses_nonsense() -> None:
    value, low, high = stats.wilson(0, 0)
    assert math.isnan(value) and (low, high) == (0, 1)
    with pytest.raises(ValueError, match="cannot be right"):
        stats.wilson(3, 2)


def test_the_bootstrap_of_independent_items_is_the_normal_interval() -> None:
    scores = np.random.default_rng(3).random(400)
    found = stats.bootstrap_mean(scores)
    half = 1.96 * scores.std() / 20
    assert found.value == pytest.approx(scores.mean())
    assert (found.low, found.high) == pytest.approx(
        (found.value - half, found.value + half), abs=2e-3
    )


def test_items_of_one_video_count_once() -> None:
    scores = np.random.default_rng(4).integers(0, 2, 100).astype(float)
    alone = stats.bootstrap_mean(scores)
    repeated = stats.bootstrap_mean(np.repeat(scores, 9), [i // 9 for i in range(900)])
    naive = stats.bootstrap_mean(np.repeat(scores, 9))
    assert repeated == pytest.approx(alone)
    assert naive.high - naive.low < 0.5 * (alone.high - alone.low)


@given(bits, st.data())
def test_a_video_s_name_and_the_order_of_items_do_not_matter(
    right: list[bool], data: st.DataObject
) -> None:
    videos = data.draw(st.lists(st.integers(0, 5), min_size=len(right), max_size=len(right)))
    found = stats.bootstrap_mean(right, videos, draws=50)
    assert stats.bootstrap_mean(right, [f"clip {v}" for v in videos], draws=50) == found
    assert 0 <= found.low <= found.high <= 1
    assert found.value == pytest.approx(sum(right) / len(right))


def test_scores_that_cannot_be_averaged_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        stats.bootstrap_mean([0.5, math.nan])
    with pytest.raises(ValueError, match="its video"):
        stats.bootstrap_mean([0.5, 1.0], [1])
    with pytest.raises(ValueError, match="identical items"):
        stats.paired_difference([1.0], [1.0, 0.0])
    assert all(math.isnan(number) for number in stats.paired_difference([], []))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_swapping_the_conditions_mirrors_the_difference(pairs: list[tuple[bool, bool]]) -> None:
    a, b = zip(*pairs, strict=True)
    there, back = stats.paired_difference(a, b, draws=200), stats.paired_difference(b, a, draws=200)
    assert there.value == pytest.approx(-back.value)
    assert there.low <= there.value <= there.high
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


@pytest.mark.parametrize("items", [20, 368, 369, 3000])
def test_no_flip_at_all_is_no_proof_on_few_items(items: int) -> None:
    """1 - 0.025^(1 / n) falls under one point at 368 items."""
    found = stats.compare(np.ones(items), np.ones(items))
    assert found.difference.low == pytest.approx(-(1 - 0.025 ** (1 / items)))
    assert found.verdict == ("non-inferior" if items >= 368 else "undecided")


# scipy.stats.binomtest(min(b, c), b + c).pvalue
@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [
        (0, 0, 1),
        (5, 5, 1),
        (0, 5, 0.0625),
        (1, 9, 0.021484375),
        (2, 12, 0.012939453125),
        (0, 6, 0.03125),
    ],
)
def test_mcnemar_is_the_binomial_test_of_the_flips(gained: int, lost: int, p: float) -> None:
    assert stats.mcnemar(gained, lost) == pytest.approx(p)
    assert stats.mcnemar(lost, gained) == pytest.approx(p)


def test_mcnemar_of_many_flips_neither_overflows_nor_rounds_to_more_than_1() -> None:
    assert stats.mcnemar(4000, 4000) == 1
    assert 0 <= stats.mcnemar(0, 4000) < 1e-100


def flipped(gained: int, lost: int, items: int) -> tuple[list[int], list[int]]:
    """Scores of both conditions, dense first: `lost` items were right, `gained` became right."""
    rest = items - gained - lost
    return [1] * lost + [0] * gained + [1] * rest, [0] * lost + [1] * gained + [1] * rest


@pytest.mark.parametrize(
    ("gained", "lost", "verdict"),
    [(60, 5, "better"), (12, 14, "non-inferior"), (0, 100, "worse"), (5, 20, "undecided")],
)
def test_each_verdict_comes_from_the_interval_and_the_margin(
    gained: int, lost: int, verdict: str
) -> None:
    dense, sparse = flipped(gained, lost, 2000)
    found = stats.compare(sparse, dense, list(range(2000)))
    assert (found.gained, found.lost, found.videos) == (gained, lost, 2000)
    assert found.difference.value == pytest.approx((gained - lost) / 2000)
    assert found.p_value == stats.mcnemar(gained, lost)
    assert found.verdict == verdict
    assert found.sentence.lower().startswith(verdict)


def test_a_gain_needs_mcnemar_s_test_and_a_loss_does_not() -> None:
    found = stats.compare(*reversed(flipped(9, 2, 2000)))
    assert found.difference.low > 0 and found.p_value > 0.05
    assert found.verdict == "non-inferior"
    found = stats.compare(*reversed(flipped(0, 5, 60)))
    assert found.difference.high < -found.margin and found.p_value > 0.05
    assert found.verdict == "worse"


def test_few_videos_decide_nothing_however_many_items_they_have() -> None:
    dense, sparse = flipped(0, 500, 1000)
    found = stats.compare(sparse, dense, [i % 5 for i in range(1000)])
    assert found.verdict == "undecided"
    assert "5 videos" in found.sentence


def test_a_partial_score_is_right_from_one_half() -> None:
    found = stats.compare([0.5, 0.49, 0.9], [0.49, 0.5, 0.8])
    assert (found.gained, found.lost) == (1, 1)


# By hand from tolerances of 50 %, 45 %, ... 5 %.
@pytest.mark.parametrize(
    ("answer", "true", "score"),
    [(4, 4, 1.0), (3, 4, 0.6), (5, 4, 0.6), (2, 4, 0.1), (1, 4, 0.0), (1, 2, 0.1), (0, 0, 1.0),
     (1, 0, 0.0), (math.nan, 3, 0.0)],
)  # fmt: skip
def test_relative_accuracy_of_counts(answer: float, true: int, score: float) -> None:
    assert stats.relative_accuracy([answer], [true])[0] == pytest.approx(score)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50))
def test_an_answer_farther_off_scores_no_more(a: int, b: int, true: int) -> None:
    near, far = sorted((a, b), key=lambda answer: abs(answer - true))
    scores = stats.relative_accuracy([near, far], [true, true])
    assert scores[0] >= scores[1]
    assert (scores == 1).tolist() == [abs(near - true) * 20 <= true, abs(far - true) * 20 <= true]


@given(spans, spans)
def test_iou_is_symmetric_bounded_and_whole_for_itself(a: list[float], b: list[float]) -> None:
    there, back, same = stats.temporal_iou([a, b, a], [b, a, a])
    assert there == pytest.approx(back)
    assert 0 <= there <= 1
    assert same == 1


@given(spans, spans, st.floats(0.1, 10), st.floats(0, 10))
def test_iou_does_not_depend_on_the_unit_or_the_start_of_time(
    a: list[float], b: list[float], unit: float, start: float
) -> None:
    assume(abs(min(a[1], b[1]) - max(a[0], b[0])) > 1e-6)
    moved = [[start + unit * end for end in span] for span in (a, b)]
    assert stats.temporal_iou([moved[0]], [moved[1]]) == pytest.approx(
        stats.temporal_iou([a], [b]), abs=1e-6
    )


@pytest.mark.parametrize(
    ("span", "true", "iou"),
    [((3, 9), (3, 9), 1), ((3, 9), (6, 12), 1 / 3), ((0, 2), (2, 4), 0), ((0, 2), (5, 6), 0),
     ((9, 3), (3, 9), 0), ((math.nan, 9), (3, 9), 0), ((4, 4), (3, 9), 0), ((4, 4), (4, 4), 1)],
)  # fmt: skip
def test_iou_of_spans(span: tuple[float, float], true: tuple[float, float], iou: float) -> None:
    assert stats.temporal_iou([span], [true])[0] == pytest.approx(iou)


def test_grounding_counts_from_each_threshold_on() -> None:
    found = stats.grounding([0.0, 0.3, 0.5, 0.7, 1.0])
    assert {name: estimate.value for name, estimate in found.items()} == pytest.approx(
        {"mIoU": 0.5, "R@0.3": 0.8, "R@0.5": 0.6, "R@0.7": 0.4}
    )
