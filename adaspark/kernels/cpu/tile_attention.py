"""AdaS-Attn on the CPU, compiled by numba: tiles of rows choose cubes, then attend to their keys.

A tile is up to TILE_ROWS rows: consecutive queries with all heads of one KV group. Keys are read
panel by panel, and each panel is multiplied with exactly the rows that attend to it: no row
computes a product that it did not choose, and no tile copies a key. Softmax is online (Milakov and
Gimelshein, 2018).
"""

from __future__ import annotations

import numpy as np

from adaspark.kernels.cpu.counting import lowest_bit, set_flags, take
from adaspark.kernels.cpu.simd import LANES, WIDE, largest, load, pick, splat, store, total
from adaspark.kernels.cpu.simd_functions import exp
from adaspark.kernels.cpu.state import (
    BATCH,
    EXECUTED,
    ONE,
    OWN_CUBE,
    POSITION,
    READ,
    TEXT_BEFORE,
    VIDEO_BEFORE,
    ZERO,
    Tile,
    compiled,
    make_scratch,
    multiply,
    padded,
    place,
)
from adaspark.kernels.cpu.tile_hiding import hide
from adaspark.kernels.cpu.tile_selection import (
    LOWEST,
    NO_ROWS,
    ONE_ROW,
    apply_choice,
    choose_tile,
    report_choice,
    report_entropy,
    tally_choice,
)

CHOOSE, ATTEND, REPORT, TALLY = 1, 2, 4, 8
"""Parts of a mode: choose cubes (or apply a choice that is given), attend to them, report the
choice, or count it by query cubes: that of video, and report that of text.
"""


@compiled
def pack(keys, values, tables, layer, counter):
    """Copy keys and values into the panels of a layer, until the counter runs out.

    | name | dtype | shape |
    | --- | --- | --- |
    | keys, values | fp32 | [G, N, D], contiguous |
    | tables, layer | | `Tables`, `Layer`: its keys and values are written |
    | counter | int64 | [1], shared by all threads |
    """
    groups, _, width = keys.shape
    while True:
        task = take(counter)
        if task >= len(tables.panels) * groups:
            return
        group = task % groups
        slot, _, lanes, _, _, _ = tables.panels[task // groups]
        for key in range(lanes):
            position = tables.positions[slot + key]  # any, if the slot is empty: its weight is 0
            at, to = slot * width + key, (slot + key) * padded(width)
            for d in range(width):
                layer.keys[group, at + d * lanes] = keys[group, position, d]
                layer.values[group, to + d] = values[group, position, d]


@compiled
def attend(tables, layer, choices, p, text_p, scale, mode, pairs, counter):
    """Compute tiles until the counter runs out.

    | name | dtype | shape |
    | --- | --- | --- |
    | tables, layer | | `Tables`, `Layer`: its output is written |
    | choices | | `Choices`: written in REPORT and TALLY, read if nothing is to CHOOSE |
    | p, text_p, scale, mode | float, float, float, int | scalars |
    | pairs | int64 | [t, G, 2]: (row, key) pairs of each tile, written: products, and keys of cubes
    that a row attends to; all that it sees if it is not to ATTEND |
    | counter | int64 | [1], shared by all threads |
    """
    groups, (_, heads, width) = len(layer.means), layer.queries.shape
    share = heads // groups
    scratch = make_scratch(tables.tiles, share, width)
    while True:
        task = take(counter)
        if task >= len(tables.tiles) * groups:
            return
        # The last see most keys: they go first.
        group, number = task // len(tables.tiles), len(tables.tiles) - 1 - task % len(tables.tiles)
        first, end, partial, cubes, end_panel, end_text, _, _, _ = tables.tiles[number]
        queries = end - first
        tile = Tile(
            first, queries, queries * share, group * share, partial, cubes, end_panel, end_text
        )
        _load_queries(tile, tables, layer.queries, scale, scratch)
        is_text = tables.queries[first, OWN_CUBE] < 0
        if mode & CHOOSE:
            choose_tile(tile, tables, layer.means[group], text_p if is_text else p, scratch)
        else:
            apply_choice(tile, tables.tiles[number], choices.kept, scratch)
        if mode & (REPORT | TALLY):
            report_entropy(tile, choices.entropy, scratch)
        if mode & REPORT or (mode & TALLY and is_text):
            report_choice(tile, tables.tiles[number], choices, scratch)
        _select_own(tile, tables, scratch)
        if mode & TALLY and not is_text:
            tally_choice(tile, tables, choices.attended, choices.locks, scratch)
        if mode & ATTEND:
            keys, values = layer.keys[group], layer.values[group]
            executed, read = _attend_tile(tile, tables, keys, values, scratch)
            _store_output(tile, tables, layer.output, scratch)
        else:
            executed, read = _visible(tile, tables, scratch)
        pairs[number, group, EXECUTED], pairs[number, group, READ] = executed, read


@compiled
def _load_queries(tile, tables, queries, scale, scratch):
    """Copy a tile's queries, scaled, and note the query of each row, and where its choice is."""
    width, scaled = queries.shape[2], scratch.queries
    for row in range(tile.rows):
        head, query = place(tile, row)
        scratch.query_from_row[row] = query
        scratch.selected_rows[row] = row // WIDE * WIDE * tile.cubes + row % WIDE
        position = tables.queries[query, POSITION]
        for d in range(width):
            scaled[row * width + d] = queries[position, head, d] * np.float32(scale)


@compiled
def _store_output(tile, tables, output, scratch):
    """Write a tile's weighted sums of values, each divided by its sum of weights."""
    width = output.shape[2]
    for row in range(tile.rows):
        head, query = place(tile, row)
        position = tables.queries[query, POSITION]
        share = ONE / total(load(scratch.sums, row * LANES))
        for d in range(width):
            output[position, head, d] = scratch.mixed[row * padded(width) + d] * share


@compiled
def _select_own(tile, tables, scratch):
    """Each row of video attends to its own cube, whatever it chose."""
    for row in range(tile.rows):
        own = tables.queries[scratch.query_from_row[row], OWN_CUBE]
        if own >= 0:
            scratch.selected[scratch.selected_rows[row] + own * WIDE] = 1


@compiled
def _visible(tile, tables, scratch):
    """(row, key) pairs that a tile's rows see, and those of cubes among them."""
    video, text = 0, 0
    for row in range(tile.rows):
        query = scratch.query_from_row[row]
        video += tables.queries[query, VIDEO_BEFORE]
        text += tables.queries[query, TEXT_BEFORE]
    return video + text, video


@compiled
def _attend_tile(tile, tables, keys, values, scratch):
    """Attend to every panel that a row selected; returns the (row, key) products computed, and how
    many of them are of a cube's key that the row attends to.
    """
    width = len(scratch.by_lane) // WIDE
    cubes = len(tables.first_tokens)
    scratch.mixed[: tile.rows * padded(width)] = ZERO
    scratch.sums[: tile.rows * LANES] = ZERO
    scratch.peaks[: tile.rows] = LOWEST
    executed, read = 0, 0
    for number in range(len(tables.panels)):
        slot, _, lanes, _, end_piece, cube = tables.panels[number]
        if cube < cubes:
            if number >= tile.end_panel:
                continue
            rows = _attending_rows(tile, cube, tables.pieces[end_piece - 1, 2] + 1, scratch)
        elif tables.ranks[slot] < tile.end_text:
            rows = tile.rows
            for row in range(rows):
                scratch.rows_here[row] = row
        else:
            break
        for start in range(0, rows, BATCH):
            read += _attend_panel(
                tile, tables, number, keys, values, start, min(BATCH, rows - start), scratch
            )
        executed += rows * lanes
    return executed, read


@compiled
def _attending_rows(tile, first_cube, end_cube, scratch):
    """List the rows that attend to any of the cubes in `rows_here`; returns how many."""
    count = 0
    for first_row in range(0, tile.rows, WIDE):
        at = first_row * tile.cubes
        here = NO_ROWS
        for cube in range(first_cube, end_cube):
            here |= set_flags(scratch.selected, at + cube * WIDE)
        if tile.rows - first_row < WIDE:
            here &= (ONE_ROW << np.uint64(tile.rows - first_row)) - ONE_ROW
        while here:
            scratch.rows_here[count] = first_row + lowest_bit(here)
            here &= here - ONE_ROW
            count += 1
    return count


@compiled
def _attend_panel(tile, tables, number, keys, values, start, rows, scratch):
    """Attend from rows_here[start : start + rows] to one panel: updates their sums and peaks.
    Returns what `hide` does.
    """
    width = len(scratch.by_lane) // WIDE
    slot, keys_here, lanes, _, _, _ = tables.panels[number]
    for i in range(rows):
        row = scratch.rows_here[start + i]
        scratch.query_rows[i] = row * width
        scratch.score_rows[i] = i * lanes
        scratch.mixed_rows[i] = row * padded(width)
    scratch.scores[: rows * lanes] = ZERO
    multiply(
        scratch.queries, scratch.query_rows, keys, slot * width, lanes, width,
        scratch.scores, scratch.score_rows, rows, lanes,
    )  # fmt: skip
    read = hide(tile, tables, number, start, rows, scratch)
    _online_softmax_update(start, rows, lanes, padded(width), scratch)
    multiply(
        scratch.scores, scratch.score_rows, values, slot * padded(width), padded(width), keys_here,
        scratch.mixed, scratch.mixed_rows, rows, padded(width),
    )  # fmt: skip
    return read


@compiled
def _online_softmax_update(start, rows, lanes, width, scratch):
    """Turn scores into weights; if a row's peak rises, scale down what it has summed so far."""
    scores, sums, peaks, mixed = scratch.scores, scratch.sums, scratch.peaks, scratch.mixed
    for i in range(rows):
        row, first, end = scratch.rows_here[start + i], i * lanes, (i + 1) * lanes
        top = load(scores, first)
        for at in range(first + LANES, end, LANES):
            x = load(scores, at)
            top = pick(x, top, x, top)
        peak = largest(top)
        if peak > peaks[row]:
            shrink = exp(splat(peaks[row] - peak))
            peaks[row] = peak
            store(sums, row * LANES, load(sums, row * LANES) * shrink)
            for at in range(row * width, (row + 1) * width, LANES):
                store(mixed, at, load(mixed, at) * shrink)
        highest, summed = splat(peaks[row]), load(sums, row * LANES)
        for at in range(first, end, LANES):
            weight = exp(load(scores, at) - highest)
            store(scores, at, weight)
            summed = summed + weight
        store(sums, row * LANES, summed)
