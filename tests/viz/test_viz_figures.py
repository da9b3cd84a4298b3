"""Figures carry the trace's values, in both themes, with a second channel beside colour."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from trace_factory import asking, make_trace, nucleus

from adaspark.trace.meta import Meta
from adaspark.trace.trace import Trace
from viz.data.statistics import TraceView
from viz.figures import figures
from viz.palette import CIVIDIS, DARK, LIGHT, cividis, rgb


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(grids=((6, 5, 7),), cube=(2, 3, 4), layers=3)


def named(figure: Any, name: str) -> Any:
    return next(part for part in figure.data if part.name == name)


@pytest.mark.parametrize("name", figures.FIGURES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_are_transparent_themed_and_valid_json(trace: Trace, name: str, theme: str) -> None:
    figure = figures.draw(name, trace, layer=1, theme=theme)  # type: ignore[arg-type]
    text = (DARK if theme == "dark" else LIGHT)["text"]
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.font.color == text
    assert json.loads(figure.to_json())["data"]


@pytest.mark.few(8)
@pytest.mark.parametrize("name", figures.FIGURES)
@pytest.mark.parametrize(
    "shape",
    [{"grids": ()}, {"grids": ((1, 1, 1),)}, {"grids": ((5, 3, 7), (1, 2, 2))}, {"answer": ()}],
    ids=["no video", "one token", "two videos", "no answer"],
)
def test_any_run_can_be_drawn(name: str, shape: dict[str, Any]) -> None:
    unusual = make_trace(layers=2, **shape)
    assert figures.draw(name, unusual, layer=1).to_json()
    unusual.meta = Meta()
    assert figures.draw(name, unusual, layer=1).to_json()


def test_another_name_is_refused_with_those_there_are(trace: Trace) -> None:
    with pytest.raises(ValueError, match=r"no figure 'bogus': give one of .*layer_density"):
        figures.draw("bogus", trace)


def test_entropy_by_layer_keeps_kinds_apart(trace: Trace) -> None:
    figure = figures.entropy_by_layer(TraceView(trace))
    rows = [i for i, word in enumerate(trace.words) if word.kind == "question"]
    expected = trace.word_entropy[:, rows].mean(1)
    assert named(figure, "Attention, question").y == pytest.approx(expected, abs=1e-6)
    assert named(figure, "Attention, video").y == pytest.approx(
        [layer.attention_entropy for layer in trace.layers], abs=1e-6
    )
    assert named(figure, "FFN").y == pytest.approx(
        [layer.ffn_entropy for layer in trace.layers], abs=1e-6
    )


def test_lines_differ_in_dash_and_marker_too(trace: Trace) -> None:
    lines = figures.entropy_by_layer(TraceView(trace)).data
    for channel in (lambda line: line.line.dash, lambda line: line.marker.symbol):
        assert len({channel(line) for line in lines}) == len(lines)


def test_entropy_over_time_is_drawn_at_presentation_times(trace: Trace) -> None:
    line = named(figures.entropy_over_time(TraceView(trace), 1), "Attention, video")
    assert list(line.x) == trace.frame_times[:, 0].tolist()
    expected = TraceView(trace).by_slice(trace.cube_entropy)[1]
    assert line.y[0] is None and np.isnan(expected[0])
    assert line.y[2:] == pytest.approx(expected[2:], abs=1e-6)


def test_density_is_each_layers(trace: Trace) -> None:
    figure = figures.layer_density(TraceView(trace))
    densities = [layer.attention_density for layer in trace.layers]
    assert named(figure, "Attention density").y == pytest.approx(densities)
    assert named(figure, "FFN density").y == pytest.approx(trace.ffn_mask().mean(1))


def test_flops_bars_are_the_counted_parts(trace: Trace) -> None:
    figure = figures.flops_breakdown(TraceView(trace))
    counts = trace.meta.flops
    bar = named(figure, "FFN")
    assert dict(zip(bar.y, bar.x, strict=True)) == {
        "Dense": counts.dense.ffn / 1e9,
        "AdaSpark": counts.sparse.ffn / 1e9,
        "Executed": counts.executed.ffn / 1e9,
    }
    patterns = [part.marker.pattern.shape for part in figure.data if part.xaxis == "x"]
    assert len(set(patterns)) == len(patterns) > 2
    measured = named(figure, "Seconds")
    assert dict(zip(measured.y, measured.x, strict=True))["Prefill"] == 0.66


def test_selection_maps_hold_each_layers_cubes_by_place_and_slab(trace: Trace) -> None:
    figure = figures.selection_maps(TraceView(trace), kind="answer")
    assert len(figure.data) == 3
    expected = TraceView(trace).kept("answer")
    picture = np.array(figure.data[2].z)
    for cube, bounds in enumerate(trace.bounds):
        places = len(trace.bounds) // 3
        assert picture[cube % places, bounds[1] // 2] == pytest.approx(expected[2, cube])


def test_the_enlarged_map_has_each_cube_at_its_place(trace: Trace) -> None:
    picture = np.array(figures.selection_map(TraceView(trace), 2, kind="answer").data[0].z, float)
    expected = TraceView(trace).kept("answer")[2]
    rows, columns = 2, 2  # of cubes 3 x 4 in a picture of 5 x 7 tokens
    assert picture[2 : 2 + rows, 0:columns].reshape(-1) == pytest.approx(expected[:4], abs=1e-4)
    assert np.nansum(picture) == pytest.approx(expected.sum(), abs=1e-2)


def test_statistics_count_the_cubes_of_each_kind(trace: Trace) -> None:
    figure = figures.layer_statistics(TraceView(trace))
    rows = asking(trace, "answer")
    counts = trace.word_mask()[:, rows].sum(-1).mean((1, 2))
    assert named(figure, "Answer").y == pytest.approx(counts, abs=1e-4)
    sizes = np.bincount(trace.cube_from_token)[trace.query_cubes]
    video = np.average(trace.kept_share.sum(-1) / 255, axis=1, weights=sizes)
    assert named(figure, "Video tokens").y == pytest.approx(video, abs=1e-4)
    assert named(figure, "FFN").y == pytest.approx(trace.ffn_mask().mean(1))


def test_concentration_is_the_size_of_the_nucleus_at_each_mass(trace: Trace) -> None:
    rows = [i for i, word in enumerate(trace.words) if word.kind == "question"]
    figure = figures.attention_concentration(TraceView(trace))
    for mass in (0.5, 0.8, 0.9, 0.95):
        chosen = nucleus(trace.word_probs[:, rows].astype(np.float64), mass)
        line = named(figure, f"{100 * mass:.0f} % of the attention")
        assert line.y == pytest.approx(chosen.mean((1, 2, 3)), abs=1e-3)


def test_ffn_masks_count_the_tokens_that_passed(trace: Trace) -> None:
    picture = np.array(figures.ffn_masks(TraceView(trace), 1).data[0].z, float)
    assert np.nansum(picture) == trace.ffn_mask()[1].sum()
    assert (~np.isnan(picture)).sum() == trace.ffn_mask().shape[1]


def test_cividis_starts_and_ends_at_its_anchors_and_grows_lighter() -> None:
    ramp = cividis(np.linspace(-0.5, 1.5, 60)).astype(float)
    assert tuple(ramp[0]) == rgb(CIVIDIS[0]) and tuple(ramp[-1]) == rgb(CIVIDIS[-1])
    light = ramp @ [0.2126, 0.7152, 0.0722]
    assert all(b >= a for a, b in pairwise(light))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast_text_and_lines(theme: dict[str, str]) -> None:
    for ground in ("ground", "panel", "raised"):
        for name in ("text", "muted"):
            assert contrast(theme[name], theme[ground]) >= 4.5
    for name in ("video", "question", "answer", "ffn", "dense", "accent"):
        assert contrast(theme[name], theme["panel"]) >= 3
    assert contrast(theme["on_accent"], theme["accent"]) >= 4.5
    assert contrast(theme["warn_text"], theme["warn_ground"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio."""
    light = [
        float(
            np.dot(
                [0.2126, 0.7152, 0.0722],
                np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4),
            )
        )
        for c in (np.array(rgb(one)) / 255, np.array(rgb(other)) / 255)
    ]
    return (max(light) + 0.05) / (min(light) + 0.05)
