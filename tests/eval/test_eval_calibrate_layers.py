"""Calibration by layer: within the budget, never worse than the pair, one threshold a layer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import pytest
from evaluated import context
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adaspark.cli import build_parser
from adaspark.errors import UserError
from adaspark.eval.calibrate import run as calibrate
from adaspark.eval.calibrate.layers import Move, Search, best_move, condition_of, ladders, steps
from adaspark.eval.calibrate.layers_report import failures, findings
from adaspark.eval.calibrate.settings import UNSEEN, Setting, points_by_layer, settings, spread
from adaspark.eval.cli import command_parser, plan_of
from adaspark.eval.harness.conditions import DENSE_CONDITION, Condition
from adaspark.eval.report.results import load
from adaspark.method.config import AdaSparkConfig
from app.page.calibration import read_calibration

LAYERS, SEEDS, SURVEY = 3, range(4), range(2)
PAIR = AdaSparkConfig((2, 2, 2), 0.75, 0.5)
RUNGS = ladders(PAIR, (0.25, 0.5, 0.75))
UNEVEN = (0.9, 0.1, 0.1, 0.05, 0.1, 0.8)
"""nats that a threshold at 0 would lose: attention by layer, then the FFN by layer"""
Lost = Callable[[AdaSparkConfig, int], float]


def lost(weights: Sequence[float]) -> Lost:
    """Losses that add up over layers."""

    def of(config: AdaSparkConfig, seed: int) -> float:
        each = spread(config, LAYERS)
        ps = (*each.attn_top_p, *each.ffn_top_p)  # type: ignore[misc]
        return sum(w * (1 - p) for w, p in zip(weights, ps, strict=True)) * (1 + seed / 10)

    return of


class World:
    """A model that spends the mean of its thresholds and loses what `loses` says of it.

    It answers `most` items at most, as where a budget of time is spent.
    """

    def __init__(self, loses: Lost, *, most: int = 10**6, wrong: float = 0.0) -> None:
        self.loses, self.most, self.wrong = loses, most, wrong
        self.items: list[dict[str, Any]] = []
        self.ask([DENSE_CONDITION, condition_of(PAIR)], False)

    def ask(self, conditions: Sequence[Condition], surveys: bool) -> list[dict[str, Any]]:
        seeds = SURVEY if surveys else SEEDS
        for seed in seeds:
            for condition in conditions:
                self.answer(condition, seed)
        return [item for item in self.items if item["key"][2] in seeds]

    def answer(self, condition: Condition, seed: int, length: str = "16x112") -> None:
        key = [length, condition.name, seed]
        if len(self.items) >= self.most or any(item["key"] == key for item in self.items):
            return
        each = spread(condition.config, LAYERS)
        spent = sum((*each.attn_top_p, *each.ffn_top_p)) / (2 * LAYERS)  # type: ignore[misc]
        score = 1.0 if condition.config.layers is None else 1.0 - self.wrong
        nats = -1.0 - self.loses(condition.config, seed)
        figures = dict.fromkeys(("attention", "ffn", "flops", "with_vision"), round(spent, 5))
        fields = {"key": key, "config": condition.config.to_dict(), **figures}
        self.items.append({**fields, "questions": [["count", score, nats, None]] * 3})

    @property
    def pair(self) -> Setting:
        return next(setting for setting in settings(self.items) if setting.is_pair)

    def search(self, *, budget: float = 0.63, rounds: int = 3) -> Setting:
        search = Search(budget, LAYERS, RUNGS, self.ask, lambda _: None)
        return search.run(self.pair, rounds)


def test_layers_that_matter_get_what_others_give() -> None:
    world = World(lost(UNEVEN))
    found = world.search()
    assert found.flops <= 0.63 and found.loss < world.pair.loss
    attn, ffn = found.config.attn_top_p, found.config.ffn_top_p
    assert isinstance(attn, tuple) and isinstance(ffn, tuple)
    assert len(attn) == len(ffn) == LAYERS
    assert attn[0] > PAIR.attn_top_p > min(attn) and ffn[2] > PAIR.ffn_top_p > min(ffn)
    assert set(attn) <= set(RUNGS["attn_top_p"]) and set(ffn) <= set(RUNGS["ffn_top_p"])


@hypothesis_settings(max_examples=20, deadline=None)
@given(
    weights=st.lists(st.floats(-0.5, 1), min_size=2 * LAYERS, max_size=2 * LAYERS),
    slack=st.floats(0, 0.1),
    most=st.integers(8, 80),
    wrong=st.sampled_from((0.0, 0.1)),
)
def test_nothing_that_is_kept_is_over_budget_or_worse_than_the_pair(
    weights: list[float], slack: float, most: int, wrong: float
) -> None:
    world = World(lost(weights), most=most, wrong=wrong)
    budget = world.pair.flops + slack
    found = world.search(budget=budget, rounds=2)
    assert found.flops <= budget and found.loss <= world.pair.loss
    assert found.keeps >= world.pair.keeps
    (point,) = points_by_layer(world.items, [budget], LAYERS)
    assert 1 - point["reduction"] <= budget + 1e-4
    assert point["loss"] <= found.loss + 1e-5
    dials = {name: point[name] for name in ("cube", "attn_top_p", "ffn_top_p")}
    assert AdaSparkConfig(**dials).layers == LAYERS


def test_what_only_the_survey_promises_is_not_kept() -> None:
    fair = lost(UNEVEN)
    world = World(lambda c, seed: fair(c, seed) + (seed not in SURVEY and c.layers is not None))
    assert world.search().name == world.pair.name
    (point,) = points_by_layer(world.items, [0.63], LAYERS)
    assert point["attn_top_p"] == [0.75] * LAYERS and point["ffn_top_p"] == [0.5] * LAYERS
    assert any("no thresholds by layer" in said for said in failures(world.items, [0.63]))
    assert not list(findings(world.items, [0.63]))


def test_a_search_that_is_run_again_asks_nothing_anew() -> None:
    world = World(lost(UNEVEN))
    found, count = world.search(), len(world.items)
    assert world.search().name == found.name and len(world.items) == count
    cut = World(lost(UNEVEN), most=40)
    cut.search()
    cut.most = 10**6
    assert cut.search().name == found.name and len(cut.items) == count


def test_one_round_asks_no_more_than_its_steps_and_a_move_a_threshold() -> None:
    world = World(lost(UNEVEN))
    count = len(world.items)
    world.search(rounds=1)
    most = 2 * 2 * LAYERS * len(SURVEY) + 2 * LAYERS * len(SEEDS)
    assert 0 < len(world.items) - count <= most


def test_ladders_pass_through_the_pair_and_stay_shares() -> None:
    for attn in (0.0, 0.338, 0.909, 0.998, 1.0):
        rungs = ladders(AdaSparkConfig((2, 2, 2), attn, 0.3), (0.25, 1 / 3))
        assert attn in rungs["attn_top_p"] and len(rungs["attn_top_p"]) > 1
        assert rungs["ffn_top_p"] == [0.25, 0.3, 0.333333]
        assert all(0 <= p <= 1 for ps in rungs.values() for p in ps)
        assert all(ps == sorted(set(ps)) for ps in rungs.values())


def test_a_step_moves_one_threshold_by_one_rung() -> None:
    config = spread(PAIR, LAYERS)
    found = [step.made(config) for step in steps(config, RUNGS)]
    assert len(found) == len({condition_of(each).name for each in found}) == 2 * 2 * LAYERS
    for each in found:
        before, after = ((*c.attn_top_p, *c.ffn_top_p) for c in (config, each))  # type: ignore[misc]
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_the_best_move_fits_and_touches_a_threshold_once() -> None:
    up = Move({("attn_top_p", 0): 0.9}, flops=0.02, loss=-0.3)
    cheap = Move({("attn_top_p", 1): 0.5}, flops=-0.02, loss=0.1)
    same = Move({("attn_top_p", 0): 0.5}, flops=-0.02, loss=0.0)
    assert best_move([up, cheap, same], 0.02) == up
    exchange = best_move([up, cheap, same], 0.0)
    assert exchange is not None and exchange.to == {**up.to, **cheap.to}
    assert exchange.loss == pytest.approx(-0.2)
    assert best_move([cheap, same], 1.0) is None
    assert best_move([up, same], 0.0) is None


@pytest.mark.parametrize("carries", [True, False])
def test_a_gain_is_looked_for_on_clips_that_nothing_was_chosen_on(carries: bool) -> None:
    world = World(lost(UNEVEN))
    better = world.search()
    said = " ".join(failures(world.items, [0.63]))
    assert "met no clip but" in said
    fair = world.loses
    world.loses = lambda c, seed: fair(c, seed) + (0 if carries else c.layers is not None)
    for condition in (DENSE_CONDITION, condition_of(PAIR), condition_of(better.config)):
        for seed in (10, 11):
            world.answer(condition, seed, UNSEEN)
    seen = " ".join(findings(world.items, [0.63]))
    assert "on 2 clips that neither was chosen on" in seen and "--attn-top-p" in seen
    assert bool(list(failures(world.items, [0.63]))) is not carries


PLAN = calibrate.Plan(
    budget=(0.5,), frames=16, size=112, ffn_ps=("0.25", "0.5"), clips=2, questions=1,
    per_layer=True, rounds=1,
)  # fmt: skip


@cache
def folder() -> Path:
    place = Path(mkdtemp())
    running = context(place, PLAN)
    calibrate.run(PLAN, running)
    calibrate.draw(running.results)
    return place


@pytest.mark.long
def test_the_bundled_model_gets_one_threshold_a_layer_within_its_budget() -> None:
    calibration = json.loads((folder() / calibrate.FILE).read_text("utf-8"))
    (pair,), (point,) = calibration["points"], calibration["points_by_layer"]
    assert isinstance(pair["attn_top_p"], float)
    assert point["cube"] == pair["cube"] and point["budget"] == pair["budget"] == 0.5
    assert 1 - point["reduction"] <= 0.5 + 1e-4 and point["loss"] <= pair["loss"]
    typed = [",".join(map(str, point[name])) for name in ("attn_top_p", "ffn_top_p")]
    options = ["ask", "clip.mp4", "What?", "--attn-top-p", typed[0], "--ffn-top-p", typed[1]]
    given = build_parser().parse_args(options)
    model = context(Path(mkdtemp()), PLAN).loaded.model
    AdaSparkConfig(PAIR.cube, given.attn_top_p, given.ffn_top_p).check_layers(
        model.config.text_config.num_hidden_layers
    )
    calibration = read_calibration(folder())
    assert calibration and [p["budget"] for p in calibration.points] == [0.5, 1.0]


def test_clips_that_nothing_was_chosen_on_are_others() -> None:
    items = load(folder()).items
    seen, unseen = (
        {item["key"][2] for item in items if (item["key"][0] == UNSEEN) is wanted}
        for wanted in (False, True)
    )
    assert len(seen) == PLAN.clips and not seen & unseen


def test_its_page_is_drawn_from_saved_items_and_a_finished_run_adds_nothing() -> None:
    page = (folder() / "index.html").read_text("utf-8")
    calibrate.draw(results := load(folder()))
    assert (folder() / "index.html").read_text("utf-8") == page
    assert results.tables[-1].title == "Thresholds by layer that were tried"
    again = context(folder(), PLAN)
    calibrate.run(PLAN, again)
    assert len(again.results.items) == len(results.items)


def test_the_command_line_takes_the_search_and_quick_makes_it_short() -> None:
    parser = command_parser("calibrate", calibrate.Plan)
    plan = plan_of(calibrate.Plan, vars(parser.parse_args(["--quick", "--per-layer"])))
    assert plan.per_layer and plan.rounds == 1
    assert not calibrate.Plan().per_layer


def test_a_search_where_there_is_nothing_to_search_is_refused() -> None:
    with pytest.raises(UserError, match="1 round or more"):
        calibrate.Plan(per_layer=True, rounds=0)
    text = SimpleNamespace(num_hidden_layers=1)
    loaded = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(text_config=text)))
    with pytest.raises(UserError, match="This model has one layer: leave out --per-layer"):
        calibrate.run(PLAN, SimpleNamespace(loaded=loaded))  # type: ignore[arg-type]
