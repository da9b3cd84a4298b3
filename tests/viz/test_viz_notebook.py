"""What a Trace gives a notebook: pandas frames that say what it says, and a frame of its own."""

from __future__ import annotations

import builtins
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from trace_factory import make_trace

from adaspark import Trace
from adaspark.errors import UserError
from viz.data.statistics import TraceView
from viz.report.page import report

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(layers=3)


def test_layers_say_what_the_trace_says(trace: Trace) -> None:
    frame = trace.layers_frame()
    assert frame.index.name == "layer" and len(frame) == 3
    for number, layer in enumerate(trace.layers):
        assert frame.loc[number, "attention_density_share"] == layer.attention_density
        assert frame.loc[number, "ffn_density_share"] == layer.ffn_density
    assert frame["computed_pairs"].sum() / frame["causal_pairs"].sum() == trace.attention_density


def test_words_are_in_order_in_every_layer(trace: Trace) -> None:
    frame = trace.words_frame()
    assert frame.index.names == ["layer", "word"]
    words = TraceView(trace).words
    for layer in range(3):
        assert frame.loc[layer]["text"].tolist() == [word["text"] for word in words]
    mask = trace.word_mask()
    found = frame["attended_cubes"].to_numpy().reshape(3, -1)
    np.testing.assert_allclose(found, mask.sum(-1).mean(-1), rtol=1e-6)


def test_cubes_lie_where_the_trace_has_them(trace: Trace) -> None:
    frame, view = trace.cubes_frame(), TraceView(trace)
    assert len(frame) == 3 * len(trace.bounds)
    columns = ["video", "first_slice", "end_slice", "first_row", "end_row"]
    np.testing.assert_array_equal(frame.loc[2][columns], trace.bounds[:, :5])
    for kind in view.kinds:
        kept = frame[f"kept_by_{kind}_share"].to_numpy().reshape(3, -1)
        np.testing.assert_array_equal(kept, view.kept(kind))
    weights = frame["ffn_kept_share"].to_numpy().reshape(3, -1) * view.cube_sizes
    np.testing.assert_allclose(weights.sum(1), trace.ffn_mask().sum(1))
    assert (frame["end_seconds"] >= frame["start_seconds"]).all()


def test_a_trace_without_cubes_has_empty_frames() -> None:
    assert (
        len(Trace().layers_frame()) == len(Trace().words_frame()) == len(Trace().cubes_frame()) == 0
    )


def test_without_pandas_or_ipython_a_sentence_says_what_to_install(
    trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.split(".")[0] in ("pandas", "IPython"):
            raise ImportError(name)
        return whole(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    for ask in (trace.layers_frame, trace.words_frame, trace.cubes_frame, trace.show):
        with pytest.raises(UserError, match=r"adaspark-studio\[notebook\]"):
            ask()


def test_a_notebook_s_frame_holds_the_report_and_no_rights(trace: Trace) -> None:
    class Frames(HTMLParser):
        found: dict[str, str | None]

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "iframe":
                self.found = dict(attrs)

    read = Frames()
    read.feed(trace._repr_html_())
    assert read.found["sandbox"] == "allow-scripts"
    assert read.found["srcdoc"] == report(trace)


def test_a_trace_writes_itself_in_one_line() -> None:
    trace = make_trace(meta={"question": "What color?", "answer": "Red."})
    line = repr(trace)
    assert "\n" not in line and len(line) < 200
    assert line.startswith("Trace('What color?', 'Red.': 6 layers, 2,048 video tokens in 32 cubes")
    assert f"attention density {trace.attention_density:.3f}" in line
    assert repr(Trace()) == "Trace(nothing recorded)"


def test_the_figures_are_had_by_the_name_of_their_folder() -> None:
    from viz import figures

    assert figures.draw("entropy_by_layer", make_trace()).data
    assert "entropy_by_layer" in figures.FIGURES
