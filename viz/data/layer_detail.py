"""One layer at full resolution: what each head of each word chose, and from which Top-p upwards.

A small run's layers travel inside its scene; of a larger one the viewer asks for a layer when it
is looked at. A layer stays within 64 KB of JSON: each table at the finest levels that fit, or not
at all; what is left out the viewer asks for by query (`viz.data.queries`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from viz.data import thresholds
from viz.data.importance import importance_table
from viz.data.packing import packed_size
from viz.data.queries import counted_shares, query_rows
from viz.data.statistics import TraceView

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

LAYER_BYTES = 62_000
WORDS_SHARE = 0.65
PREVIEWED = thresholds.BITS[:2]
"""Sizes of levels that tell thresholds apart."""


def layer_detail(
    trace: Trace | TraceView, layer: int, *, most_bytes: int = LAYER_BYTES, previews: bool = True
) -> dict[str, Any]:
    """What the viewer draws of one layer beyond its scene, JSON-ready, within `most_bytes`.

    Q are the scene's `queries`. A table is null where nothing fits:

    - `word_level` [Q, H, C], `thresholds.packed_levels`: from which Top-p each head keeps a cube;
    - `word_share` {"of", "table" [Q, C]}, `queries.counted_shares` of the heads, where
      `word_level` is null;
    - `ffn_level` [V], as `word_level`;
    - `importance` is `importance.importance_table` where the layer travels inside a scene.

    Without `previews` a level may tell the run's own threshold alone.
    """
    view = TraceView.of(trace)
    rows = query_rows(view)
    word_level = _word_level(view, layer, rows, _words_bytes(view, most_bytes), previews=previews)
    left = most_bytes - (len(word_level["table"]["data"]) if word_level else 0)
    word_share = None
    shares = packed_size(len(rows) * len(view.trace.bounds), 8)
    if rows and word_level is None and shares <= left - _ffn_bytes(view):
        heads = view.trace.word_probs.shape[2]
        word_share = counted_shares(view.word_kept_in(layer, rows), heads)
        left -= len(word_share["table"]["data"])
    return {
        "layer": layer,
        "word_level": word_level,
        "word_share": word_share,
        "ffn_level": _ffn_level(view, layer, left),
        "importance": None,
    }


def details_within(
    view: TraceView, most_bytes: int, *, previews: bool = True
) -> list[dict[str, Any]] | None:
    """Every layer's detail, with its tokens' importance; None if they would not fit whole, with
    their `previews`.
    """
    layers = len(view.trace.computed_pairs)
    if not layers or not len(view.trace.bounds):
        return []
    tokens = packed_size(len(view.trace.cube_from_token), 8)
    each = most_bytes // layers - tokens
    if _bits(_word_values(view), _words_bytes(view, each), _sizes(previews)) is None:
        return None
    found = [layer_detail(view, at, most_bytes=each, previews=previews) for at in range(layers)]
    for layer, detail in enumerate(found):
        detail["importance"] = importance_table(view.trace, layer)
    return found if found[0]["ffn_level"] or not view.trace.ffn_importance.size else None


def _sizes(previews: bool) -> tuple[int, ...]:
    return PREVIEWED if previews else thresholds.BITS


def _word_level(
    view: TraceView, layer: int, rows: list[int], most_bytes: int, *, previews: bool
) -> dict[str, Any] | None:
    bits = _bits(_word_values(view), most_bytes, _sizes(previews))
    if bits is None or not rows or not len(view.trace.bounds):
        return None
    steps = thresholds.steps_of(bits, thresholds.recorded_top_p(view, "text", layer))
    return thresholds.packed_levels(thresholds.word_levels(view, layer, rows, steps), steps, bits)


def _ffn_level(view: TraceView, layer: int, most_bytes: int) -> dict[str, Any] | None:
    bits = _bits(len(view.trace.cube_from_token), most_bytes, thresholds.BITS)
    if bits is None or not view.trace.ffn_importance.size:
        return None
    steps = thresholds.steps_of(bits, thresholds.recorded_top_p(view, "ffn", layer))
    return thresholds.packed_levels(thresholds.token_levels(view, layer, steps), steps, bits)


def _words_bytes(view: TraceView, most_bytes: int) -> int:
    """What words may take: two thirds, or more where the tokens' finest table leaves it."""
    tokens = packed_size(len(view.trace.cube_from_token), thresholds.BITS[0])
    return max(int(WORDS_SHARE * most_bytes), most_bytes - tokens)


def _ffn_bytes(view: TraceView) -> int:
    """What the coarsest table of tokens that tells thresholds apart takes."""
    return packed_size(len(view.trace.cube_from_token), PREVIEWED[-1])


def _word_values(view: TraceView) -> int:
    """How many (query, head, cube) choices a layer has."""
    heads = int(view.trace.word_probs.shape[2])
    return len(query_rows(view)) * heads * len(view.trace.bounds)


def _bits(count: int, most_bytes: int, sizes: tuple[int, ...]) -> int | None:
    return next((bits for bits in sizes if packed_size(count, bits) <= most_bytes), None)
