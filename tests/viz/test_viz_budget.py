"""A budget's numbers agree with a run: what other thresholds would cost is told before they run."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from adaspark.assets import SAMPLES, TRACES
from adaspark.model.engine import Engine
from adaspark.model.request import Options, Result
from adaspark.trace.trace import Trace
from viz.data.statistics import TraceView
from viz.data.thresholds import cost_curves

NEAR = 0.05


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(device="cpu")


@pytest.mark.few
@pytest.mark.parametrize("tops", [(0.58, 0.25), (0.72, 0.38), (0.9, 0.7)])
def test_other_thresholds_cost_what_was_told(engine: Engine, tops: tuple[float, float]) -> None:
    trace = Trace.load(TRACES / "1_needle.npz")
    curves = cost_curves(TraceView(trace))
    assert curves is not None and trace.meta.question and trace.meta.flops
    attn, ffn = (curves["steps"].index(top) for top in tops)
    told = curves["fixed"] + curves["attention"][attn] + curves["ffn"][ffn]
    config = replace(engine.default_config, attn_top_p=tops[0], ffn_top_p=tops[1])
    options = Options(config, max_new_tokens=1)
    path = SAMPLES / "1_needle.mp4"
    events = engine.ask(path, trace.meta.question, options, stop=threading.Event())
    result = next(event for event in events if isinstance(event, Result))
    flops = result.trace.meta.flops
    assert flops is not None and told == pytest.approx(1 - flops.reduction, abs=NEAR)


def test_a_run_whose_own_cost_is_not_met_tells_nothing() -> None:
    trace = Trace.load(TRACES / "1_needle.npz")
    assert cost_curves(TraceView(trace)) is not None
    assert trace.meta.flops
    trace.meta.flops = replace(trace.meta.flops, sparse=trace.meta.flops.dense)
    assert cost_curves(TraceView(trace)) is None
