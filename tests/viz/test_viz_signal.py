"""What stands out is found and said: sinks, important tokens, one sentence under every figure."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from trace_factory import asking, make_trace

from adaspark.trace.meta import Recorded
from adaspark.trace.trace import Trace
from viz.data.importance import excess, importance_peaks, importance_table
from viz.data.packing import unpacked
from viz.data.queries import Looked, Query
from viz.data.scene import scene
from viz.data.series import measured_title
from viz.data.statistics import TraceView
from viz.figures.captions import CAPTIONS, caption
from viz.figures.figures import FIGURES, draw


def found_sinks(trace: Trace) -> np.ndarray:
    drawn = scene(trace)
    return unpacked(drawn["sinks"]).astype(bool)


def run(**options: object) -> Trace:
    shape: dict[str, object] = {"grids": ((8, 4, 4),), "cube": (1, 2, 2), "layers": 3, "heads": 4}
    return make_trace(**{**shape, **options})  # type: ignore[arg-type]


def test_a_cube_that_every_query_keeps_is_a_sink_and_others_are_not() -> None:
    trace = run(attn_top_p=0.3)
    kept = trace.word_mask()
    kept[1, :, :, 5] = True
    trace.word_kept = np.packbits(kept, axis=-1)
    assert not found_sinks(trace)[:, 5].any()  # the video's own tokens do not
    first = np.array([np.flatnonzero(trace.cube_from_token == c)[0] for c in range(32)])
    seeing = (np.arange(len(trace.cube_from_token)) >= first[5]).astype(float)
    sizes = np.bincount(trace.cube_from_token)
    trace.kept_share[1, :, 5] = np.rint(255 * np.bincount(trace.cube_from_token, seeing) / sizes)
    found = found_sinks(trace)
    assert found[1, 5] and found[1].sum() == 1 and not found[[0, 2]].any()


def test_where_all_is_kept_there_are_no_sinks() -> None:
    assert not found_sinks(run(attn_top_p=1.0)).any()
    assert found_sinks(make_trace(grids=())).shape == (6, 0)


def test_importance_is_told_against_the_mean_of_the_cube() -> None:
    trace = run()
    trace.ffn_importance[:] = 0.25
    tokens = np.flatnonzero(trace.cube_from_token == 9)
    trace.ffn_importance[1, tokens] = [0.5, 0.3, 0.1, 0.1]
    above = excess(trace, 1)
    assert above[tokens] == pytest.approx([1.0, 0.2, 0, 0], abs=1e-3)
    assert np.flatnonzero(above).tolist() == sorted(tokens[:2].tolist())
    table = importance_table(trace, 1)
    assert table is not None
    assert unpacked(table["table"])[tokens] / 255 * table["top"] == pytest.approx(
        [1.0, 0.2, 0, 0], abs=0.01
    )
    peaks = importance_peaks(trace, trace.meta.grids)
    assert peaks is not None
    drawn = unpacked(peaks["table"]) / 255 * peaks["top"]
    assert drawn[1, 2] == pytest.approx(1.0, abs=0.01) and drawn.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_a_sentence_whose_numbers_are_the_runs(name: str) -> None:
    assert FIGURES.keys() == CAPTIONS.keys()
    trace = run()
    told = draw(name, trace, layer=1).layout.meta["caption"]
    assert told.endswith(".") and re.search(r"\d", told)
    assert told == caption(name, Looked(TraceView(trace), 1, Query(kind="question")))
    assert draw(name, make_trace(grids=()), layer=1).layout.meta["caption"] is not None


def test_sentences_and_maps_follow_the_word_and_head_that_are_looked_at() -> None:
    trace = run()
    row = asking(trace, "answer")[1]
    shares = trace.word_mask()[1, row, 2].astype(float)
    figure = draw("selection_map", trace, layer=1, query=Query(row=row, head=2))
    told = figure.layout.meta["caption"]
    assert (
        f"What produced “circle”, head 2 keeps {int(shares.sum())} of 32 cubes in layer 1" in told
    )
    shown = np.array(figure.data[0].z, float)
    assert np.nansum(shown) == shares.sum() and set(np.unique(shown[~np.isnan(shown)])) <= {0, 1}
    maps = draw("selection_maps", trace, query=Query(row=row))
    mean = trace.word_mask()[2, row].mean(0)
    assert np.array(maps.data[2].z).T.reshape(-1) == pytest.approx(mean)
    axis = draw("selection_map", run(cube=(1, 4, 2)), layer=1).layout.yaxis
    assert (axis.scaleanchor, axis.scaleratio) == ("x", 2)  # cubes four tokens high and two wide
    lines = draw("layer_statistics", trace, query=Query(row=row)).data
    own = next(line for line in lines if line.name == "What produced “circle”")
    assert own.y == pytest.approx(trace.word_mask()[:, row].mean(1).sum(-1))


def test_a_sample_of_slices_says_so() -> None:
    trace = make_trace(grids=((200, 2, 2),), cube=(1, 2, 2), layers=1)
    row = len(trace.words) - 2
    drawn = draw("selection_map", trace, query=Query(row=row))
    shares = trace.word_mask()[0, row].mean(0)  # a cube a slice
    slices = [place[0] for place in drawn.layout.meta["places"]]
    title = drawn.layout.title.text
    assert title.endswith(f"({len(slices)} of 200 are drawn, half where most is kept)")
    assert slices == sorted(set(slices)) and {0, 199} <= set(slices) and 32 < len(slices) <= 64
    assert min(np.sort(shares[slices])[::-1][:32]) >= max(np.delete(shares, slices))
    masks = draw("ffn_masks", trace).layout.title.text
    assert masks.endswith("(64 of 200 are drawn, evenly)")


def test_what_is_the_same_in_every_layer_is_said_once() -> None:
    trace = run()
    trace.word_kept[...] = 255
    told = draw("layer_statistics", trace, query=Query(kind="question")).layout.meta["caption"]
    assert "a query attends to 32.0 of 32 cubes in every layer." in told


def test_seconds_say_where_they_were_measured() -> None:
    trace = run()
    assert measured_title(TraceView(trace)) == "Measured in this run on cpu"
    trace.meta = replace(trace.meta, recorded=Recorded("0"))
    assert measured_title(TraceView(trace)) == "Measured when it was recorded on cpu"
