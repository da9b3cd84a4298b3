"""The lines and bars that the charts draw: names, values and units, without a drawing library."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viz.data.packing import finite_or_none
from viz.data.queries import Looked, Query, heads_of, rows_of

if TYPE_CHECKING:
    from viz.data.statistics import TraceView

QUERY_NAMES = {"video": "Video tokens", "question": "Question", "answer": "Answer"}
PARTS = {
    "projections": "Projections",
    "attention": "Attention",
    "ffn": "FFN",
    "choosing": "Choosing",
    "vision": "Vision tower",
}
FLOPS_WORDS = {
    "Dense": "everything",
    "AdaSpark": "what it keeps",
    "Executed": "what the kernels ran for that: whole blocks, some dropped pairs included",
    "Projections": "the linear layers before and after attention",
    "Choosing": "scoring the cubes, to decide which to keep",
    "Vision tower": "turning frames into tokens, the same either way",
}
"""What the rows and parts of the counted FLOPs are."""

MASSES = (0.5, 0.8, 0.9, 0.95)
MASS_ROLES = ("answer", "video", "question", "ffn")


@dataclass(frozen=True)
class Line:
    """One line of a chart; `role` names its colour, dash and marker in the palette.

    None in `y` is a value that is not defined there.
    """

    name: str
    role: str
    x: list[float]
    y: list[float | None]


def entropy_by_layer(view: TraceView, looked: Looked | None = None) -> list[Line]:
    """Normalised entropies [0, 1] by layer: attention by kind of query, and of the word or cube
    that is looked at, then FFN.
    """
    layers = _layers(view)
    found = [
        Line(
            f"Attention, {kind}",
            kind,
            layers,
            _known(view.attention_entropy(kind)),
        )
        for kind in view.kinds
    ]
    own = _of_one(looked, view.trace.word_entropy, view.trace.cube_entropy)
    return [*found, *own, Line("FFN", "ffn", layers, _known(view.ffn_entropy))]


def _of_one(looked: Looked | None, words: NDArray[Any], cubes: NDArray[Any]) -> list[Line]:
    """The line of the word that is looked at, the mean of its heads, out of [L, W], or of the cube
    out of [L, C].
    """
    if looked is None or (looked.query.row is None and looked.query.cube is None):
        return []
    query = looked.query
    found = words[:, query.row] if query.row is not None else cubes[:, query.cube]
    return [Line(looked.all_heads().name(), "looked", _layers(looked.view), _known(found))]


def entropy_over_time(view: TraceView, layer: int) -> list[Line]:
    """Normalised entropies [0, 1] of one layer by slice; x is `slice_times`."""
    times, _ = slice_times(view)
    attention = view.by_slice(view.trace.cube_entropy)[layer]
    ffn = view.by_slice(view.trace.ffn_entropy)[layer]
    return [
        Line("Attention, video", "video", times, _known(attention)),
        Line("FFN", "ffn", times, _known(ffn)),
    ]


def slice_times(view: TraceView) -> tuple[list[float], str]:
    """Where each slice lies and the unit: first presented second, or slice number if unknown.

    Several videos each begin at 0 seconds, so their slices are numbered instead.
    """
    firsts = view.slice_starts
    if len(firsts) and not np.isnan(firsts).any() and len(view.grids) == 1:
        return [float(t) for t in firsts], "Time (s)"
    slices = sum(t for t, _, _ in view.grids)
    return [float(i) for i in range(slices)], "Slice"


def layer_density(view: TraceView) -> list[Line]:
    """Attention density and FFN density [0, 1] by layer."""
    stats, layers = view.trace.layers, _layers(view)
    attention = [layer.attention_density for layer in stats]
    ffn = [layer.ffn_density for layer in stats]
    return [
        Line("Attention density", "video", layers, _known(attention)),
        Line("FFN density", "ffn", layers, _known(ffn)),
    ]


def effective_cubes(view: TraceView, looked: Looked | None = None) -> list[Line]:
    """Effective number of cubes, exp(entropy), by layer and kind of query, and of the word or cube
    that is looked at.
    """
    layers = _layers(view)
    found = [
        Line(QUERY_NAMES[kind], kind, layers, _known(view.effective_cubes(kind)))
        for kind in view.kinds
    ]
    return [*found, *_of_one(looked, view.trace.word_effective, view.trace.cube_effective)]


def kept_cubes(view: TraceView, looked: Looked | None = None) -> list[Line]:
    """Cubes that a query attends to, by layer and kind: the mean over its tokens and heads; and of
    the word or head that is looked at.

    A video token's own cube counts.
    """
    layers = _layers(view)
    found = [
        Line(QUERY_NAMES[kind], kind, layers, _known(view.kept_count(kind))) for kind in view.kinds
    ]
    if looked is not None and looked.is_particular:
        counts = looked.shares().sum(-1)
        found.append(Line(looked.name(), "looked", layers, _known(counts)))
    return found


def passed_tokens(view: TraceView) -> list[Line]:
    """Share of the video tokens that pass through the FFN, by layer."""
    passed = [layer.ffn_density for layer in view.trace.layers]
    return [Line("FFN", "ffn", _layers(view), _known(passed))]


def ffn_inertia(view: TraceView) -> tuple[list[Line], list[Line]]:
    """How far the FFN moves tokens, by layer: the means of output / input norm, and their standard
    deviations; text and video tokens apart. Both are empty where the trace has not recorded it.

    Video tokens that skipped the FFN do not count.
    """
    tables = (
        ("Text tokens", "question", view.trace.text_ffn_ratio),
        ("Video tokens", "video", view.trace.ffn_ratio),
    )
    means, spreads = [], []
    for name, role, ratios in tables if view.trace.ffn_ratio.size else ():
        known = [row[np.isfinite(row)] for row in ratios.astype(np.float64)]
        rows = [(row.mean(), row.std()) if row.size else (np.nan, np.nan) for row in known]
        mean, spread = zip(*rows, strict=True)
        means.append(Line(name, role, _layers(view), _known(mean)))
        spreads.append(Line(name, role, _layers(view), _known(spread)))
    return means, spreads


def concentration(looked: Looked) -> list[Line]:
    """Share of the cubes that holds 50, 80, 90 and 95 % of the attention mass, by layer.

    The mean over the words that are looked at and their heads: how concentrated attention is,
    whatever Top-p was. The masses of video tokens are not recorded: no words, no values.
    """
    view, query = looked.view, looked.query
    rows = rows_of(view, query) if looked.is_of_words else []
    found = view.needed_share(rows, MASSES, heads_of(view, query))
    return [
        Line(f"{100 * mass:.0f} % of the attention", role, _layers(view), _known(column))
        for mass, role, column in zip(MASSES, MASS_ROLES, found.T, strict=True)
    ]


def concentrated(looked: Looked) -> list[tuple[str, list[Line]]]:
    """`concentration` of the question and of the answer, as far as there are any, and of the word
    or head that is looked at; each with its name.
    """
    view = looked.view
    kinds = [kind for kind in view.kinds if kind != "video"]
    found = [
        (QUERY_NAMES[kind], concentration(Looked(view, query=Query(kind=kind)))) for kind in kinds
    ]
    if looked.is_of_words and looked.is_particular:
        found.append((looked.name(), concentration(looked)))
    return found


def flops_parts(view: TraceView) -> dict[str, dict[str, float]]:
    """Counted FLOPs by part for "Dense", "AdaSpark" and "Executed".

    Empty where the trace's meta holds no counts.
    """
    counts = view.trace.meta.flops
    if counts is None:
        return {}
    rows = {"Dense": counts.dense, "AdaSpark": counts.sparse, "Executed": counts.executed}
    vision = {"vision": counts.vision} if counts.vision else {}
    return {
        name: {part: getattr(parts, part) for part in PARTS if part != "vision"} | vision
        for name, parts in rows.items()
    }


def measured(view: TraceView) -> dict[str, float]:
    """Seconds of each phase of the run that were measured."""
    seconds = view.trace.meta.seconds.items()
    return {name.capitalize(): float(secs) for name, secs in seconds if secs is not None}


def measured_title(view: TraceView) -> str:
    """Where the seconds were measured."""
    meta = view.trace.meta
    on = f" on {meta.device}" if meta.device else ""
    return f"Measured when it was recorded{on}" if meta.recorded else f"Measured in this run{on}"


def flops_title(view: TraceView) -> str:
    """What the counted FLOPs are of."""
    rows = flops_parts(view)
    if not rows:
        return "No FLOPs were counted in this run"
    vision = any("vision" in parts for parts in rows.values())
    return "Counted FLOPs, prefill and vision tower" if vision else "Counted FLOPs of the prefill"


def part_name(part: str) -> str:
    """A part of PARTS within a sentence."""
    return "FFN" if part == "ffn" else PARTS[part].lower()


def _layers(view: TraceView) -> list[float]:
    return [float(layer) for layer in range(len(view.trace.computed_pairs))]


def _known(values: Iterable[Any]) -> list[float | None]:
    return [finite_or_none(value) for value in values]
