"""Scores that count for nothing, compiled: of keys that a row did not select or may not see."""

from __future__ import annotations

import numpy as np

from adaspark.kernels.cpu.simd import LANES, WIDE, load, pick, splat, store
from adaspark.kernels.cpu.state import TEXT_BEFORE, VIDEO_BEFORE, ZERO, compiled

_ZEROS, _HIDDEN = np.zeros(LANES, np.float32), np.full(LANES, -np.inf, np.float32)
HIDDEN_FROM, HIDDEN_BEFORE = np.append(_ZEROS, _HIDDEN), np.append(_HIDDEN, _ZEROS)


@compiled
def hide(tile, tables, number, start, rows, scratch):
    """Set scores to -inf: of keys that a row did not select or may not see, of empty slots.
    Returns how many keys of cubes are left.
    """
    _, keys, lanes, first_piece, end_piece, _ = tables.panels[number]
    if tables.pieces[end_piece - 1, 2] >= tile.partial:
        return _hide_unseen(tile, tables, number, start, rows, scratch)
    if keys < lanes:
        last = lanes - LANES
        hidden = _lanes_hidden(keys - last, LANES)
        for i in range(rows):
            _hide_lanes(scratch.scores, i * lanes + last, hidden)
    if end_piece == first_piece + 1:
        return rows * keys
    return _hide_unselected(tables, number, start, rows, scratch)


@compiled
def _lanes_hidden(first, end):
    """A register that hides lanes [first, end) of scores: -inf there, 0 elsewhere."""
    before, after = load(HIDDEN_BEFORE, LANES - end), load(HIDDEN_FROM, LANES - first)
    return pick(before, after, before, after)


@compiled
def _hide_lanes(scores, at, hidden):
    """Whatever stands there: an empty slot's score may be no number."""
    store(scores, at, pick(hidden, splat(ZERO), load(scores, at), hidden))


@compiled
def _hide_unselected(tables, number, start, rows, scratch):
    """Of a panel that several cubes share, one register wide, and that all rows may see."""
    scores, selected, selected_rows = scratch.scores, scratch.selected, scratch.selected_rows
    first_slot, _, _, first_piece, end_piece, _ = tables.panels[number]
    read = 0
    for piece in range(first_piece, end_piece):
        slot, keys, cube = tables.pieces[piece, 0], tables.pieces[piece, 1], tables.pieces[piece, 2]
        hidden = _lanes_hidden(slot - first_slot, slot - first_slot + keys)
        for i in range(rows):
            if selected[selected_rows[scratch.rows_here[start + i]] + cube * WIDE]:
                read += keys
            else:
                _hide_lanes(scores, i * LANES, hidden)
    return read


@compiled
def _hide_unseen(tile, tables, number, start, rows, scratch):
    """Of a panel that some row may see in part, or of text."""
    scores, selected = scratch.scores, scratch.selected
    pieces, queries = tables.pieces, tables.queries
    ranks, text, query_from_row = tables.ranks, len(tables.first_tokens), scratch.query_from_row
    first_slot, _, lanes, first_piece, end_piece, _ = tables.panels[number]
    read = 0
    for i in range(rows):
        row, at = scratch.rows_here[start + i], i * lanes
        query = query_from_row[row]
        end = at
        for piece in range(first_piece, end_piece):
            slot, keys, cube = pieces[piece, 0], pieces[piece, 1], pieces[piece, 2]
            seen = keys
            if cube == text:
                seen = _seen(ranks, slot, keys, queries[query, TEXT_BEFORE])
            elif selected[scratch.selected_rows[row] + cube * WIDE] == 0:
                seen = 0
            elif cube >= tile.partial:
                seen = _seen(ranks, slot, keys, queries[query, VIDEO_BEFORE])
            if cube != text:
                read += seen
            end = at + slot - first_slot + keys
            for hidden in range(end - keys + seen, end):
                scores[hidden] = -np.inf
        for empty in range(end, at + lanes):
            scores[empty] = -np.inf
    return read


@compiled
def _seen(ranks, slot, keys, before):
    """How many of a piece's keys stand before a rank."""
    count = 0
    for at in range(slot, slot + keys):
        count += ranks[at] < before
    return count
