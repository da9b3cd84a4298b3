"""Trace -> scene: one small JSON value that holds all the viewer draws.

Numbers are the trace's own (see `statistics.py`), shares rounded to 8 bits. A first view stays
within 300 KB of JSON: what does not fit is left out, and the viewer asks for it when it is looked
at: a layer (`viz.data.layer_detail`), a query or a cube (`viz.data.queries`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viz.data.importance import importance_peaks
from viz.data.layer_detail import details_within
from viz.data.lens import drawn_top_p
from viz.data.opening import opening
from viz.data.packing import finite_or_none, packed, packed_shares, packed_size
from viz.data.queries import query_rows, shown_words
from viz.data.sinks import sinks
from viz.data.statistics import TraceView

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

SCENE_VERSION = 3
FIRST_VIEW_BYTES = 290_000
KEPT_BYTES, FFN_BYTES = 185_000, 60_000
_COPIED = ("config", "model", "device", "dtype", "backend", "clip", "question", "answer")
_COPIED_TOO = ("seconds", "flops", "shape", "sampled_query_cubes")


def scene(
    trace: Trace | TraceView,
    *,
    video_url: str | None = None,
    most_bytes: int = FIRST_VIEW_BYTES,
    previews: bool = True,
) -> dict[str, Any]:
    """All that the viewer draws of a run at first, JSON-ready (no NaN, no numpy types).

    `video_url` is what the browser plays for the first video of the prompt; without it the cubes
    are drawn on plain ground. Tables are `viz.data.packing` values:

    - `drawn_top_p`, only where question and answer read everything: see `viz.data.lens`;
    - `cubes` u16 [C, 7]: video, first and end slice, row, column (ends exclusive);
    - `kept` u8 [K, L, C]: share of the queries of each of `kinds` that attend to a cube;
    - `words`, `queries`: see `viz.data.queries`; `queries` are rows of the trace's word tables;
    - `query_cubes`: those whose own tokens' choices are recorded, null for all;
    - `opening`: where to look first, see `viz.data.opening`;
    - `ffn_kept` u1 [L, V]: video tokens that passed through the FFN;
    - `ffn_share` u8 [L, S]: share of each slice's tokens that did;
    - `sinks` u1 [L, C]: `viz.data.sinks`;
    - `ffn_peak`: `importance.importance_peaks`;
    - `details`: every layer's `layer_detail` where `most_bytes` of JSON hold them, with what
      `previews` of other thresholds need unless that is not wanted;
    - `pruned`, null unless tokens were pruned: `grid` (T, H, W) of them all and `kept` u1 [T*H*W];
      all else then speaks of the row of tokens that was left.

    `kept`, `ffn_kept` and `details` are null where they would pass their budget, the first two also
    where they would pass that of a first view with all else. The URL is not counted.
    """
    run = TraceView.of(trace)
    view, known = run.drawn, run.trace.meta.to_dict()
    meta = {name: known[name] for name in _COPIED + _COPIED_TOO if name in known}
    rows, found = query_rows(view), _sinks(view)
    parts = {
        "version": SCENE_VERSION,
        **meta,
        **({"drawn_top_p": drawn_top_p(run.trace.meta.config)} if view is not run else {}),
        "layers": len(view.trace.computed_pairs),
        "heads": view.trace.word_probs.shape[2] if rows else 0,
        "videos": _videos(view),
        "frame_times": [
            [finite_or_none(t, 6) for t in row] for row in view.trace.frame_times.tolist()
        ],
        "cubes": packed(view.trace.bounds, 16),
        "kinds": view.kinds,
        "kept": _kept(view),
        "words": shown_words(view),
        "queries": rows,
        "opening": opening(view.trace, shown_words(view), view.grids, found),
        "query_cubes": _query_cubes(view),
        "ffn_kept": _ffn_kept(view),
        "ffn_share": packed_shares(view.ffn_kept_by_slice),
        "sinks": packed(found, 1),
        "ffn_peak": importance_peaks(view.trace, view.grids),
        "density": _density(view),
        "pruned": _pruned(view),
        "entropy": _entropy(view),
    }
    ready: dict[str, Any] = _json_ready(parts)
    for name in ("kept", "ffn_kept"):  # many cubes and slices leave no room for them
        if len(json.dumps(ready)) > FIRST_VIEW_BYTES:
            ready[name] = None
    details = details_within(view, most_bytes - len(json.dumps(ready)), previews=previews)
    for video in ready["videos"][:1]:
        video["url"] = video_url
    return {**ready, "details": details}


def _videos(view: TraceView) -> list[dict[str, Any]]:
    sides, first, videos = view.grids, 0, []
    for slices, rows, columns in sides:
        videos.append({"grid": [slices, rows, columns], "first_slice": first, "url": None})
        first += slices
    return videos


def _kept(view: TraceView) -> dict[str, Any] | None:
    layers, cubes = len(view.trace.computed_pairs), len(view.trace.bounds)
    if packed_size(len(view.kinds) * layers * cubes, 8) > KEPT_BYTES:
        return None
    tables = [view.kept(kind) for kind in view.kinds]
    empty = np.zeros((0, layers, cubes), np.float32)
    return packed_shares(np.stack(tables) if tables else empty)


def _sinks(view: TraceView) -> NDArray[np.bool_]:
    if not view.kinds:
        return np.zeros((len(view.trace.computed_pairs), len(view.trace.bounds)), bool)
    return sinks({kind: view.kept(kind) for kind in view.kinds}, view.seen_by_others)


def _query_cubes(view: TraceView) -> list[int] | None:
    recorded = view.trace.query_cubes.tolist()
    return recorded if len(recorded) < len(view.trace.bounds) else None


def _ffn_kept(view: TraceView) -> dict[str, Any] | None:
    mask = view.trace.ffn_mask()
    return packed(mask, 1) if packed_size(mask.size, 1) <= FFN_BYTES else None


def _pruned(view: TraceView) -> dict[str, Any] | None:
    pruned = view.trace.meta.pruned
    if pruned is None:
        return None
    return {"grid": pruned.grid, "kept": packed(view.unpruned, 1)}


def _density(view: TraceView) -> dict[str, Any]:
    return {
        "attention": view.trace.attention_density,
        "ffn": view.trace.ffn_density,
        "attention_by_layer": [layer.attention_density for layer in view.trace.layers],
        "ffn_by_layer": [layer.ffn_density for layer in view.trace.layers],
    }


def _entropy(view: TraceView) -> dict[str, Any]:
    found = view.kinds
    return {
        "attention_by_layer": {k: view.attention_entropy(k).tolist() for k in found},
        "effective_by_layer": {k: view.effective_cubes(k).tolist() for k in found},
        "ffn_by_layer": view.ffn_entropy.tolist(),
    }


def _json_ready(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return finite_or_none(value, 6) if isinstance(value, float) else value
