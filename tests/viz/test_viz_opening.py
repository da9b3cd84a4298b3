"""A run opens on what its answer was read from: the object asked about, on every bundled sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from asked_objects import NAMES, cubes_asked_about, lit_first, recorded
from trace_factory import make_trace

from viz.data.packing import unpacked
from viz.data.scene import scene

ENOUGH = 0.6


@pytest.mark.parametrize("name", NAMES)
def test_what_is_lit_lies_on_the_object_asked_about(name: str) -> None:
    held, (slice_, lit) = cubes_asked_about(name), lit_first(name)
    bounds = recorded(name).bounds
    sizes = np.prod(bounds[:, 2::2] - bounds[:, 1::2], axis=1)
    here = lit & (bounds[:, 1] <= slice_) & (slice_ < bounds[:, 2])
    for shown in (here, lit):
        assert sizes[shown & held].sum() >= ENOUGH * sizes[shown].sum() > 0


def test_few_cubes_that_all_heads_keep_are_where_it_opens() -> None:
    trace = make_trace(grids=((4, 4, 4),), cube=(1, 2, 2), layers=2, heads=4, tail=["<end>"])
    row = int(trace.answer_queries()[0])
    trace.word_probs[:, row] = 1 / 16
    trace.word_kept[:, row] = 255
    trace.word_probs[1, row] = 0
    trace.word_probs[1, row, :, 9] = 1
    trace.word_kept[1, row] = np.packbits(np.arange(16) == 9)
    found = scene(trace)["opening"]
    place = {"word": 8, "layer": 1, "slice": 2, "threshold": 1.0, "cubes": 1, "mass": 1.0}
    assert found == {**place, "apart": False} and trace.words[found["word"]].kind == "answer"


def test_a_sink_is_no_place_to_open_at_and_is_set_apart() -> None:
    shape: dict[str, Any] = {"grids": ((8, 4, 4),), "cube": (1, 2, 2), "layers": 2, "heads": 4}
    trace = make_trace(**shape, tail=["<end>"])
    row = int(trace.answer_queries()[0])
    cubes = np.arange(len(trace.bounds))
    trace.word_probs[:] = 0
    trace.word_probs[0], trace.word_probs[1, ..., 0] = 1 / len(cubes), 0.7
    trace.word_probs[1, row, :, 9] = 0.3
    trace.word_kept[0] = 255
    trace.word_kept[1] = np.packbits(cubes == 0)
    trace.word_kept[1, row] = np.packbits((cubes == 0) | (cubes == 9))
    trace.kept_share[1, :, 0] = 255
    found = scene(trace)
    assert unpacked(found["sinks"])[1].tolist() == (cubes == 0).tolist()
    place = found["opening"]
    assert (place["layer"], place["slice"], place["cubes"]) == (1, 2, 1)
    assert place["mass"] == pytest.approx(0.3, abs=0.01) and place["apart"]


def test_without_an_answer_the_questions_last_word_opens_and_without_cubes_nothing() -> None:
    found = scene(make_trace(layers=1, answer=()))["opening"]
    assert found is not None and found["word"] == 6
    assert scene(make_trace(grids=()))["opening"] is None
    assert scene(make_trace(layers=1, attn_top_p=0.0))["opening"] is None
