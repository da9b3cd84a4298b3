"""Trace -> scene: one small JSON value that holds all the viewer draws.

Numbers are the trace's own (see `viz.shares`), quantised: tables of shares to 8 bits, or fewer
where a table would pass its budget, so that a first view stays within 300 KB of JSON.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viz import shares
from viz.packing import packed, packed_known, packed_shares, packed_size

if TYPE_CHECKING:
    from adaspark.trace import Trace

SCENE_VERSION = 1
WORDS_BYTES = 150_000
IMPORTANCE_BYTES = 60_000
_COPIED = ("config", "model", "device", "dtype", "backend", "clip", "question", "answer")
_COPIED_TOO = ("seconds", "flops", "shape", "sampled_query_cubes")


def scene(trace: Trace, *, video_url: str | None = None) -> dict[str, Any]:
    """All that the viewer draws of a run, JSON-ready (no NaN, no numpy types).

    `video_url` is what the browser plays for the first video of the prompt; without it the cubes
    are drawn on plain ground. Tables are `viz.packing` values:

    - `cubes` u16 [C, 7]: video, first and end slice, row, column (ends exclusive);
    - `kept` u8 [K, L, C]: share of the queries of each of `kinds` that attend to a cube, x 255;
    - `word_kept` [L, W', C]: share of heads in which each of `words` chose a cube;
    - `ffn_kept` u1 [L, V]: video tokens that passed through the FFN;
    - `importance` [L, V] or null: token importance over the largest of its cube;
    - `entropy.attention_by_slice`, `entropy.ffn_by_slice` u8 [L, S]: x 254, 255 is unknown.
    """
    meta = {name: trace.meta[name] for name in _COPIED + _COPIED_TOO if name in trace.meta}
    shown = [word for word in shares.words(trace) if word["kind"] in ("question", "answer")]
    parts = {
        "version": SCENE_VERSION,
        **meta,
        "layers": len(trace.computed_pairs),
        "videos": _videos(trace, video_url),
        "frame_times": [[_rounded(t, 6) for t in row] for row in trace.frame_times.tolist()],
        "cubes": packed(trace.bounds, 16),
        "kinds": shares.kinds(trace),
        "kept": packed_shares(_kept(trace)),
        "words": shown,
        "word_kept": _word_table(trace, [word["index"] for word in shown]),
        "ffn_kept": packed(trace.ffn_mask(), 1),
        "importance": _importance(trace),
        "density": _density(trace),
        "entropy": _entropy(trace),
    }
    ready: dict[str, Any] = _json_ready(parts)
    return ready


def _videos(trace: Trace, url: str | None) -> list[dict[str, Any]]:
    sides, first, videos = shares.grids(trace), 0, []
    for index, (slices, rows, columns) in enumerate(sides):
        grid = [slices, rows, columns]
        videos.append({"grid": grid, "first_slice": first, "url": url if index == 0 else None})
        first += slices
    return videos


def _kept(trace: Trace) -> NDArray[np.float32]:
    tables = [shares.kept(trace, kind) for kind in shares.kinds(trace)]
    empty = np.zeros((0, len(trace.computed_pairs), len(trace.bounds)), np.float32)
    return np.stack(tables) if tables else empty


def _word_table(trace: Trace, rows: list[int]) -> dict[str, Any]:
    table = shares.word_kept(trace, rows)
    return packed_shares(table, _bits_within(table.size, WORDS_BYTES) or 1)


def _importance(trace: Trace) -> dict[str, Any] | None:
    bits = _bits_within(trace.ffn_importance.size, IMPORTANCE_BYTES)
    if bits is None or bits < 4 or not trace.ffn_importance.size:
        return None
    values = trace.ffn_importance.astype(np.float32)
    largest = np.zeros((len(values), len(trace.bounds)), np.float32)
    for layer, row in enumerate(values):
        np.maximum.at(largest[layer], trace.cube_from_token, np.nan_to_num(row))
    whole = np.maximum(largest[:, trace.cube_from_token], 1e-12)
    return packed_shares(np.nan_to_num(values) / whole, bits)


def _bits_within(count: int, budget_bytes: int) -> int | None:
    """The most bits per value, of 8, 4, 2 and 1, that stay within the budget."""
    fitting = (bits for bits in (8, 4, 2, 1) if packed_size(count, bits) <= budget_bytes)
    return next(fitting, None)


def _density(trace: Trace) -> dict[str, Any]:
    return {
        "attention": trace.attention_density,
        "ffn": trace.ffn_density,
        "attention_by_layer": [layer.attention_density for layer in trace.layers],
        "ffn_by_layer": [layer.ffn_density for layer in trace.layers],
    }


def _entropy(trace: Trace) -> dict[str, Any]:
    found = shares.kinds(trace)
    return {
        "attention_by_layer": {k: shares.attention_entropy(trace, k).tolist() for k in found},
        "effective_by_layer": {k: shares.effective_cubes(trace, k).tolist() for k in found},
        "ffn_by_layer": shares.ffn_entropy(trace).tolist(),
        "attention_by_slice": packed_known(shares.by_slice(trace, trace.cube_entropy)),
        "ffn_by_slice": packed_known(shares.by_slice(trace, trace.ffn_entropy)),
    }


def _json_ready(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return _rounded(value, 6) if isinstance(value, float) else value


def _rounded(value: float, digits: int) -> float | None:
    return round(value, digits) if math.isfinite(value) else None
