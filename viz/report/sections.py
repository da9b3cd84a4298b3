"""The parts of the offline report below the viewer: cards, charts, maps and tables, as HTML.

Everything that a run says is escaped; a missing number is a dash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from viz.data import series
from viz.data.queries import Looked, Query
from viz.report import svg
from viz.report.heat_map import heat_map
from viz.report.markup import tag, text

if TYPE_CHECKING:
    from viz.data.statistics import TraceView

PART_ROLES = {
    "projections": "dense",
    "attention": "video",
    "ffn": "ffn",
    "choosing": "answer",
    "vision": "question",
}
MAPS_NOTE = (
    "Share of queries that attend to each cube of the first video. Across: time; down: places in "
    "the picture, row by row."
)
LENS_NOTE = (
    "Question and answer read every cube: of them the fewest that hold as much of their attention "
    "as the video's own queries keep."
)


def header(view: TraceView) -> str:
    """The question, the answer and what ran."""
    meta = view.trace.meta
    facts = {
        "Model": meta.model,
        "Device": meta.device,
        "Backend": meta.backend,
        "Cube": _cube(view),
        "Top-p attention": _top_p(view, "attn"),
        "Top-p FFN": _top_p(view, "ffn"),
        "Top-p of the question": _top_p(view, "text"),
        "FFN importance": _importance(view),
        "Video": meta.clip.name if meta.clip else None,
    }
    known = {name: value for name, value in facts.items() if value not in (None, "")}
    chips = [tag("li", text(name), " ", tag("b", text(value))) for name, value in known.items()]
    return tag(
        "header",
        tag("p", "AdaSpark: what a video model read to answer this question", class_="about"),
        tag("h1", text(meta.question or "No question")),
        tag("p", text(meta.answer or "No answer"), class_="answer"),
        *[tag("p", text(warning), class_="warning") for warning in meta.warnings],
        tag("ul", *chips, class_="chips"),
    )


def cards(view: TraceView) -> str:
    """Densities, counted FLOPs and measured seconds, kept apart."""
    trace, seconds = view.trace, view.trace.meta.seconds
    entries = [
        (
            "Attention density",
            _percent(view.trace.attention_density),
            "of query-key pairs computed",
        ),
        ("FFN density", _percent(trace.ffn_density), "of video tokens through the FFN"),
        ("Fewer FLOPs", _percent(_reduction(view)), "counted, prefill"),
        ("Prefill", _secs(seconds.get("prefill")), f"measured{_of(view)}"),
        ("Vision", _secs(seconds.get("vision")), "measured"),
    ]
    items = [
        tag("div", tag("dt", name), tag("dd", value, tag("small", note)))
        for name, value, note in entries
    ]
    return tag("dl", *items, class_="cards")


def _of(view: TraceView) -> str:
    """What the seconds of a prefill are of, where that is not the whole of it."""
    return ", of the question alone" if view.trace.meta.cached_tokens else ""


def comparison(views: Sequence[TraceView], labels: Sequence[str]) -> str:
    """Two or more runs of one question side by side: settings, answers, shares, cost."""
    rows = {
        "Answer": [view.trace.meta.answer or "No answer" for view in views],
        "Cube": [_cube(view) for view in views],
        "Top-p attention, FFN": [
            ", ".join(str(_top_p(view, half) or "-") for half in ("attn", "ffn")) for view in views
        ],
        "Top-p of the question": [_top_p(view, "text") or "as attention" for view in views],
        "FFN importance": [_importance(view) or "residual" for view in views],
        "Attention density": [_percent(view.trace.attention_density) for view in views],
        "FFN density": [_percent(view.trace.ffn_density) for view in views],
        "Fewer FLOPs, counted": [_percent(_reduction(view)) for view in views],
        "Prefill, measured": [
            f"{_secs(view.trace.meta.seconds.get('prefill'))}{_of(view)}" for view in views
        ],
    }
    heads = [tag("th", text(label), scope="col") for label in ("", *labels)]
    body = [_row(name, [str(value) for value in values]) for name, values in rows.items()]
    made = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body))
    box = tag("div", made, class_="scroll", tabindex=0, role="region", aria_label="Compared runs")
    return tag("section", tag("h2", "Compared"), box)


def charts(view: TraceView) -> str:
    """Entropies, densities and counted FLOPs; the chart over time follows the viewer's layer."""
    parts = [
        svg.line_chart(series.entropy_by_layer(view), "Normalised entropy by layer", "Layer"),
        svg.line_chart(series.layer_density(view), "Share computed, by layer", "Layer"),
        *_cube_charts(view),
    ]
    for layer in range(len(view.trace.computed_pairs) if len(view.trace.bounds) else 0):
        title = f"Normalised entropy over time, layer {layer}"
        lines = series.entropy_over_time(view, layer)
        chart = svg.line_chart(lines, title, series.slice_times(view)[1])
        parts.append(tag("div", chart, data_of_layer=layer, hidden=layer > 0))
    rows = series.flops_parts(view)
    if rows:
        chart = svg.bar_chart(rows, PART_ROLES, series.flops_title(view))
        parts.append(tag("div", chart, tag("p", *_meanings(series.FLOPS_WORDS))))
    return tag("section", tag("h2", "Figures"), *parts, class_="charts")


def _meanings(words: dict[str, str]) -> list[str]:
    return [f"{tag('b', text(word))}: {text(meaning)}. " for word, meaning in words.items()]


def _cube_charts(view: TraceView) -> list[str]:
    """How many cubes each layer attends to, and how few hold most of its attention."""
    total = len(view.trace.bounds)
    if not total:
        return []
    counts = {
        f"Cubes a query attends to, of {total}": series.kept_cubes(view),
        f"Effective cubes, of {total}": series.effective_cubes(view),
    }
    charts = [svg.line_chart(lines, name, "Layer", top=total) for name, lines in counts.items()]
    for kind in view.kinds:
        if kind != "video":
            title = f"Share of cubes that holds the attention, {series.QUERY_NAMES[kind].lower()}"
            lines = series.concentration(Looked(view, query=Query(kind=kind)))
            charts.append(svg.line_chart(lines, title, "Layer"))
    return charts


def maps(view: TraceView) -> str:
    """Every layer's kept share at a glance, by kind of query: across slices, down places."""
    blocks = []
    for kind in view.kinds:
        tables = _first_video(view, view.kept(kind))
        pictures = [_map(layer, values) for layer, values in enumerate(tables)]
        blocks.append(tag("h3", series.QUERY_NAMES[kind]) + tag("div", *pictures, class_="maps"))
    if not blocks:
        return ""
    scale = tag("p", "0 ", tag("i"), " 1", class_="scale")
    title = tag("h2", "Kept cubes in every layer")
    note = MAPS_NOTE if view.stands_for is None else f"{MAPS_NOTE} {LENS_NOTE}"
    return tag("section", title, tag("p", note), scale, *blocks)


def layer_table(view: TraceView) -> str:
    """One row a layer: densities, entropies, effective cubes."""
    columns: dict[str, Sequence[float]] = {
        "Attention density": [layer.attention_density for layer in view.trace.layers],
        "FFN density": [layer.ffn_density for layer in view.trace.layers],
        "FFN entropy": view.ffn_entropy.tolist(),
    }
    for kind in view.kinds:
        name = series.QUERY_NAMES[kind].lower()
        columns[f"Attention entropy, {name}"] = view.attention_entropy(kind).tolist()
        columns[f"Effective cubes, {name}"] = view.effective_cubes(kind).tolist()
    head = tag("tr", *(tag("th", name, scope="col") for name in ["Layer", *columns]))
    rows = [
        _row(str(layer), (_number(values[layer]) for values in columns.values()))
        for layer in range(len(view.trace.layers))
    ]
    table = tag("table", tag("thead", head), tag("tbody", *rows))
    box = tag("div", table, class_="scroll", tabindex=0, role="region", aria_label="Layers")
    return tag("section", tag("h2", "Layers"), box)


def run_table(view: TraceView) -> str:
    """Counted FLOPs and measured seconds, each named."""
    rows = [
        (f"{name}: {series.part_name(part)}, counted", f"{value / 1e9:.4g} GFLOP")
        for name, parts in series.flops_parts(view).items()
        for part, value in parts.items()
    ]
    seconds = view.trace.meta.seconds.items()
    rows += [(f"{name.capitalize()}, measured", _secs(value)) for name, value in seconds]
    if not rows:
        return ""
    body = tag("tbody", *(_row(name, [value]) for name, value in rows))
    return tag("section", tag("h2", "Counted and measured"), tag("table", body))


def _row(name: str, values: Iterable[str]) -> str:
    cells = [tag("td", text(value)) for value in values]
    return tag("tr", tag("th", text(name), scope="row"), *cells)


def _first_video(view: TraceView, table: Any) -> Any:
    """[L, places, slabs] of a [L, C] table."""
    mine = view.trace.bounds[:, 0] == 0
    slabs = len(np.unique(view.trace.bounds[mine, 1]))
    return table[:, mine].reshape(len(table), slabs, -1).transpose(0, 2, 1)


def _map(layer: int, values: Any) -> str:
    picture = heat_map(values, f"Layer {layer}, mean kept share {values.mean():.2f}")
    return tag("figure", picture, tag("figcaption", str(layer)))


def _cube(view: TraceView) -> str:
    return " x ".join(map(str, view.trace.meta.config.cube)) if view.trace.meta.config else ""


def _reduction(view: TraceView) -> float | None:
    return view.trace.meta.flops.reduction if view.trace.meta.flops else None


def _top_p(view: TraceView, half: str) -> Any:
    """The threshold of "attn", "ffn" or "text"; the least and the largest if layers differ."""
    top_p = getattr(view.trace.meta.config, f"{half}_top_p", None)
    return f"{min(top_p)} to {max(top_p)}, by layer" if isinstance(top_p, tuple) else top_p


def _importance(view: TraceView) -> str | None:
    """Whose norm ranked the FFN's tokens, where it is not the residual's."""
    found = getattr(view.trace.meta.config, "ffn_importance", "residual")
    return None if found == "residual" else str(found)


def _percent(share: Any) -> str:
    return "-" if share is None else f"{100 * float(share):.0f} %"


def _secs(value: Any) -> str:
    return "-" if value is None else f"{float(value):.2f} s"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
