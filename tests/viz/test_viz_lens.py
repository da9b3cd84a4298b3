"""Words that read everything are drawn by what holds most of their attention."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_factory import make_trace

from adaspark.trace.trace import Trace
from viz.data.layer_detail import layer_detail
from viz.data.lens import drawn, drawn_top_p
from viz.data.packing import unpacked
from viz.data.queries import Query, query_table
from viz.data.scene import scene
from viz.data.statistics import TraceView
from viz.figures.figures import draw, table
from viz.report.page import report
from viz.report.sections import LENS_NOTE

SHAPE = {"grids": ((8, 4, 4),), "cube": (1, 2, 2), "layers": 3, "heads": 4}
VIDEO_P = 0.6
SHARES = st.sampled_from([0.1, 0.25, 0.5, 0.6, 0.99])


def reading_all(top_p: float | tuple[float, ...] = VIDEO_P) -> Trace:
    """A run whose words kept all that they may see, and whose video chose by `top_p`."""
    trace = make_trace(**SHAPE)  # type: ignore[arg-type]
    assert trace.meta.config
    config = replace(trace.meta.config, attn_top_p=top_p, text_top_p=1.0)
    kept = np.packbits(trace.word_probs > 0, axis=-1)
    return replace(trace, word_kept=kept, meta=replace(trace.meta, config=config))


@pytest.mark.parametrize("top_p", [VIDEO_P, (0.3, 0.6, 0.9)])
def test_each_head_of_a_word_is_drawn_by_the_fewest_cubes_that_hold_its_share(
    top_p: float | tuple[float, ...],
) -> None:
    run = reading_all(top_p)
    lit = drawn(run)
    for layer, share in enumerate(top_p if isinstance(top_p, tuple) else (top_p,) * 3):
        rows = range(run.word_kept.shape[1])
        mass, mask = run.word_mass_in(layer, rows), lit.word_mask_in(layer, rows)
        assert not np.any(mask & ~run.word_mask_in(layer, rows))
        for weights, kept in zip(
            mass.reshape(-1, mass.shape[-1]), mask.reshape(-1, mask.shape[-1]), strict=True
        ):
            ranked, held, fewest = np.sort(weights)[::-1], 0.0, 0
            while held < share * weights.sum() and fewest < np.count_nonzero(weights):
                held, fewest = held + ranked[fewest], fewest + 1
            assert kept.sum() == fewest
            assert weights[kept].sum() == pytest.approx(ranked[:fewest].sum())


def test_a_layer_that_keeps_all_and_what_was_never_read_stay_as_they_are() -> None:
    run = reading_all((0.3, 0.6, 1.0))
    np.testing.assert_array_equal(drawn(run).word_kept[2], run.word_kept[2])
    off = reading_all()
    off.word_kept[..., 0] = 0  # the first eight cubes: forced off
    rows = range(off.word_kept.shape[1])
    mass, mask = off.word_mass_in(0, rows), drawn(off).word_mask_in(0, rows)
    read = np.where(off.word_mask_in(0, rows), mass, 0)
    held = np.where(mask, mass, 0).sum(-1)
    assert not mask[..., :8].any()
    assert np.all(held >= VIDEO_P * read.sum(-1) - 1e-6) and np.all(held > 0)


@given(st.lists(st.sampled_from([0.0, 2**-24, 0.1, 0.25, 0.3]), min_size=1, max_size=20), SHARES)
def test_equal_weights_go_to_the_lower_cube(weights: list[float], share: float) -> None:
    """As the rule top-p keeps them, by the plain way: one cube after another."""
    run, probs = reading_all(share), np.zeros((3, 1, 1, len(weights)), np.float16)
    probs[:] = weights
    run = replace(run, word_probs=probs, word_kept=np.packbits(probs >= 0, axis=-1))
    lit = np.unpackbits(drawn(run).word_kept, axis=-1, count=len(weights))
    exact = [float(weight) for weight in probs[0, 0, 0]]
    held, expected = 0.0, np.zeros(len(weights), bool)
    for cube in sorted(range(len(exact)), key=lambda cube: (-exact[cube], cube)):
        expected[cube] = held < share * sum(exact)
        held += exact[cube]
    np.testing.assert_array_equal(lit, np.broadcast_to(expected, lit.shape))


def test_weights_that_no_run_has_draw_something() -> None:
    run = reading_all()
    odd = np.full_like(run.word_probs, np.nan)
    odd[0], odd[1] = -1, np.inf
    assert drawn(replace(run, word_probs=odd)).word_kept.shape == run.word_kept.shape


def test_where_some_cubes_alone_are_listed_their_counts_follow() -> None:
    run, listed = reading_all(), 8
    order = np.argsort(-run.word_probs, axis=-1, kind="stable")[..., :listed].astype(np.int32)
    rows = range(run.word_kept.shape[1])
    kept = np.stack([run.word_mask_in(layer, rows) for layer in range(3)])
    few = replace(
        run,
        word_cubes=order,
        word_probs=np.take_along_axis(run.word_probs, order, -1),
        word_kept=np.packbits(np.take_along_axis(kept, order, -1), axis=-1),
        word_heads=kept.sum(2).astype(np.uint8),
    )
    for layer in range(3):
        share = drawn(few).word_share_in(layer, rows)
        np.testing.assert_allclose(share, drawn(few).word_mask_in(layer, rows).mean(1))
        assert share.mean() < few.word_share_in(layer, rows).mean()


def test_scene_layer_and_queries_are_those_of_such_words_and_say_so() -> None:
    run = TraceView(reading_all())
    made = scene(run)
    assert made["drawn_top_p"] == VIDEO_P and made["config"]["text_top_p"] == 1
    shown = unpacked(made["kept"]) / 255
    question = shown[made["kinds"].index("question")]
    np.testing.assert_allclose(question, run.drawn.kept("question"), atol=1 / 255)
    assert question.mean() < 0.9 < run.kept("question").mean()
    np.testing.assert_array_equal(run.drawn.kept("video"), run.kept("video"))
    assert VIDEO_P in layer_detail(run.drawn, 0)["word_level"]["steps"]
    table = query_table(run.drawn, Query(kind="question"))
    np.testing.assert_allclose(
        unpacked(table["table"])[0] / table["of"],
        run.drawn.kept("question")[0],
        atol=1 / table["of"],
    )
    assert made["opening"]["cubes"] < len(run.trace.bounds) / 2


def test_figures_of_choices_are_of_what_is_drawn_and_say_so_and_others_are_not() -> None:
    run, question = reading_all(), Query(kind="question")
    told = draw("selection_maps", run, query=question).layout.meta["caption"]
    assert told.endswith("the fewest that hold 60 % of their attention.")
    heads = [row for row in table("heads_by_layer", run, query=question) if row]
    same = table("heads_by_layer", drawn(run), query=question)
    assert [list(row.values()) for row in heads] == [list(row.values()) for row in same] != []
    for name, asked in (("selection_maps", Query(kind="video")), ("layer_statistics", question)):
        assert "read every cube" not in draw(name, run, query=asked).layout.meta["caption"]
    assert {"cubes looked at, question", "cubes looked at, answer"} < heads[0].keys()
    cubes = table("selection_maps", run)[0]
    assert {"kept, video", "looked at, question"} < cubes.keys()
    assert table("layer_statistics", run) != table("layer_statistics", drawn(run))
    assert LENS_NOTE in report(run)
    assert LENS_NOTE not in report(make_trace(**SHAPE))  # type: ignore[arg-type]


def test_words_that_choose_and_runs_in_which_nothing_does_are_drawn_as_they_are() -> None:
    usual = make_trace(**SHAPE)  # type: ignore[arg-type]
    assert drawn(usual) is usual and "drawn_top_p" not in scene(usual)
    assert TraceView(usual).drawn.trace is usual
    dense = reading_all(1.0)
    assert drawn(dense) is dense
    assert usual.meta.config
    for change in ({"text_top_p": 0.9}, {"text_top_p": (1.0, 0.9, 1.0)}, {"attn_top_p": 1.0}):
        assert drawn_top_p(replace(usual.meta.config, **change)) is None  # type: ignore[arg-type]
    assert drawn_top_p(None) is None
