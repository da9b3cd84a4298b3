"""Trace -> scene: one small JSON value that holds all the viewer draws.

Numbers are the trace's own (see `statistics.py`), quantised: tables of shares to 8 bits, or fewer
where a table would pass its budget, so that a first view stays within 300 KB of JSON. What does
not fit is a layer's `viz.data.layer_detail`, which the viewer asks for when it is looked at.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viz.data.layer_detail import details_within, packed_within, shown_words
from viz.data.packing import finite_or_none, packed, packed_known, packed_shares, packed_size
from viz.data.statistics import TraceView

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

SCENE_VERSION = 2
FIRST_VIEW_BYTES = 290_000
KEPT_BYTES, WORDS_BYTES, FFN_BYTES = 80_000, 110_000, 60_000
_COPIED = ("config", "model", "device", "dtype", "backend", "clip", "question", "answer")
_COPIED_TOO = ("seconds", "flops", "shape", "sampled_query_cubes")


def scene(
    trace: Trace | TraceView, *, video_url: str | None = None, most_bytes: int = FIRST_VIEW_BYTES
) -> dict[str, Any]:
    """All that the viewer draws of a run at first, JSON-ready (no NaN, no numpy types).

    `video_url` is what the browser plays for the first video of the prompt; without it the cubes
    are drawn on plain ground. Tables are `viz.data.packing` values:

    - `cubes` u16 [C, 7]: video, first and end slice, row, column (ends exclusive);
    - `kept` [K, L, C]: share of the queries of each of `kinds` that attend to a cube;
    - `ffn_kept` u1 [L, V]: video tokens that passed through the FFN;
    - `ffn_share` u8 [L, S]: share of each slice's tokens that did;
    - `entropy.attention_by_slice`, `entropy.ffn_by_slice` u8 [L, S]: x 254, 255 is unknown;
    - `details`: every layer's `detail.layer_detail` where `most_bytes` of JSON hold them;
    - `word_kept` [L, W', C], where they do not: share of heads in which each word chose a cube;
    - `pruned`, null unless tokens were pruned: `grid` (T, H, W) of them all and `kept` u1 [T*H*W];
      all else then speaks of the row of tokens that was left.

    `word_kept`, `ffn_kept` and `details` are null where they would pass their budget: the viewer
    then asks for a layer's detail when it needs it. The URL is not counted.
    """
    view = TraceView.of(trace)
    known = view.trace.meta.to_dict()
    meta = {name: known[name] for name in _COPIED + _COPIED_TOO if name in known}
    rows = shown_words(view)
    parts = {
        "version": SCENE_VERSION,
        **meta,
        "layers": len(view.trace.computed_pairs),
        "heads": view.trace.word_probs.shape[2] if rows else 0,
        "videos": _videos(view),
        "frame_times": [
            [finite_or_none(t, 6) for t in row] for row in view.trace.frame_times.tolist()
        ],
        "cubes": packed(view.trace.bounds, 16),
        "kinds": view.kinds,
        "kept": packed_within(_kept(view), KEPT_BYTES) or packed_shares(_kept(view), 1),
        "words": [view.words[row] for row in rows],
        "ffn_kept": _ffn_kept(view),
        "ffn_share": packed_shares(view.ffn_kept_by_slice),
        "density": _density(view),
        "pruned": _pruned(view),
        "entropy": _entropy(view),
    }
    ready: dict[str, Any] = _json_ready(parts)
    details = details_within(view, most_bytes - len(json.dumps(ready)))
    word_kept = None
    if details is None:
        word_kept = packed_within(view.word_kept(rows), WORDS_BYTES)
    for video in ready["videos"][:1]:
        video["url"] = video_url
    return {**ready, "details": details, "word_kept": word_kept}


def _videos(view: TraceView) -> list[dict[str, Any]]:
    sides, first, videos = view.grids, 0, []
    for slices, rows, columns in sides:
        videos.append({"grid": [slices, rows, columns], "first_slice": first, "url": None})
        first += slices
    return videos


def _kept(view: TraceView) -> NDArray[np.float32]:
    tables = [view.kept(kind) for kind in view.kinds]
    empty = np.zeros((0, len(view.trace.computed_pairs), len(view.trace.bounds)), np.float32)
    return np.stack(tables) if tables else empty


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
        "attention_by_slice": packed_known(view.by_slice(view.trace.cube_entropy)),
        "ffn_by_slice": packed_known(view.by_slice(view.trace.ffn_entropy)),
    }


def _json_ready(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return finite_or_none(value, 6) if isinstance(value, float) else value
