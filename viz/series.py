"""The lines and bars that the charts draw: names, values and units, without a drawing library."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from viz import shares
from viz.packing import finite_or_none

if TYPE_CHECKING:
    from adaspark.trace import Trace

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


def entropy_by_layer(trace: Trace) -> list[Line]:
    """Normalised entropies [0, 1] by layer: attention by kind of query, then FFN."""
    layers = _layers(trace)
    found = [
        Line(
            f"Attention, {kind}",
            kind,
            layers,
            _known(shares.attention_entropy(trace, kind)),
        )
        for kind in shares.kinds(trace)
    ]
    return [*found, Line("FFN", "ffn", layers, _known(shares.ffn_entropy(trace)))]


def entropy_over_time(trace: Trace, layer: int) -> list[Line]:
    """Normalised entropies [0, 1] of one layer by slice; x is `slice_times`."""
    times, _ = slice_times(trace)
    attention = shares.by_slice(trace, trace.cube_entropy)[layer]
    ffn = shares.by_slice(trace, trace.ffn_entropy)[layer]
    return [
        Line("Attention, video", "video", times, _known(attention)),
        Line("FFN", "ffn", times, _known(ffn)),
    ]


def slice_times(trace: Trace) -> tuple[list[float], str]:
    """Where each slice lies and the unit: first presented second, or slice number if unknown.

    Several videos each begin at 0 seconds, so their slices are numbered instead.
    """
    firsts = shares.slice_starts(trace)
    if len(firsts) and not np.isnan(firsts).any() and len(shares.grids(trace)) == 1:
        return [float(t) for t in firsts], "Time (s)"
    slices = sum(t for t, _, _ in shares.grids(trace))
    return [float(i) for i in range(slices)], "Slice"


def layer_density(trace: Trace) -> list[Line]:
    """Attention density and FFN density [0, 1] by layer."""
    stats, layers = trace.layers, _layers(trace)
    attention = [layer.attention_density for layer in stats]
    ffn = [layer.ffn_density for layer in stats]
    return [
        Line("Attention density", "video", layers, _known(attention)),
        Line("FFN density", "ffn", layers, _known(ffn)),
    ]


def effective_cubes(trace: Trace) -> list[Line]:
    """Effective number of cubes, exp(entropy), by layer and kind of query."""
    layers = _layers(trace)
    return [
        Line(QUERY_NAMES[kind], kind, layers, _known(shares.effective_cubes(trace, kind)))
        for kind in shares.kinds(trace)
    ]


def kept_cubes(trace: Trace) -> list[Line]:
    """Cubes that a query attends to, by layer and kind: the mean over its tokens and heads.

    A video token's own cube counts.
    """
    layers = _layers(trace)
    return [
        Line(QUERY_NAMES[kind], kind, layers, _known(shares.kept_count(trace, kind)))
        for kind in shares.kinds(trace)
    ]


def passed_tokens(trace: Trace) -> list[Line]:
    """Share of the video tokens that pass through the FFN, by layer."""
    passed = [layer.ffn_density for layer in trace.layers]
    return [Line("FFN", "ffn", _layers(trace), _known(passed))]


def ffn_inertia(trace: Trace) -> tuple[list[Line], list[Line]]:
    """How far the FFN moves tokens, by layer: the means of output / input norm, and their standard
    deviations; text and video tokens apart. Both are empty where the trace has not recorded it.

    Video tokens that skipped the FFN do not count.
    """
    tables = (
        ("Text tokens", "question", trace.text_ffn_ratio),
        ("Video tokens", "video", trace.ffn_ratio),
    )
    means, spreads = [], []
    for name, role, ratios in tables if trace.ffn_ratio.size else ():
        known = [row[np.isfinite(row)] for row in ratios.astype(np.float64)]
        rows = [(row.mean(), row.std()) if row.size else (np.nan, np.nan) for row in known]
        mean, spread = zip(*rows, strict=True)
        means.append(Line(name, role, _layers(trace), _known(mean)))
        spreads.append(Line(name, role, _layers(trace), _known(spread)))
    return means, spreads


def concentration(trace: Trace, kind: str) -> list[Line]:
    """Share of the cubes that holds 50, 80, 90 and 95 % of the attention mass, by layer.

    The mean over the words of one kind ("question" or "answer") and the heads: how concentrated
    attention is, whatever Top-p was. The masses of video tokens are not recorded.
    """
    found = shares.needed_share(trace, kind, MASSES)
    return [
        Line(f"{100 * mass:.0f} % of the attention", role, _layers(trace), _known(column))
        for mass, role, column in zip(MASSES, MASS_ROLES, found.T, strict=True)
    ]


def flops_parts(trace: Trace) -> dict[str, dict[str, float]]:
    """Counted FLOPs by part for "Dense", "AdaSpark" and, where parts are known, "Executed".

    Empty where the trace's meta holds no counts.
    """
    counts: dict[str, Any] = trace.meta.get("flops") or {}
    names = {"Dense": "dense", "AdaSpark": "sparse", "Executed": "executed"}
    known = {name: counts[key] for name, key in names.items() if isinstance(counts.get(key), dict)}
    vision = float(counts.get("vision") or 0)
    return {
        name: {part: float(parts.get(part) or 0) for part in PARTS if part != "vision"}
        | ({"vision": vision} if vision else {})
        for name, parts in known.items()
    }


def measured(trace: Trace) -> dict[str, float]:
    """Seconds of each phase of the run that were measured."""
    seconds: dict[str, Any] = trace.meta.get("seconds") or {}
    return {name.capitalize(): float(secs) for name, secs in seconds.items() if secs is not None}


def flops_title(trace: Trace) -> str:
    """What the counted FLOPs are of."""
    rows = flops_parts(trace)
    if not rows:
        return "No FLOPs were counted in this run"
    vision = any("vision" in parts for parts in rows.values())
    return "Counted FLOPs, prefill and vision tower" if vision else "Counted FLOPs of the prefill"


def part_name(part: str) -> str:
    """A part of PARTS within a sentence."""
    return "FFN" if part == "ffn" else PARTS[part].lower()


def _layers(trace: Trace) -> list[float]:
    return [float(layer) for layer in range(len(trace.computed_pairs))]


def _known(values: Iterable[Any]) -> list[float | None]:
    return [finite_or_none(value) for value in values]
