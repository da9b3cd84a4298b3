"""The ablations: conditions that differ in one thing, as dense as each other, on the same
questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from evaluated import context
from hypothesis import given
from hypothesis import strategies as st

from adaspark.errors import UserError
from adaspark.eval.ablation import run as ablation
from adaspark.eval.ablation.report import (
    ADASPARK,
    BYPASS,
    HALVES,
    MEAN,
    ORACLE,
    RULES,
    TOP_P,
    at,
    failures,
    findings,
    studies,
)
from adaspark.eval.harness.by_condition import LOGPROB, Conditions, sign_flip
from adaspark.eval.harness.clips import Length, busy_clips
from adaspark.eval.report.results import load
from adaspark.mini.questions.families import FAMILIES, score
from adaspark.mini.world.seeds import held_out_seed

PLAN = ablation.Plan(
    length="16x112",
    clips=3,
    attn_ps=(0.5,),
    ffn_ps=(0.25,),
    sizes=(8, 32),
    shapes=(8,),
    long_length="24x84",
    long_clips=1,
)


@cache
def folder() -> Path:
    place = Path(mkdtemp())
    running = context(place, PLAN)
    ablation.run(PLAN, running)
    ablation.draw(running.results)
    return place


@cache
def conditions() -> Conditions:
    return Conditions.at(PLAN.length, load(folder()).items)


def test_busy_clips_ask_every_family_and_no_question_twice() -> None:
    clips = busy_clips(Length(64, 224), clips=12, questions_a_family=3)
    assert len(clips) == len({clip.seed for clip in clips}) == 12
    asked = [question.family for clip in clips for question in clip.questions]
    assert set(asked) == set(FAMILIES) and max(map(asked.count, FAMILIES)) <= 36
    for clip in clips:
        assert held_out_seed("evaluation", 0) <= clip.seed < held_out_seed("clips", 0)
        assert len({q.text.lower() for q in clip.questions}) == len(clip.questions)
        assert all(score(question, question.answer) == 1 for question in clip.questions)


@pytest.mark.long
def test_every_arm_answers_every_clip() -> None:
    rules = [at(rule, 0.5) for rule in (TOP_P, ORACLE, *RULES)]
    cubes = ["cube 8", "cube 32", "frame 8", "tube 8", "1-D run 8"]
    wanted = {*HALVES, *rules, "mean 0.25", "bypass 0.25", *cubes}
    assert conditions().by_condition.keys() == wanted
    seeds = set(conditions().by_condition["dense"])
    assert len(seeds) == 3 and all(
        set(clips) == seeds for clips in conditions().by_condition.values()
    )
    longer = Conditions.at("24x84", load(folder()).items)
    assert longer.by_condition.keys() == set(HALVES)


@pytest.mark.parametrize("rule", [ORACLE, *RULES])
def test_baselines_are_as_dense_as_top_p(rule: str) -> None:
    density = conditions().mean(at(rule, 0.5), "attention")
    assert density == pytest.approx(conditions().mean(at(TOP_P, 0.5), "attention"), rel=0.15)


@pytest.mark.parametrize("rule", ["uniform", "random", "recent"])
def test_top_p_loses_less_than_blind_rules(rule: str) -> None:
    assert conditions().lost(at(rule, 0.5), at(TOP_P, 0.5)).low > 0
    assert conditions().compared(at(rule, 0.5), at(TOP_P, 0.5)).difference.value < -0.1


def test_mean_and_bypass_differ_in_what_skipped_tokens_get_alone() -> None:
    """Which is nearer to the dense FFN is for `eval fidelity` to test."""
    mean, bypass = at(MEAN, 0.25), at(BYPASS, 0.25)
    for figure in ("attention", "ffn", "flops"):
        assert conditions().mean(mean, figure) == conditions().mean(bypass, figure)
    assert conditions().mean(mean, "ffn") == 0.25
    assert (conditions().column(mean, LOGPROB) != conditions().column(bypass, LOGPROB)).any()


def test_either_half_drops_its_own_alone() -> None:
    both, attention, ffn = (
        [conditions().mean(name, figure) for figure in ("attention", "ffn", "flops")]
        for name in HALVES[1:]
    )
    assert attention[1] == ffn[0] == 1 and both[2] < min(attention[2], ffn[2]) < 1
    assert conditions().hit_rate("dense") == 1


def test_a_finished_run_adds_nothing_and_a_spent_budget_says_what_is_left_out() -> None:
    again = context(folder(), PLAN)
    count = len(again.results.items)
    ablation.run(PLAN, again)
    assert len(again.results.items) == count and "left_out" not in again.results.data
    spent = context(Path(mkdtemp()), PLAN, budget_secs=0)
    ablation.run(PLAN, spent)
    assert not spent.results.items and "16x112 top-p 0.5" in spent.results.data["left_out"]
    ablation.draw(spent.results)


@pytest.mark.long
def test_the_page_is_drawn_from_saved_items() -> None:
    page = (folder() / "index.html").read_text("utf-8")
    assert "the ablations" in page and "Shapes of equal volume" in page
    results = load(folder())
    ablation.draw(results)
    assert (folder() / "index.html").read_text("utf-8") == page
    names = ["halves_16x112", "rules", "compensation", "shapes", "sizes", "halves_24x84"]
    assert [figure.name for figure in results.figures] == [f"ablation_{name}" for name in names]


def made(lost: Mapping[str, float], clips: int = 8) -> list[dict[str, Any]]:
    """Every condition loses so many nats on each question, dense none."""
    return [
        {
            "key": ["16x112", name, seed],
            "config": {},
            **dict.fromkeys(("attention", "ffn", "flops", "with_vision"), 0.5),
            "questions": [["needle", 1.0, -0.1 * seed - nats, 0.5]] * 3,
        }
        for name, nats in {"dense": 0.0, **lost}.items()
        for seed in range(clips)
    ]


def test_a_baseline_that_loses_less_is_written_down() -> None:
    (rules,) = studies(made({"top-p 0.5": 0.2, "top-k 0.5": 0.1, "uniform 0.5": 0.9}))
    assert [s for s in findings(rules) if "less than uniform" in s]
    assert [s for s in failures(rules) if "not shown to lose less than top-k" in s]
    assert not [s for s in failures(rules) if "uniform" in s]


def test_few_clips_decide_nothing() -> None:
    (rules,) = studies(made({"top-p 0.5": 0.2, "uniform 0.5": 0.9}, clips=4))
    assert not list(findings(rules)) and len(list(failures(rules))) == 1


def test_losses_are_counted_on_the_questions_that_both_answered() -> None:
    items = [i for i in made({ADASPARK: 0.3}) if i["key"][1:] != [ADASPARK, 7]]
    found = Conditions(items)
    assert found.lost(ADASPARK).value == pytest.approx(0.3)
    assert len(found.videos(ADASPARK)) == 21 and found.compared(ADASPARK).items == 21
    assert found.changes(ADASPARK, 2) == {"needle": pytest.approx(-0.3)}


@given(st.lists(st.floats(-5, 5).filter(lambda x: abs(x) > 1e-3), min_size=1, max_size=7))
def test_sign_flips_are_counted(differences: list[float]) -> None:
    moved = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    expected = np.mean([m >= abs(sum(differences)) * (1 - 1e-6) - 1e-12 for m in moved])
    assert sign_flip(np.array(differences)) == pytest.approx(expected, abs=2 / len(moved))


def test_differences_of_one_sign_are_as_rare_as_they_can_be() -> None:
    assert sign_flip(np.linspace(0.1, 0.6, 6)) == 2 / 64
    assert 0 < sign_flip(np.linspace(0.1, 0.6, 30)) < 0.001
    assert sign_flip(np.array([1.0, -1.0] * 20)) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"clips": 0}, {"attn_ps": (1.0,)}, {"sizes": (9,)}, {"shapes": (16,)}, {"length": "9"}],
)
def test_plans_that_compare_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        ablation.Plan(**wrong)
