"""Baselines of a run: as dense, or as costly, as the run that they are compared with."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from models import prompt, tiny_model

from adaspark import record, sparsify
from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.trace import baselines
from adaspark.trace.cost import flops
from adaspark.trace.meta import Clip
from adaspark.trace.trace import Trace

SPARSE = AdaSparkConfig((2, 2, 2), 0.5, 0.6)
GRID = (8, 6, 6)


def traced(model: Any, config: AdaSparkConfig, grids: list[tuple[int, int, int]]) -> Trace:
    sparse = sparsify(copy.deepcopy(model), config)
    with torch.no_grad(), record(sparse) as trace:
        sparse(**prompt(grids))
    trace.meta.flops = flops(trace)
    trace.meta.clip = Clip("a clip", frames=2 * grids[0][0])
    return trace


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model(layers=2)


@pytest.fixture(scope="module")
def run(model: Any) -> Trace:
    return traced(model, SPARSE, [GRID])


@pytest.mark.parametrize("grids", [[GRID], [(5, 3, 7), (2, 4, 4)], [(1, 2, 2)]])
def test_the_geometry_is_the_one_that_the_recorder_counts(
    model: Any, grids: list[tuple[int, int, int]]
) -> None:
    trace = traced(model, SPARSE, grids)
    found = baselines._Geometry.of(trace)
    heads, layers = trace.meta.shape["heads"], len(trace.causal_pairs)
    assert [heads * found.causal] * layers == trace.causal_pairs.tolist()
    assert heads * layers * found.candidates.sum() == trace.meta.counts.weighed_pairs
    assert found.pairs(1.0) == found.causal


@pytest.mark.parametrize("rule", ["uniform", "random", "top_k"])
def test_a_rule_is_about_as_dense_as_the_run(model: Any, run: Trace, rule: str) -> None:
    config = baselines.baseline(run, rule).config
    assert (config.attn_rule, config.ffn_top_p) == (rule, SPARSE.ffn_top_p)
    found = traced(model, config, [GRID])
    assert found.attention_density == pytest.approx(run.attention_density, abs=0.04)


def test_dense_is_all_of_it(run: Trace) -> None:
    dense = baselines.baseline(run, "dense")
    assert dense.config.is_dense and dense.config.cube == SPARSE.cube and dense.max_frames is None


def test_fewer_frames_cost_what_the_run_cost(model: Any, run: Trace) -> None:
    fewer = baselines.baseline(run, "frames")
    assert fewer.config.is_dense and fewer.max_frames is not None
    slices = fewer.max_frames // 2
    below = traced(model, fewer.config, [(slices, *GRID[1:])])
    above = traced(model, fewer.config, [(slices + 1, *GRID[1:])])
    text = 0.1 * below.meta.flops.dense.total  # its share of so short a prompt
    cost = run.meta.flops.sparse.total
    assert below.meta.flops.dense.total - text <= cost
    assert cost <= above.meta.flops.dense.total + text


def test_as_many_tokens_are_left_as_the_run_could_afford(run: Trace) -> None:
    fewer = baselines.baseline(run, "prune")
    kept = fewer.keep_tokens
    assert fewer.config.is_dense and fewer.max_frames is None and kept is not None
    assert fewer.config.cube == (1, 1, kept) and 0 < kept < len(run.cube_from_token)
    text, total = run.meta.counts.text_tokens, run.meta.flops.sparse.total
    costs = [
        flops(run.meta.shape, video_tokens=count, text_tokens=text).dense.total
        for count in (kept, kept + 1)
    ]
    assert costs[0] <= total < costs[1]


def test_a_dense_run_keeps_everything(model: Any) -> None:
    trace = traced(model, AdaSparkConfig((2, 2, 2), 1.0, 1.0), [GRID])
    assert baselines.same_density_keep(trace) == pytest.approx(1.0, abs=0.05)
    assert baselines.same_cost_frames(trace) >= trace.meta.clip.frames - 1
    assert baselines.same_cost_tokens(trace) == len(trace.cube_from_token)
    assert np.all(trace.computed_pairs == trace.causal_pairs)


def test_an_unknown_baseline_is_refused_by_name(run: Trace) -> None:
    with pytest.raises(UserError, match="not with 'pruned'"):
        baselines.baseline(run, "pruned")
