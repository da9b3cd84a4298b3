"""Calibration: budgets are met, on scenes of their own, and the least loss is chosen."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from evaluated import context
from hypothesis import given
from hypothesis import strategies as st

from adaspark.errors import UserError
from adaspark.eval.calibrate import run as calibrate
from adaspark.eval.calibrate.report import failures
from adaspark.eval.calibrate.settings import best, chosen_points, settings
from adaspark.eval.report.results import load
from adaspark.method.config import AdaSparkConfig
from adaspark.mini.world.seeds import held_out_seed
from adaspark.model.qwen import language_shape
from adaspark.trace.cost import flops
from app.page.calibration import read_calibration

PLAN = calibrate.Plan(
    budget=(0.5, 0.8), frames=16, size=112, ffn_ps=(0.25, 0.5, 0.75), clips=3, questions=2
)


@cache
def folder() -> Path:
    place = Path(mkdtemp())
    running = context(place, PLAN)
    calibrate.run(PLAN, running)
    calibrate.draw(running.results)
    return place


@cache
def items() -> list[dict[str, Any]]:
    return load(folder()).items


@pytest.mark.parametrize("ffn_ps", [(0.5,), (0.25, 0.5, 0.75), tuple(n / 10 for n in range(1, 10))])
def test_a_survey_tries_every_value_of_both_thresholds(ffn_ps: tuple[float, ...]) -> None:
    surveyed = list(calibrate._survey(replace(PLAN, ffn_ps=ffn_ps), AdaSparkConfig()))
    assert {condition.config.ffn_top_p for condition in surveyed} == set(ffn_ps)
    assert {condition.config.attn_top_p for condition in surveyed} == set(calibrate.SURVEY_PS)
    assert len(surveyed) == max(len(ffn_ps), len(calibrate.SURVEY_PS))


@given(budget=st.floats(0.3, 1.0), ffn=st.floats(0.1, 0.9))
def test_what_the_ffn_leaves_spends_the_budget(budget: float, ffn: float) -> None:
    """FLOPs by arithmetic at the density that is found."""
    running = context(folder(), PLAN)
    density = calibrate.attention_left(PLAN, running, (2, 2, 2), budget=budget, ffn=ffn)
    shape = language_shape(running.runner.model.config.text_config)
    spent = flops(
        shape,
        video_tokens=128,
        text_tokens=32,
        attention_density=density,
        ffn_density=ffn,
        cubes=16,
    )
    assert 1 - spent.reduction == pytest.approx(budget)


def test_no_scene_of_an_evaluation_is_used() -> None:
    seeds = {item["key"][2] for item in items()}
    assert len(seeds) == 3
    assert all(held_out_seed("calibration", 0) <= s < held_out_seed("evaluation", 0) for s in seeds)


def test_points_meet_their_budgets_at_the_least_loss() -> None:
    calibration = json.loads((folder() / calibrate.FILE).read_text("utf-8"))
    assert [point["budget"] for point in calibration["points"]] == [0.5, 0.8]
    for point in calibration["points"]:
        assert 1 - point["reduction"] <= point["budget"] and point["cube"] == [2, 2, 2]
        dials = point["attn_top_p"], point["ffn_top_p"]
        (mine,) = [
            s for s in settings(items()) if (s.config.attn_top_p, s.config.ffn_top_p) == dials
        ]
        within = [s for s in settings(items()) if s.flops <= point["budget"] and s.keeps]
        assert all(mine.loss <= other.loss for other in within)
    assert calibration["points"][0]["ffn_top_p"] <= calibration["points"][1]["ffn_top_p"]
    calibration = read_calibration(folder())
    assert calibration and [p["budget"] for p in calibration.points] == [0.5, 0.8, 1.0]


def test_a_survey_alone_is_no_setting() -> None:
    whole = {s.name for s in settings(items())}
    assert whole and "dense" not in whole
    assert all(len(settings(items())[0].conditions.by_condition[name]) == 3 for name in whole)


def made(conditions: dict[str, tuple[float, float, float]]) -> list[dict[str, Any]]:
    """Conditions by "attn ffn": FLOPs, nats lost, score."""
    found = []
    for name, (cost, lost, score) in {"dense": (1.0, 0.0, 1.0), **conditions}.items():
        dials = {} if name == "dense" else dict(zip(("attn_top_p", "ffn_top_p"), name.split()))  # noqa: B905
        for seed in range(4):
            found.append(
                {
                    "key": ["16x112", name, seed],
                    "config": {"cube": [2, 2, 2], **{n: float(v) for n, v in dials.items()}},
                    **dict.fromkeys(("attention", "ffn", "flops", "with_vision"), cost),
                    "questions": [["count", score, -1.0 - lost, None]] * 5,
                }
            )
    return found


def test_the_score_goes_before_the_loss_and_the_budget_before_both() -> None:
    tried = made(
        {"0.5 0.5": (0.4, 0.1, 0.9), "0.6 0.4": (0.4, 0.2, 1.0), "0.9 0.9": (0.8, 0.0, 1.0)}
    )
    found = settings(tried)
    chosen = {budget: best(found, budget) for budget in (0.3, 0.5, 0.9)}
    assert chosen[0.3] is None
    assert chosen[0.5] is not None and chosen[0.5].name == "0.6 0.4"
    assert chosen[0.9] is not None and chosen[0.9].name == "0.9 0.9"
    points = chosen_points(tried, (0.3, 0.5))
    assert [(p["attn_top_p"], p["loss"], p["reduction"]) for p in points] == [(0.6, 0.2, 0.6)]
    assert any("No setting" in each for each in failures(found, 0.3))
    assert not list(failures(found, 0.5))


def test_a_loss_that_cannot_be_avoided_is_written_down() -> None:
    said = list(failures(settings(made({"0.5 0.5": (0.4, 0.1, 0.9)})), 0.5))
    assert any("no setting keeps the score" in each for each in said)
    assert any("count −10.0 (20 questions)" in each for each in said)  # noqa: RUF001


def test_a_finished_run_adds_nothing_and_a_spent_budget_writes_no_point() -> None:
    again = context(folder(), PLAN)
    count = len(again.results.items)
    calibrate.run(PLAN, again)
    assert len(again.results.items) == count
    spent = context(Path(mkdtemp()), PLAN, budget_secs=0)
    calibrate.run(PLAN, spent)
    assert not spent.results.items and not (spent.results.folder / calibrate.FILE).exists()
    calibrate.draw(spent.results)


def test_the_page_is_drawn_from_saved_items() -> None:
    page = (folder() / "index.html").read_text("utf-8")
    assert "Within 50.0 % of the dense FLOPs" in page
    results = load(folder())
    calibrate.draw(results)
    assert (folder() / "index.html").read_text("utf-8") == page


WRONG = [{"budget": (1.0,)}, {"clips": 1}, {"frames": 15}, {"cubes": ("2,2",)}, {"ffn_ps": (2.0,)}]


@pytest.mark.parametrize("wrong", WRONG)
def test_plans_without_a_budget_or_clips_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        calibrate.Plan(**wrong)
