"""The scene holds the trace's own numbers, small enough to send, whatever the shape of the run."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from long import some_of
from trace_factory import REAL, REAL_CUBES, asking, make_trace, pruned_trace, seen_share

from adaspark.trace.meta import Meta, Part
from adaspark.trace.trace import Trace
from viz.data.packing import packed, packed_shares, unpacked
from viz.data.scene import scene
from viz.data.statistics import TraceView

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "ragged": {"grids": ((5, 3, 7),), "cube": (2, 2, 4)},
    "two videos": {"grids": ((5, 3, 7), (1, 2, 2))},
    "one token": {"grids": ((1, 1, 1),)},
    "one slice cubes": {"grids": ((4, 5, 6),), "cube": (1, 2, 2)},
    "sampled queries": {"query_cubes": 5},
    "no answer": {"answer": ()},
    "no video": {"grids": ()},
}


@pytest.fixture(params=SHAPES, ids=str)
def trace(request: pytest.FixtureRequest) -> Trace:
    return make_trace(layers=3, heads=7, **SHAPES[request.param])


def table(drawn: dict[str, Any], name: str) -> np.ndarray:
    bits = int(drawn[name]["dtype"][1:])
    return unpacked(drawn[name]) / (2**bits - 1)


def test_a_scene_is_json_without_nan(trace: Trace) -> None:
    drawn = scene(trace, video_url="clip.mp4")
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn


@pytest.mark.parametrize("kind", ["question", "answer"])
def test_words_keep_what_their_heads_chose(trace: Trace, kind: str) -> None:
    drawn = scene(trace)
    rows = asking(trace, kind)
    if not rows or not len(trace.bounds):
        assert kind not in drawn["kinds"]
        return
    expected = trace.word_mask()[:, rows].astype(float).mean((1, 2))
    found = table(drawn, "kept")[drawn["kinds"].index(kind)]
    assert np.abs(found - expected).max() <= 1 / 255


def test_each_word_has_its_own_cubes_by_index(trace: Trace) -> None:
    drawn = scene(trace)
    shown = [word["index"] for word in drawn["words"]]
    assert [trace.words[i].text for i in shown] == [word["text"] for word in drawn["words"]]
    for word in drawn["words"]:
        own = drawn["queries"][word["said" if word["kind"] == "answer" else "query"]]
        assert own == word["index"]
        assert word["kind"] == "question" or drawn["queries"][word["query"]] == own - 1
    kept = trace.word_mask()[:, drawn["queries"]]
    for layer, detail in enumerate(drawn["details"] or []):
        levels = detail["word_level"]
        at = levels["steps"].index(trace.meta.config.attn_top_p) if levels else 0
        assert levels is None or (unpacked(levels["table"]) <= at).tolist() == kept[layer].tolist()


def test_video_share_is_over_the_tokens_that_may_look(trace: Trace) -> None:
    if not len(trace.bounds):
        assert scene(trace)["kinds"] == []
        return
    seen = seen_share(trace.bounds, trace.cube_from_token)
    sizes = np.bincount(trace.cube_from_token)
    for layer in range(3):
        for cube in range(len(trace.bounds)):
            others = [i for i, q in enumerate(trace.query_cubes) if q != cube]
            queries = trace.query_cubes[others]
            may = (sizes[queries] * seen[queries, cube]).sum()
            does = (sizes[queries] * trace.kept_share[layer, others, cube] / 255).sum()
            expected = min(does / may, 1) if may else 1
            assert TraceView(trace).video_kept[layer, cube] == pytest.approx(expected, abs=1e-5)


def test_dense_keeps_every_cube_for_every_kind() -> None:
    drawn = scene(make_trace(grids=((6, 5, 4),), cube=(2, 2, 2), attn_top_p=1.0, ffn_top_p=1.0))
    assert table(drawn, "kept").min() >= 0.98  # the trace's own shares are rounded to 1/255
    assert unpacked(drawn["ffn_kept"]).all()


def test_ffn_bits_bounds_and_times_are_the_traces(trace: Trace) -> None:
    drawn = scene(trace)
    assert np.array_equal(unpacked(drawn["ffn_kept"]), trace.ffn_mask())
    apart = np.abs(table(drawn, "ffn_share") - TraceView(trace).ffn_kept_by_slice)
    assert apart.max(initial=0) < 0.005
    assert np.array_equal(unpacked(drawn["cubes"]), trace.bounds)
    assert np.allclose(np.array(drawn["frame_times"]).reshape(-1), trace.frame_times.reshape(-1))
    assert [video["grid"] for video in drawn["videos"]] == [list(grid) for grid in trace.meta.grids]


def test_entropy_by_slice_is_a_mean_by_area_and_skips_the_unknown() -> None:
    trace = make_trace(grids=((5, 3, 7),), cube=(2, 2, 4), layers=2)
    found = TraceView(trace).by_slice(trace.cube_entropy)
    assert np.isnan(found[:, :2]).all()  # the first slab has no candidates
    mine = [i for i, b in enumerate(trace.bounds) if b[1] <= 3 < b[2]]
    area = [(b[4] - b[3]) * (b[6] - b[5]) for b in trace.bounds[mine]]
    expected = np.average(trace.cube_entropy[:, mine], axis=1, weights=area)
    assert np.allclose(found[:, 3], expected)


def test_entropies_by_layer_keep_the_kinds_apart() -> None:
    trace = make_trace(layers=2)
    by_layer = scene(trace)["entropy"]["attention_by_layer"]
    rows = asking(trace, "answer")
    assert by_layer["answer"] == pytest.approx(trace.word_entropy[:, rows].mean(1), abs=1e-5)
    assert by_layer["video"] == pytest.approx(np.nanmean(trace.cube_entropy, 1), abs=1e-5)


@pytest.mark.few(3)
@some_of(
    "shape",
    [
        {"grids": ((32, 8, 8),), "layers": 6},
        {
            "grids": ((32, 13, 23),),
            "cube": (2, 4, 4),
            "layers": 28,
            "heads": 28,
            "question": [" w"] * 40,
            "answer": [" a"] * 20,
        },
        {"grids": ((1800, 2, 2),), "cube": (1, 2, 2), "layers": 28, "query_cubes": 4},
        REAL | {"cube": REAL_CUBES[400]},
        REAL | {"cube": REAL_CUBES[1600]},
        {"grids": ((1800, 4, 4),), "cube": (1, 2, 2), "layers": 6, "query_cubes": 4},
    ],
    always=3,
    ids=["small", "9,568 tokens", "1,800 slices", "400 cubes", "1,600 cubes", "7,200 cubes"],
)
def test_a_first_view_fits_in_300_kilobytes(shape: dict[str, Any]) -> None:
    assert len(json.dumps(scene(make_trace(**shape)))) <= 300_000


def test_a_trace_without_meta_still_draws() -> None:
    trace = make_trace(layers=2)
    trace.meta = Meta()
    drawn = scene(trace)
    assert drawn["videos"][0]["grid"] == [32, 8, 8]
    assert drawn["kinds"] == ["video", "question"]
    assert {word["text"] for word in drawn["words"]} == {"?"}


def test_parts_of_a_character_are_named_and_keep_their_own_rows() -> None:
    trace = make_trace(layers=2, answer=("日", ""))
    for number, word in enumerate(trace.words[-2:], start=1):
        word.part = Part(number, 2, "日")
    first, second = scene(trace)["words"][-2:]
    assert (first["text"], first["name"]) == ("日", "日 (part 1 of 2)")
    assert (second["text"], second["name"]) == ("\u00b7", "日 (part 2 of 2)")
    assert second["index"] == first["index"] + 1


def test_unknown_times_are_null() -> None:
    trace = make_trace(layers=2)
    trace.frame_times[:] = np.nan
    assert scene(trace)["frame_times"][0] == [None, None]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([1, 2, 4, 8, 16]).flatmap(
        lambda bits: st.tuples(
            st.just(bits),
            hnp.arrays(
                np.int64, hnp.array_shapes(min_side=0), elements=st.integers(0, 2**bits - 1)
            ),
        )
    )
)
def test_packing_round_trips(case: tuple[int, np.ndarray]) -> None:
    bits, values = case
    assert np.array_equal(unpacked(packed(values, bits)), values)


@given(st.sampled_from([1, 2, 4, 8]), st.floats(0, 1))
def test_a_packed_share_is_near_and_never_loses_a_little(bits: int, share: float) -> None:
    code = unpacked(packed_shares(np.array([share]), bits))[0]
    assert (code > 0) == (share > 0)
    assert abs(code / (2**bits - 1) - share) <= 1 / (2**bits - 1)


def test_a_pruned_scene_tells_which_tokens_are_left() -> None:
    kept = [0, 5, 6, 23]
    drawn = scene(pruned_trace((2, 3, 4), kept, layers=2, heads=2))
    assert drawn["pruned"]["grid"] == [2, 3, 4]
    assert np.flatnonzero(unpacked(drawn["pruned"]["kept"])).tolist() == kept
    assert drawn["videos"][0]["grid"] == [1, 1, 4]
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn
