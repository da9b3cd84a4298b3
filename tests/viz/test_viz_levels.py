"""Levels keep what the method's rule keeps at each threshold, and what the run kept at its own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_factory import make_layered_trace, make_trace, nucleus

from viz.data import thresholds
from viz.data.layer_detail import layer_detail
from viz.data.packing import unpacked
from viz.data.queries import Query, query_preview, query_rows
from viz.data.scene import scene
from viz.data.statistics import TraceView

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {"grids": ((6, 5, 7),), "cube": (2, 3, 4)},
    "two videos": {"grids": ((5, 3, 7), (1, 2, 2)), "cube": (2, 2, 2)},
    "one token": {"grids": ((1, 1, 1),)},
    "no video": {"grids": ()},
    "no word": {"question": (), "answer": ()},
}
LARGE: dict[str, Any] = {
    "grids": ((32, 13, 23),),
    "cube": (4, 4, 4),
    "layers": 2,
    "heads": 28,
    "question": [" w"] * 10,
}


def test_one_querys_preview_of_an_hour_fits_and_says_what_the_rule_keeps() -> None:
    """7,200 cubes: fewer thresholds are told apart, the run's own always, within 64 KB."""
    shape: dict[str, Any] = {"grids": ((1800, 4, 4),), "cube": (1, 2, 2), "query_cubes": 4}
    trace = make_trace(**shape, layers=1, heads=4)
    view, own = TraceView(trace), trace.meta.config.attn_top_p
    row = query_rows(view)[-1]
    found = query_preview(view, 0, Query(row=row))
    assert found is not None and len(json.dumps(found)) <= 64_000
    steps, counts = found["steps"], unpacked(found["table"])
    assert found["of"] == 4 and own in steps and len(steps) >= 9
    assert np.array_equal(counts[steps.index(own)], trace.word_mask()[0, row].sum(0))
    assert (np.diff(counts.astype(int), axis=0) >= 0).all()
    assert len(query_preview(view, 0, Query(row=row, head=1))["steps"]) > len(steps)  # type: ignore[index]


def kept_at(found: np.ndarray, steps: thresholds.Steps, p: float) -> np.ndarray:
    return found <= steps.index(p)


@settings(max_examples=20)
@given(st.sampled_from([0.0, 0.01, 0.3, 0.55, 0.89, 0.9, 0.97, 1.0]), st.integers(0, 5))
def test_word_levels_are_the_nucleus_at_every_step(p: float, seed: int) -> None:
    trace = make_trace(grids=((6, 5, 7),), cube=(2, 3, 4), layers=2, seed=seed)
    steps = thresholds.steps_of(8, 0.9)
    rows = query_rows(TraceView(trace))
    found = thresholds.word_levels(TraceView(trace), 1, rows, steps)
    mass = trace.word_probs[1, rows].astype(np.float64)
    expected = trace.word_mask()[1, rows] if p == 0.9 else nucleus(mass, p)
    assert (kept_at(found, steps, p) == expected).all()


@settings(max_examples=20)
@given(st.sampled_from([0.0, 0.01, 0.3, 0.55, 0.7, 0.97, 1.0]), st.integers(0, 5))
def test_token_levels_are_the_nucleus_of_each_cube(p: float, seed: int) -> None:
    trace = make_trace(grids=((6, 5, 7),), cube=(2, 3, 4), layers=2, seed=seed)
    steps = thresholds.steps_of(8, 0.7)
    found = kept_at(thresholds.token_levels(TraceView(trace), 1, steps), steps, p)
    weights = trace.ffn_importance[1].astype(np.float64)
    for cube in range(len(trace.bounds)):
        tokens = np.flatnonzero(trace.cube_from_token == cube)
        expected = nucleus(weights[tokens], max(p, 1e-6))
        if p == 0.7:
            expected = trace.ffn_mask()[1, tokens]
        assert (found[tokens] == expected).all()


@pytest.mark.parametrize("bits", thresholds.BITS)
@pytest.mark.parametrize("recorded", [0.0, 0.333, 0.9, 1.0])
def test_every_resolution_keeps_what_the_run_kept(bits: int, recorded: float) -> None:
    trace = make_trace(layers=1, attn_top_p=recorded, ffn_top_p=recorded)
    steps, rows = thresholds.steps_of(bits, recorded), query_rows(TraceView(trace))
    words = kept_at(thresholds.word_levels(TraceView(trace), 0, rows, steps), steps, recorded)
    assert (words == trace.word_mask()[0, rows]).all()
    tokens = kept_at(thresholds.token_levels(TraceView(trace), 0, steps), steps, recorded)
    assert (tokens == trace.ffn_mask()[0]).all()
    assert len(steps) < 2**bits


def test_every_layer_keeps_what_it_kept_at_its_own_threshold() -> None:
    ps = [(0.9, 0.7), (0.333, 1.0), (1.0, 0.111)]
    trace = make_layered_trace(ps)
    rows = query_rows(TraceView(trace))
    for layer, (attn, ffn) in enumerate(ps):
        detail = layer_detail(trace, layer)
        for name, p, kept in (
            ("word_level", attn, trace.word_mask()[layer, rows]),
            ("ffn_level", ffn, trace.ffn_mask()[layer]),
        ):
            at = detail[name]["steps"].index(p)
            assert ((unpacked(detail[name]["table"]) <= at) == kept).all()


def test_a_word_never_keeps_a_cube_that_comes_after_it() -> None:
    trace = make_trace(grids=((4, 4, 4), (4, 4, 4)), layers=1, attn_top_p=1.0)
    between = 2
    trace.meta.words[between].position = between + 64
    trace.word_probs[:, between, :, 1:] = 0
    trace.word_kept[:, between] = np.packbits([1, 0])
    found = thresholds.word_levels(TraceView(trace), 0, [between], thresholds.FINE)
    assert (found[..., 0] <= 100).all() and (found[..., 1] > 100).all()


def test_another_rule_than_top_p_offers_no_other_threshold() -> None:
    trace = make_trace(layers=1)
    trace.meta.config = replace(trace.meta.config, attn_rule="top_k", attn_keep=0.5)
    detail = layer_detail(trace, 0)
    assert detail["word_level"]["steps"] == [1.0]
    rows = query_rows(TraceView(trace))
    assert ((unpacked(detail["word_level"]["table"]) == 0) == trace.word_mask()[0, rows]).all()


@pytest.mark.parametrize("shape", [*SHAPES.values(), LARGE], ids=[*SHAPES, "large"])
def test_a_layer_fits_in_64_kilobytes(shape: dict[str, Any]) -> None:
    trace = make_trace(**{"layers": 2, **shape})
    for layer in range(2):
        assert len(json.dumps(layer_detail(trace, layer))) <= 64_000


@pytest.mark.parametrize("words", [2, 20, 240], ids=["levels fit", "shares fit", "neither fits"])
def test_a_large_layer_keeps_what_fits_and_never_rounds_it(words: int) -> None:
    trace = make_trace(**LARGE | {"layers": 1, "heads": 14}, answer=[" a"] * words)
    detail, view = layer_detail(trace, 0), TraceView(trace)
    kept = trace.word_mask()[0, query_rows(view)]
    if detail["word_level"]:
        at = detail["word_level"]["steps"].index(0.9)
        assert ((unpacked(detail["word_level"]["table"]) <= at) == kept).all()
    elif detail["word_share"]:
        counts, of = unpacked(detail["word_share"]["table"]), detail["word_share"]["of"]
        assert of == 14 and (counts == kept.sum(1)).all()
    found = detail["word_level"] is not None, detail["word_share"] is not None
    assert found == {2: (True, False), 20: (False, True), 240: (False, False)}[words]
    assert len(detail["ffn_level"]["steps"]) > 1


def test_small_runs_travel_whole_and_large_ones_layer_by_layer() -> None:
    small = scene(make_trace(layers=3))
    assert [detail["layer"] for detail in small["details"]] == [0, 1, 2]
    embedded = scene(make_trace(layers=3), video_url="data:," + "x" * 400_000)
    assert embedded["details"] == small["details"] and embedded["videos"][0]["url"]
    large = scene(make_trace(**LARGE | {"layers": 28, "question": [" w"] * 40}))
    assert large["details"] is None and large["kept"]["dtype"] == "u8"
    report = scene(make_trace(**LARGE | {"layers": 28}), most_bytes=2**23, previews=False)
    assert all(detail["word_level"] for detail in report["details"])
