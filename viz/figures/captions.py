"""One sentence under every figure: what this run shows there, computed from the same numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from viz.data import series
from viz.data.importance import excess
from viz.data.queries import Looked
from viz.figures.layout import stressed_role


def caption(name: str, looked: Looked) -> str:
    """The sentence of the figure of a name in CAPTIONS; empty where there is nothing to say."""
    if not len(looked.view.trace.computed_pairs):
        return ""
    return re.sub(r"(?<=\d)%", " %", CAPTIONS[name](looked))


def lens_note(looked: Looked) -> str:
    """Another sentence, where words that read everything are drawn by part of it."""
    top_p = looked.view.stands_for
    if top_p is None or not looked.is_of_words:
        return ""
    return (
        " These words read every cube: counted as kept are the fewest that hold "
        f"{float(np.mean(top_p)):.0%} of their attention."
    ).replace("%", " %")


def _ends(values: Sequence[float | None]) -> tuple[int, int] | None:
    """Where the least and the largest of the values that are known lie."""
    known = np.array([np.nan if value is None else value for value in values], float)
    if np.isnan(known).all():
        return None
    return int(np.nanargmin(known)), int(np.nanargmax(known))


def _main_line(
    lines: Sequence[series.Line], looked: Looked, *, by_head: bool = False
) -> tuple[str, list[float], int, int] | None:
    """Name and values of the line of what is looked at, and where they are least and largest; None
    if nothing is known. Unless lines are told `by_head` they are means of the heads, and say so.
    """
    stressed = stressed_role(lines, looked)
    for line in lines:
        if line.role == stressed and (ends := _ends(line.y)):
            mean = "" if by_head or looked.query.head is None else ", mean of the heads"
            return f"{line.name}{mean}", [value or 0.0 for value in line.y], *ends
    return None


def _by_layer(looked: Looked) -> str:
    view = looked.view
    main = _main_line(series.entropy_by_layer(view, looked)[:-1], looked)
    if main is None:
        return ""
    name, values, low, high = main
    return (
        f"{name}: sharpest in layer {low} (entropy {values[low]:.2f}), most spread in layer "
        f"{high} ({values[high]:.2f})."
    )


def _over_time(looked: Looked) -> str:
    view = looked.view
    line = series.entropy_over_time(view, looked.layer)[0]
    ends = _ends(line.y)
    if ends is None:
        return ""
    unit = " s" if series.slice_times(view)[1] == "Time (s)" else ""
    low, high = (f"{line.x[at]:.4g}{unit} ({line.y[at]:.2f})" for at in ends)
    return (
        f"In layer {looked.layer} the video tokens attend most sharply at {low}, most widely at "
        f"{high}."
    )


def _effective(looked: Looked) -> str:
    view = looked.view
    main = _main_line(series.effective_cubes(view, looked), looked)
    if main is None:
        return ""
    name, values, low, high = main
    return (
        f"{name}: attention is spread as over {values[low]:.1f} of {len(view.trace.bounds)} cubes "
        f"in layer {low}, over {values[high]:.1f} in layer {high}."
    )


def _density(looked: Looked) -> str:
    view = looked.view
    attention = series.layer_density(view)[0]
    ends = _ends(attention.y)
    if ends is None:
        return ""
    low, high = ends
    return (
        f"{view.trace.attention_density:.0%} of all query-key pairs are computed, fewest in layer "
        f"{low} ({attention.y[low]:.0%}), most in layer {high} ({attention.y[high]:.0%}); "
        f"{view.trace.ffn_density:.0%} of the video tokens pass through the FFN."
    )


def _statistics(looked: Looked) -> str:
    view = looked.view
    main = _main_line(series.kept_cubes(view, looked), looked, by_head=True)
    if main is None:
        return ""
    name, values, low, high = main
    if f"{values[low]:.1f}" == f"{values[high]:.1f}":
        cubes = f"{values[low]:.1f} of {len(view.trace.bounds)} cubes"
        return f"{name}: a query attends to {cubes} in every layer."
    return (
        f"{name}: a query attends to {values[low]:.1f} of {len(view.trace.bounds)} cubes in layer "
        f"{low}, to {values[high]:.1f} in layer {high}."
    )


def _concentration(looked: Looked) -> str:
    found = series.concentrated(looked)
    if not found:
        return ""
    own = dict(found).get(series.QUERY_NAMES.get(looked.query.kind or "", ""))
    name, lines = (looked.name(), own) if own and looked.query.head is None else found[-1]
    line = lines[series.MASSES.index(0.9)]
    ends = _ends(line.y)
    if ends is None:
        return ""
    low, high = ends
    return (
        f"{name}: 90 % of the attention lies in {line.y[low]:.1%} of the cubes in layer {low}; in "
        f"layer {high} it takes {line.y[high]:.1%}."
    )


def _inertia(looked: Looked) -> str:
    view = looked.view
    means = series.ffn_inertia(view)[0]
    if not means:
        return ""
    text, video = (float(np.nanmean(np.array(line.y, float))) for line in means)
    most = _ends(means[1].y)
    where = f"; video tokens move most in layer {most[1]}" if most else ""
    return (
        f"On average over the layers the FFN moves text tokens by {text:.2f} of their norm and "
        f"video tokens by {video:.2f}{where}."
    )


def _maps(looked: Looked) -> str:
    shares = looked.shares()
    if not shares.size:
        return ""
    layer, cube = np.unravel_index(int(shares.argmax()), shares.shape)
    counts = looked.kept_counts()
    low, high = int(np.argmin(counts)), int(np.argmax(counts))
    return (
        f"{looked.name()} keeps most at {_when(looked, int(cube))} (cube {cube}, layer {layer}: "
        f"{shares[layer, cube]:.0%}); fewest cubes in layer {low} ({counts[low]} of "
        f"{shares.shape[1]}), most in layer {high} ({counts[high]})."
    )


def _map(looked: Looked) -> str:
    shares = looked.shares()
    if not shares.size:
        return ""
    row = shares[looked.layer]
    cube, kept = int(row.argmax()), looked.kept_counts()[looked.layer]
    return (
        f"{looked.name()} keeps {kept} of {len(row)} cubes in layer {looked.layer}, most at "
        f"{_when(looked, cube)} (cube {cube}: {row[cube]:.0%})."
    )


def _heads(looked: Looked) -> str:
    counts = looked.kept_by_head()
    if not counts.size:
        return ""
    (low, low_head), (high, high_head) = (
        np.unravel_index(int(at), counts.shape) for at in (counts.argmin(), counts.argmax())
    )
    return (
        f"{looked.name()}: fewest cubes in layer {low}, head {low_head} "
        f"({_count(counts[low, low_head])} of {looked.counted}), most in layer {high}, head "
        f"{high_head} ({_count(counts[high, high_head])})."
    )


def _count(cubes: float) -> str:
    return f"{cubes:,.1f}".removesuffix(".0")


def _masks(looked: Looked) -> str:
    view = looked.view
    mask = view.trace.ffn_mask()
    if not mask.size:
        return ""
    layer = looked.layer
    told = f"In layer {layer}, {mask[layer].mean():.0%} of the video tokens pass through the FFN"
    if not view.trace.ffn_importance.size:
        return f"{told}."
    above = excess(view.trace, layer)
    cube = int(view.trace.cube_from_token[int(above.argmax())])
    return (
        f"{told}; the one that stands out most has {1 + above.max():.2f} times the mean importance "
        f"of its cube (cube {cube}, {_when(looked, cube)})."
    )


def _flops(looked: Looked) -> str:
    view = looked.view
    counts = view.trace.meta.flops
    if counts is None:
        return ""
    parts = {name: getattr(counts.dense, name) for name in ("projections", "attention", "ffn")}
    largest = max(parts, key=lambda name: parts[name])
    saved = counts.reduction
    change = f"{saved:.0%} fewer" if saved >= 0 else f"{-saved:.0%} more, for choosing,"
    return (
        f"The prefill counts {counts.sparse.total / 1e9:.3g} GFLOP, {change} than the "
        f"{counts.dense.total / 1e9:.3g} of dense, whose largest part is "
        f"{series.part_name(largest)} ({parts[largest] / counts.dense.total:.0%})."
    )


def _when(looked: Looked, cube: int) -> str:
    """When a cube begins, in seconds or by slice."""
    view = looked.view
    video, first = view.trace.bounds[cube, :2].tolist()
    slice_ = sum(grid[0] for grid in view.grids[:video]) + first
    start = view.slice_starts[slice_]
    return f"slice {slice_}" if np.isnan(start) else f"{start:.2f} s"


CAPTIONS: dict[str, Callable[[Looked], str]] = {
    "entropy_by_layer": _by_layer,
    "entropy_over_time": _over_time,
    "effective_cubes": _effective,
    "layer_density": _density,
    "layer_statistics": _statistics,
    "concentration": _concentration,
    "ffn_inertia": _inertia,
    "selection_maps": _maps,
    "selection_map": _map,
    "heads_by_layer": _heads,
    "ffn_masks": _masks,
    "flops": _flops,
}
"""The sentence of every figure of `viz.figures.figures.FIGURES`, by its name."""
