"""Answers against FLOPs: fronts, their volumes, and baselines that see less."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from evaluated import context
from hypothesis import given
from hypothesis import strategies as st

from adaspark.errors import UserError
from adaspark.eval.harness.by_condition import Conditions
from adaspark.eval.pareto import run as pareto
from adaspark.eval.pareto.report import (
    ADASPARK,
    FRAMES,
    PRUNED,
    failures,
    findings,
    hypervolume,
    shared,
    study,
    volumes,
)
from adaspark.eval.report.results import load
from adaspark.method.config import AdaSparkConfig

PLAN = pareto.Plan(
    length="16x112",
    clips=2,
    attn_ps=(0.3, 0.7, 0.95),
    ffn_ps=(0.25, 0.5),
    frames=(0.25, 1.0),
    prune=(0.25, 1.0),
)
Settings = st.lists(st.tuples(st.floats(0.01, 1.2), st.floats(0, 1)), min_size=1, max_size=8)


@cache
def folder() -> Path:
    place = Path(mkdtemp())
    running = context(place, PLAN)
    pareto.run(PLAN, running)
    pareto.draw(running.results)
    return place


@cache
def conditions() -> Conditions:
    return Conditions(load(folder()).items)


def test_the_conditions_are_dense_the_baselines_and_the_grid() -> None:
    config = AdaSparkConfig((2, 2, 2))
    found = pareto.conditions(PLAN, config)
    assert [condition.name for condition in found][:2] == ["dense", "pruned tokens 0.25"]
    grid = [a.config for a in found if a.frames is None and a.prune is None][1:]
    assert len(grid) == 6 and all(c.cube == (2, 2, 2) for c in grid)
    assert {(c.attn_top_p, c.ffn_top_p) for c in grid} == {
        (a, f) for a in PLAN.attn_ps for f in PLAN.ffn_ps
    }
    assert len({condition.name for condition in found}) == len(found) == 11


@pytest.mark.long
def test_showing_everything_is_dense() -> None:
    for name in (f"{FRAMES} 1", f"{PRUNED} 1"):
        assert conditions().mean(name, "flops") == pytest.approx(1, abs=1e-4)
        assert conditions().lost(name).value == pytest.approx(0, abs=1e-3)
        assert conditions().compared(name).difference.value == 0


def test_less_is_cheaper_in_every_series() -> None:
    for series in study(load(folder()).items):
        assert (np.diff(series.costs) >= 0).all()
    for ffn in PLAN.ffn_ps:
        row = [f"{ADASPARK} {attention:g} {ffn:g}" for attention in PLAN.attn_ps]
        for figure in ("attention", "flops"):
            assert all(a < b for a, b in pairwise(conditions().mean(name, figure) for name in row))
    for attention in PLAN.attn_ps:
        column = [conditions().mean(f"{ADASPARK} {attention:g} {f:g}", "ffn") for f in PLAN.ffn_ps]
        assert all(a < b for a, b in pairwise(column))
    assert conditions().mean(f"{FRAMES} 0.25", "with_vision") < conditions().mean(
        f"{PRUNED} 0.25", "with_vision"
    )


@given(Settings, st.floats(0, 0.9))
def test_a_hypervolume_is_the_best_score_averaged_over_budgets(
    settings: list[tuple[float, float]], min_budget: float
) -> None:
    costs, scores = (np.array(column) for column in zip(*sorted(settings), strict=True))
    budgets = min_budget + (1 - min_budget) * (np.arange(2_000) + 0.5) / 2_000
    best = [max([s for c, s in settings if c <= b], default=0) for b in budgets]
    assert hypervolume(costs, scores, min_budget) == pytest.approx(np.mean(best), abs=0.01)


@given(Settings, st.tuples(st.floats(0.01, 1.2), st.floats(0, 1)))
def test_one_more_setting_never_makes_it_smaller(
    settings: list[tuple[float, float]], more: tuple[float, float]
) -> None:
    few, all_of = (
        hypervolume(np.array([c for c, _ in chosen]), np.array([s for _, s in chosen]))
        for chosen in (sorted(settings), sorted([*settings, more]))
    )
    assert few <= all_of + 1e-9 <= 1 + 1e-6


def test_a_finished_run_adds_nothing_and_a_spent_budget_says_what_is_left_out() -> None:
    again = context(folder(), PLAN)
    count = len(again.results.items)
    pareto.run(PLAN, again)
    assert len(again.results.items) == count == 22 and "left_out" not in again.results.data
    spent = context(Path(mkdtemp()), PLAN, budget_secs=0)
    pareto.run(PLAN, spent)
    assert not spent.results.items and f"{FRAMES} 1" in spent.results.data["left_out"]
    pareto.draw(spent.results)


def test_the_page_is_drawn_from_saved_items() -> None:
    page = (folder() / "index.html").read_text("utf-8")
    assert "beyond the paper" in page and "2 clips; 20 are needed to decide" in page
    results = load(folder())
    pareto.draw(results)
    assert (folder() / "index.html").read_text("utf-8") == page
    assert [figure.name for figure in results.figures] == ["pareto"]


def made(scores: Mapping[str, tuple[float, float]], clips: int) -> list[dict[str, Any]]:
    """Conditions with their cost and score, the same in every clip."""
    return [
        {
            "key": ["16x112", name, seed],
            "config": {},
            **dict.fromkeys(("attention", "ffn", "flops", "with_vision"), cost),
            "questions": [["needle", float(n < 10 * score), -1.0, None] for n in range(10)],
        }
        for name, (cost, score) in {"dense": (1.0, 1.0), **scores}.items()
        for seed in range(clips)
    ]


def test_the_better_front_is_named() -> None:
    scores = {f"{ADASPARK} 0.5 0.5": (0.4, 1.0), f"{FRAMES} 0.5": (0.4, 0.6)}
    found = study(made(scores, 30))
    assert volumes(found, 0.0)[ADASPARK][0].value == pytest.approx(0.6)
    assert shared(found) == pytest.approx(0.4) and volumes(found, 0.4)[FRAMES][
        0
    ].value == pytest.approx(0.6)
    said = list(findings(found))
    assert any("above that of fewer frames" in each for each in said)
    assert any("0.5 0.5, spends 40.0 %" in each for each in said)
    assert list(failures(found)) == [
        "fewer frames: no setting that was tried stays within a point of dense."
    ]


def test_a_baseline_s_better_front_is_written_down() -> None:
    scores = {f"{ADASPARK} 0.5 0.5": (0.4, 0.8), f"{PRUNED} 0.5": (0.3, 1.0)}
    found = study(made(scores, 30))
    assert any("The front of pruned tokens lies above" in each for each in failures(found))
    assert any("Below 40.0 %" in each and "100.0 % right" in each for each in failures(found))
    few = study(made(scores, 5))
    assert any("not shown" in each and "5 clips" in each for each in failures(few))


@pytest.mark.parametrize("wrong", [{"clips": 0}, {"frames": (0.0,)}, {"ffn_ps": (2.0,)}])
def test_plans_that_compare_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        pareto.Plan(**wrong)
