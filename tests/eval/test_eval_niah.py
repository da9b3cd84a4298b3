"""`adaspark eval niah`: needles in their places, baselines as dense, what choosing is worth."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest

from adaspark.errors import UserError
from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.clips import Length
from adaspark.eval.harness.conditions import Condition
from adaspark.eval.harness.context import Context, plan_dict
from adaspark.eval.harness.matched_density import attention_density, matched
from adaspark.eval.harness.outcomes import Outcome
from adaspark.eval.harness.runner import Runner
from adaspark.eval.niah import run as niah
from adaspark.eval.niah.report import CONDITIONS, draw, failures, findings, study
from adaspark.eval.report.results import Results
from adaspark.method.config import AdaSparkConfig
from adaspark.model import checkpoint

PLAN = niah.Plan(items=2, lengths=("16x112",), depths=3)
HALF = AdaSparkConfig((2, 2, 2), 0.5, 1.0)


@cache
def loaded() -> checkpoint.Checkpoint:
    return checkpoint.load(device="cpu")


@cache
def runner() -> Runner:
    return Runner(loaded())


@cache
def needles() -> list[Clip]:
    """18 clips of 4 seconds, their needles at three depths."""
    return [clip for _, clip in niah.haystack(replace(PLAN, items=6), "needle", "16x112", 0)]


@cache
def outcomes(condition: Condition) -> list[Outcome]:
    return [row[0] for row in runner().run(needles(), condition)]


@cache
def as_dense(rule: str) -> Condition:
    """A rule with as many pairs as top-p at 0.5."""
    condition = Condition(rule, replace(HALF, attn_rule=rule, attn_keep=0.5))
    target = mean(o.density["attention"] for o in outcomes(Condition("top_p", HALF)))
    return matched(runner(), needles()[:2], condition, target)


def test_another_rate_shows_the_same_pictures_further_apart() -> None:
    """At one frame a second a needle is there four times as long, and slices are four positions
    apart; the pictures, and what the vision tower makes of them, are the same to the bit."""
    usual, slow = (
        [clip for _, clip in niah.haystack(PLAN, "needle", length, 0)]
        for length in ("16x112", "16x112@1")
    )
    assert [clip.scene.secs for clip in slow] == [16.0] * len(slow)
    assert len({clip.seed for clip in usual} & {clip.seed for clip in slow}) > 1
    same = [clip for clip in usual if clip.seed in {other.seed for other in slow}]
    slower = [clip for clip in slow if clip.seed in {other.seed for other in same}]
    one, other = (runner().features(clips) for clips in (same, slower))
    assert (one.position_step, other.position_step) == (1.0, 4.0)
    assert one.features.equal(other.features) and one.truth.equal(other.truth)


def test_a_length_may_say_its_rate() -> None:
    hour = Length.parse("3600x112@1")
    assert (hour.frames, hour.fps, hour.tokens, str(hour)) == (3600, 1.0, 28_800, "3600x112@1")
    assert not Length.parse("16x112@1").is_trained and Length.parse("16x112").is_trained
    for wrong in ("16x112@", "16x112@0", "16x112@-1", "16x112@30"):
        with pytest.raises(UserError, match=r"FPS|@1"):
            Length.parse(wrong)


def test_the_needle_is_at_its_depth_and_alone_of_its_kind() -> None:
    pairs = niah.haystack(PLAN, "needle", "64x224", 0)
    assert [depth for depth, _ in pairs] == [0.0, 0.5, 1.0] * 2
    for depth, clip in pairs:
        (question,) = clip.questions
        assert clip.scene.needle is not None and question.event == clip.scene.needle
        needle = clip.scene.events[clip.scene.needle]
        middle = min(max(depth * 16, 0.5), 15.5)
        assert (needle.start_secs + needle.end_secs) / 2 == pytest.approx(middle)
        assert needle.end_secs - needle.start_secs == pytest.approx(PLAN.needle_secs)
        others = [e for e in clip.scene.events if e is not needle]
        assert all(e.shape != needle.shape and e.color != needle.color for e in others)
    assert len({clip.seed for _, clip in pairs}) == len(pairs)


def test_a_look_alike_differs_in_fill_and_colour_and_the_fill_is_asked_for() -> None:
    for _, clip in niah.haystack(PLAN, "lookalike", "64x224", 0):
        (question,) = clip.questions
        assert clip.scene.needle is not None and question.event == clip.scene.needle
        needle = clip.scene.events[clip.scene.needle]
        (twin,) = [e for e in clip.scene.events if e is not needle and e.shape == needle.shape]
        assert twin.fill != needle.fill and twin.color != needle.color
        assert f"{needle.fill} {needle.shape}" in question.text.lower()
        assert question.answer == needle.color


def test_other_seeds_are_other_clips() -> None:
    first, other = (
        {clip.seed for _, clip in niah.haystack(PLAN, "needle", "16x112", seed)} for seed in (0, 1)
    )
    assert not first & other


@pytest.mark.few
@pytest.mark.parametrize("rule", ["top_k", "uniform", "random"])
def test_a_matched_rule_is_as_dense(rule: str) -> None:
    density = mean(o.density["attention"] for o in outcomes(as_dense(rule)))
    target = mean(o.density["attention"] for o in outcomes(Condition("top_p", HALF)))
    assert density == pytest.approx(target, abs=0.02)


@pytest.mark.parametrize("rule", ["uniform", "random"])
def test_top_p_beats_blind_rules_at_equal_density(rule: str) -> None:
    chosen, blind = outcomes(Condition("top_p", HALF)), outcomes(as_dense(rule))
    assert mean(o.correct for o in chosen) >= mean(o.correct for o in blind) + 0.2
    assert mean(o.logprob for o in chosen) > mean(o.logprob for o in blind)


def test_density_falls_with_p() -> None:
    few = needles()[:4]
    densities = [
        attention_density(runner(), few, Condition(f"{p}", replace(HALF, attn_top_p=p)))
        for p in (1.0, 0.9, 0.7, 0.4, 0.0)
    ]
    assert densities[0] == 1.0
    assert all(more > less for more, less in pairwise(densities))


@pytest.mark.long
def test_a_run_says_what_its_items_say(tmp_path: Path) -> None:
    plan = replace(PLAN, items=1)
    named, config = plan_dict(plan, "mini"), loaded().config
    results = Results(tmp_path, "adaspark eval niah", plan=named, config=config.to_dict())
    niah.run(plan, Context(loaded(), config, results, say=lambda _: None))
    assert len(results.items) == 2 * 3
    for item in results.items:
        assert item["dense"]["hit_last"] == 1.0 and "keep" not in item["AdaSpark"]
        assert 0 < item["top-k"]["keep"] < 1 and 0 < item["uniform"]["attention"] < 1
    draw(results)
    for haystack, table in zip(study(results.items), results.tables[::2], strict=True):
        for condition, row in zip(CONDITIONS, table.rows, strict=True):
            right = [item[condition]["correct"] for item in haystack.items]
            assert row[1] == condition and row[3][0] == pytest.approx(mean(right))  # type: ignore[index]
            grid = haystack.grid(condition, "correct")
            assert grid.shape == (3, 1) and row[4] == pytest.approx(grid.min())
            assert np.mean(grid) == pytest.approx(mean(right))
    assert len(results.figures) == 4
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "Fig. 3" in page and "look-alike" in page


def test_without_rules_a_run_that_is_cut_short_goes_on(tmp_path: Path) -> None:
    """Dense and AdaSpark alone, a clip at a time; what a stopped run has answered is not asked
    again, and the whole says what one run in one go says."""
    plan = replace(PLAN, rules=("none",), variants=("needle",))
    named, config = plan_dict(plan, "mini"), loaded().config

    def asked(folder: Path, deadline: float | None = None) -> Results:
        results = Results(folder, "adaspark eval niah", plan=named, config=config.to_dict())
        said: list[str] = []
        context = Context(loaded(), config, results, deadline=deadline, say=said.append)
        with pytest.MonkeyPatch.context() as patched:
            if deadline is not None:  # the clock moves on by one a job
                patched.setattr("adaspark.eval.harness.context.time", Clock())
            niah.run(plan, context)
        return results

    whole, cut = asked(tmp_path / "whole"), asked(tmp_path / "cut", deadline=4.0)
    assert [item["key"][2] for item in whole.items] == [0.0, 0.5, 1.0] * 2
    assert len(cut.items) == 1 and cut.data["left_out"] == ["needle 16x112"] * 5
    kept = [item["key"] for item in cut.items]
    cut = asked(tmp_path / "cut")
    assert [item["key"] for item in cut.items] == [item["key"] for item in whole.items]
    assert kept == [cut.items[0]["key"]]
    for one, other in zip(whole.items, cut.items, strict=True):
        assert one["dense"]["answer"] == other["dense"]["answer"]
        assert one["AdaSpark"]["flops"] == pytest.approx(other["AdaSpark"]["flops"], abs=0.01)
        assert not one.keys() & {"top-k", "uniform"}
    draw(cut)
    (haystack,), (first, paired) = study(cut.items), cut.tables
    assert haystack.conditions == ["dense", "AdaSpark"] and haystack.rules == []
    assert [row[0] for row in paired.rows] == ["dense"] and "Top-k" not in first.note
    assert first.rows[0][-1] == 1.0 and 0 < first.rows[1][-1] < 1  # type: ignore[operator]


class Clock:
    """Stands still while a job runs, and moves on by a second when it is read for the next."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 1.0
        return self._now


def test_a_rule_that_is_not_there_is_refused() -> None:
    for wrong in (("random",), ("none", "top-k"), ()):
        with pytest.raises(UserError, match="rule"):
            replace(PLAN, rules=wrong)


def made(correct: dict[str, float]) -> list[dict[str, Any]]:
    """40 needles, the same for each: a condition is right on that share of them."""
    items = []
    for seed in range(40):
        conditions = {
            condition: {"correct": float(seed < 40 * right), "hit_last": right, "attention": 0.3}
            for condition, right in correct.items()
        }
        items.append({"key": ["needle", "16x112", seed % 2, seed], **conditions})
    return items


def test_a_baseline_that_is_as_good_is_written_down() -> None:
    (haystack,) = study(made({"dense": 1.0, "AdaSpark": 1.0, "top-k": 1.0, "uniform": 0.3}))
    said, failed = list(findings(haystack)), list(failures(haystack))
    assert any("beats uniform at equal density" in each for each in said)
    assert any("not shown to beat top-k" in each for each in failed)
    assert not any("uniform" in each for each in failed)


def test_needles_that_dense_alone_finds_are_written_down() -> None:
    (haystack,) = study(made({"dense": 1.0, "AdaSpark": 0.5, "top-k": 0.2, "uniform": 0.2}))
    assert any("against dense. Worse" in each for each in failures(haystack))
