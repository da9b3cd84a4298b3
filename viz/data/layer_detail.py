"""One layer at full resolution: what each head of each word chose, and from which Top-p upwards.

A small run's layers travel inside its scene; of a larger one the viewer asks for a layer when it
is looked at. A layer stays within 64 KB of JSON: the finest tables that fit, or none.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viz.data import thresholds
from viz.data.packing import packed_shares, packed_size
from viz.data.statistics import TraceView

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

KINDS_BYTES, LAYER_BYTES = 9_000, 62_000
WORDS_SHARE = 0.65
ASKED = ("question", "answer")
"""The kinds of word that a scene shows."""


def layer_detail(
    trace: Trace | TraceView, layer: int, *, most_bytes: int = LAYER_BYTES
) -> dict[str, Any]:
    """What the viewer draws of one layer beyond its scene, JSON-ready, within `most_bytes`.

    Tables are values of `thresholds.packed_levels` or `packing`, null where nothing fits:

    - `word_level` [W', H, C] of the scene's words;
    - `word_share` [W', C], share of heads, where `word_level` is null;
    - `kind_share` {"kinds", "steps", "table" [K, P, C]}: share of the words and heads of a kind
      that would choose a cube at each step, where `word_level` cannot tell;
    - `ffn_level` [V].
    """
    view = TraceView.of(trace)
    rows = shown_words(view)
    words_bytes = _words_bytes(view, most_bytes)
    word_level = _word_level(view, layer, rows, words_bytes)
    left = most_bytes - _size(word_level)
    parts: dict[str, Any] = {"layer": layer, "word_level": word_level, "word_share": None}
    if rows and len(view.trace.bounds) and word_level is None:
        parts["word_share"] = packed_within(view.word_kept_in(layer, rows), min(words_bytes, left))
        left -= _size({"table": parts["word_share"] or {"data": ""}})
    parts["kind_share"] = None
    if rows and (word_level is None or len(word_level["steps"]) == 1):
        parts["kind_share"] = _kind_share(view, layer, min(KINDS_BYTES, left))
        left -= _size(parts["kind_share"])
    return {**parts, "ffn_level": _ffn_level(view, layer, left)}


def details_within(view: TraceView, most_bytes: int) -> list[dict[str, Any]] | None:
    """Every layer's detail, or None where they would not fit without losing the preview."""
    layers = len(view.trace.computed_pairs)
    if not layers or not len(view.trace.bounds):
        return []
    each = most_bytes // layers
    if _bits(_word_values(view), _words_bytes(view, each)) not in thresholds.BITS[:2]:
        return None
    found = [layer_detail(view, layer, most_bytes=each) for layer in range(layers)]
    return found if found[0]["ffn_level"] or not view.trace.ffn_importance.size else None


def shown_words(view: TraceView) -> list[int]:
    """The rows of the word tables that a scene shows, in order."""
    return [word["index"] for word in view.words if word["kind"] in ASKED]


def packed_within(table: NDArray[Any], most_bytes: int) -> dict[str, Any] | None:
    """Shares on the most levels that fit the budget; None where not even one bit each does."""
    for bits in (8, 4, 2, 1):
        if packed_size(table.size, bits) <= most_bytes:
            return packed_shares(table, bits)
    return None


def _word_level(
    view: TraceView, layer: int, rows: list[int], most_bytes: int
) -> dict[str, Any] | None:
    bits = _bits(_word_values(view), most_bytes)
    if bits is None or not rows or not len(view.trace.bounds):
        return None
    steps = thresholds.steps_of(bits, thresholds.recorded_top_p(view, "attn", layer))
    return thresholds.packed_levels(thresholds.word_levels(view, layer, rows, steps), steps, bits)


def _ffn_level(view: TraceView, layer: int, most_bytes: int) -> dict[str, Any] | None:
    bits = _bits(len(view.trace.cube_from_token), most_bytes)
    if bits is None or not view.trace.ffn_importance.size:
        return None
    steps = thresholds.steps_of(bits, thresholds.recorded_top_p(view, "ffn", layer))
    return thresholds.packed_levels(thresholds.token_levels(view, layer, steps), steps, bits)


def _kind_share(view: TraceView, layer: int, most_bytes: int) -> dict[str, Any] | None:
    steps = thresholds.steps_of(4, thresholds.recorded_top_p(view, "attn", layer))
    found = {kind: view.word_indices(kind) for kind in ASKED}
    kinds = [kind for kind, rows in found.items() if rows]
    at = np.arange(len(steps))[:, None, None, None]
    tables = [
        (thresholds.word_levels(view, layer, found[kind], steps) <= at).mean((1, 2))
        for kind in kinds
    ]
    table = packed_within(np.stack(tables), most_bytes)
    return {"kinds": kinds, "steps": list(steps), "table": table} if table else None


def _words_bytes(view: TraceView, most_bytes: int) -> int:
    """What words may take: two thirds, or more where the tokens' finest table leaves it."""
    tokens = packed_size(len(view.trace.cube_from_token), thresholds.BITS[0])
    return max(int(WORDS_SHARE * most_bytes), most_bytes - tokens - KINDS_BYTES)


def _word_values(view: TraceView) -> int:
    """How many (word, head, cube) choices a layer has."""
    return len(shown_words(view)) * math.prod(view.trace.word_probs.shape[2:])


def _bits(count: int, most_bytes: int) -> int | None:
    return next((bits for bits in thresholds.BITS if packed_size(count, bits) <= most_bytes), None)


def _size(part: dict[str, Any] | None) -> int:
    return len(part["table"]["data"]) if part else 0
