"""Where a run is looked at first: what its answer's first word was read from. The rule is ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

HALF = 0.5


def opening(
    trace: Trace,
    words: Sequence[dict[str, Any]],
    grids: Sequence[tuple[int, int, int]],
    sinks: NDArray[np.bool_],
) -> dict[str, Any] | None:
    """The layer, slice and threshold that show best what produced the answer's first word.

    Of its query, each layer's sets of cubes that at least so many of the heads keep are weighed by

        (share of the heads) x (mean attention mass of the set)^2 / (cubes of the set),

    so that few cubes that hold much and that many heads agree on weigh most. The heaviest set names
    the layer; the widest of its sets that weigh half as much or more, the threshold; the cube of
    that set with the most mass, the slice. The layers' sinks are in no set: they say nothing of the
    question. Returns `word` (its index), `layer`, `slice`, `threshold`, of the lit set `cubes` (how
    many) and `mass`, and if the layer has sinks, which would be lit too, that they are set `apart`;
    None without words, or if no query keeps any other cube.

    `words` are `queries.shown_words`, `grids` the (T, H, W) of the videos, `sinks` [L, C] those of
    `viz.data.sinks`. A question's last word stands in where there is no answer. Source: ours.
    """
    known = [word for word in words if word["query"] is not None]
    answer = [word for word in known if word["kind"] == "answer"]
    if not known or not len(trace.bounds):
        return None
    word = answer[0] if answer else known[-1]
    rows = trace.answer_queries().tolist() if answer else []
    row = next((row for row in rows if row >= 0), word["index"])
    sets = [
        found
        for layer in range(len(trace.computed_pairs))
        for found in _sets(trace, layer, row, ~sinks[layer])
    ]
    if not sets:
        return None
    heaviest = max(sets, key=lambda found: found["weight"])
    near = [
        f
        for f in sets
        if f["layer"] == heaviest["layer"] and f["weight"] >= HALF * heaviest["weight"]
    ]
    lit = min(near, key=lambda found: found["threshold"])
    place = {name: lit[name] for name in ("layer", "threshold", "cubes", "mass")}
    at = {"word": word["index"], "slice": _slice(trace, grids, lit["cube"])}
    return {**at, **place, "apart": bool(sinks[lit["layer"]].any())}


def _sets(
    trace: Trace, layer: int, row: int, candidates: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Each set of the `candidates` that so many heads of a query keep in a layer, its weight."""
    kept = trace.word_mask_in(layer, [row])[0] & candidates
    counts = kept.sum(0)
    mass = trace.word_mass_in(layer, [row])[0].mean(0)
    found = []
    for least in np.unique(counts[counts > 0]).tolist():
        lit = counts >= least
        held, share = float(mass[lit].sum()), least / len(kept)
        best = int(np.where(lit, mass, -1).argmax())
        found.append(
            {
                "layer": layer,
                "cube": best,
                "threshold": share,
                "cubes": int(lit.sum()),
                "mass": held,
                "weight": share * held**2 / int(lit.sum()),
            }
        )
    return found


def _slice(trace: Trace, grids: Sequence[tuple[int, int, int]], cube: int) -> int:
    """The middle slice of a cube, counted over all videos."""
    video, first, end = trace.bounds[cube, :3].tolist()
    return int(sum(grid[0] for grid in grids[:video]) + (first + end - 1) // 2)
