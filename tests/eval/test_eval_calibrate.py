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
from adaspark.eval.calibrate import candidates, frontier
from adaspark.eval.calibrate import run as calibrate
from adaspark.eval.calibrate.report import failures, summarise
from adaspark.eval.calibrate.settings import best, chosen_points, settings
from adaspark.eval.report.results import load
from adaspark.method.config import AdaSparkConfig, TopP
from adaspark.mini.world.seeds import held_out_seed
from adaspark.model.qwen import language_shape
from adaspark.trace.cost import flops
from app.page.calibration import read_calibration

PLAN = calibrate.Plan(
    budget=(0.5, 0.8), frames=16, size=112, ffn_ps=("0.25", "0.5", "0.75"), clips=3, questions=2
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


THIRDS = (0.5, 0.5, 0.25, 0.25, 0.125, 0.125)


@pytest.mark.parametrize("ffn_ps", [(0.5,), (0.25, THIRDS), tuple(n / 10 for n in range(1, 10))])
def test_a_survey_tries_every_value_of_both_thresholds(ffn_ps: tuple[TopP, ...]) -> None:
    surveyed = list(candidates.survey(AdaSparkConfig(), ffn_ps))
    assert {config.ffn_top_p for config in surveyed} == set(ffn_ps)
    assert {config.attn_top_p for config in surveyed} == set(candidates.SURVEY_PS)
    assert len(surveyed) == max(len(ffn_ps), len(candidates.SURVEY_PS))


@pytest.mark.parametrize("layers", [1, 2, 3, 6, 7, 28])
def test_thirds_fill_the_layers_in_order(layers: int) -> None:
    by_layer = candidates.ffn_top_p("0.5/0.25/0.125", layers)
    assert isinstance(by_layer, tuple) and len(by_layer) == layers
    assert list(by_layer) == sorted(by_layer, reverse=True) and by_layer[0] == 0.5
    counts = [by_layer.count(p) for p in (0.5, 0.25, 0.125)]
    assert max(counts) - min(counts) <= 1
    assert candidates.ffn_top_p("0.5", layers) == 0.5


def test_all_dials_are_combined() -> None:
    dials = candidates.Dials(("own", "1,4,4"), ("0.5",), ("own", "1"), ("residual", "input"))
    own = AdaSparkConfig((1, 2, 2), 0.7, 0.5)
    bases = list(dials.bases(own))
    assert len(set(bases)) == 8 and own in bases
    assert replace(own, cube=(1, 4, 4), text_top_p=1.0, ffn_importance="input") in bases


@pytest.mark.long
@given(density=st.floats(0, 1), ffn=st.floats(0.1, 0.9))
def test_what_the_ffn_leaves_spends_the_budget(density: float, ffn: float) -> None:
    """The density is found again that FLOPs by arithmetic were counted at."""
    running = context(folder(), PLAN)
    shape = language_shape(running.runner.model.config.text_config)
    spent = flops(
        shape,
        video_tokens=128,
        text_tokens=32,
        attention_density=density,
        ffn_density=ffn,
        cubes=16,
    )

    def left(budget: float) -> float:
        return candidates.attention_left(shape, PLAN.length, (2, 2, 2), budget=budget, ffn=ffn)

    assert left(1 - spent.reduction) == pytest.approx(density, abs=1e-6)
    assert left(0.0) < 0 and left(2.0) > 1  # none spends so little, and full attention so much


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
    points = chosen_points(tried, (0.3, 0.5), found[0].config.cube)
    assert [(p["attn_top_p"], p["loss"], p["reduction"]) for p in points] == [(0.6, 0.2, 0.6)]
    assert any("No setting" in each for each in failures(found, 0.3))
    assert not list(failures(found, 0.5))


def test_points_are_in_the_model_s_own_cube_if_that_was_tried() -> None:
    """A dial over the budgets moves thresholds, and no cube."""
    tried = made({"0.5 0.5": (0.4, 0.2, 1.0), "0.6 0.5": (0.4, 0.0, 1.0)})
    for item in tried:
        item["config"]["cube"] = [1, 4, 4] if "0.6 0.5" in item["key"] else [2, 2, 2]
    (own,), (best_of_all,) = (chosen_points(tried, (0.5,), c) for c in ((2, 2, 2), (4, 4, 4)))
    assert (own["cube"], own["attn_top_p"]) == ([2, 2, 2], 0.5)
    assert (best_of_all["cube"], best_of_all["attn_top_p"]) == ([1, 4, 4], 0.6)


def test_the_frontier_is_beaten_by_nobody_and_the_default_keeps_every_family() -> None:
    tried = made(
        {
            "0.1 0.1": (0.2, 0.4, 0.9),
            "0.2 0.2": (0.3, 0.5, 1.0),  # dearer than the first, and loses more
            "0.3 0.3": (0.4, 0.1, 1.0),
            "0.4 0.4": (0.5, 0.1, 1.0),
        }
    )
    found = settings(tried)
    assert [setting.name for setting in frontier.frontier(found)] == ["0.1 0.1", "0.3 0.3"]
    default = frontier.cheapest(found)
    assert default is not None and default.name == "0.2 0.2"
    assert frontier.cheapest([setting for setting in found if setting.name == "0.1 0.1"]) is None
    points = frontier.frontier_points(tried)
    assert [point["reduction"] for point in points] == [0.8, 0.6]
    assert points[0]["worst_family"] == "count" and points[0]["worst_change"][0] == -0.1
    assert all(low <= value <= high for value, low, high in (p["loss"] for p in points))
    assert all(AdaSparkConfig.from_dict({k: p[k] for k in DIALS}) for p in points)


DIALS = ("cube", "attn_top_p", "ffn_top_p")


@pytest.mark.long
def test_thirds_and_importances_are_tried_and_no_point_of_the_dial() -> None:
    plan = replace(
        PLAN, budget=(0.85,), ffn_ps=("0.5/0.5/0.25", "0.5"), text_ps=("1",), clips=2,
        importances=("residual", "input"),
    )  # fmt: skip
    running = context(Path(mkdtemp()), plan)
    calibrate.run(plan, running)
    found = settings(running.results.items)
    assert {setting.config.ffn_importance for setting in found} == {"residual", "input"}
    assert {setting.is_pair for setting in found} == {True, False}
    assert not any(setting.is_searched for setting in found)
    calibration = json.loads((running.results.folder / calibrate.FILE).read_text("utf-8"))
    assert [type(point["ffn_top_p"]) for point in calibration["points"]] == [float]
    assert len(calibration["frontier"]) == len(frontier.frontier(found))
    calibrate.draw(running.results)
    assert [table.title for table in summarise(running.results.items)] == [
        "The frontier",
        "Settings that were tried",
        "Thresholds by thirds of the layers that were tried",
    ]


def test_more_lines_than_can_be_told_apart_are_not_drawn() -> None:
    budgets = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    running = context(Path(mkdtemp()), PLAN)
    running.results.data["budgets"] = budgets
    tried = made({f"0.5 {ffn}": (ffn + 0.05, 1 - ffn, 1.0) for ffn in budgets})
    for side, text in ((1, None), (2, None), (4, None), (2, 1.0)):
        for item in tried:
            length, name, seed = item["key"]
            config = {**item["config"], "cube": [side] * 3}
            if name == "dense":
                config["cube"] = [2, 2, 2]
            elif text is not None:
                config["text_top_p"] = text
            key = (length, name if name == "dense" else f"{side} {text} {name}", seed)
            if not running.results.has(*key):
                figures = {k: v for k, v in item.items() if k not in ("key", "config")}
                running.results.add(*key, config=config, **figures)
    calibrate.draw(running.results)
    assert (running.results.folder / "calibrate.png").is_file()


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


WRONG = [
    {"budget": (1.0,)},
    {"clips": 1},
    {"frames": 15},
    {"cubes": ("2,2",)},
    {"ffn_ps": ("2",)},
    {"ffn_ps": ("0.5/0.5",)},
    {"importances": ("size",)},
    {"text_ps": ("all",)},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_plans_without_a_budget_or_clips_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        calibrate.Plan(**wrong)
