"""Choosing, compiled: masses over a tile's candidate cubes and the nucleus of each row.

Rows stand side by side in the lanes, so nothing is summed across lanes and nothing is sorted. A
chunk is WIDE rows, with a table [C, WIDE].
"""

from __future__ import annotations

import numpy as np

from adaspark.kernels.cpu.counting import lock, ones, set_flags, unlock
from adaspark.kernels.cpu.simd import (
    LANES,
    WIDE,
    fma,
    largest,
    load,
    pick,
    root,
    splat,
    store,
    store_flags,
)
from adaspark.kernels.cpu.simd_functions import exp, log
from adaspark.kernels.cpu.state import (
    ONE,
    OWN_CUBE,
    PARTIAL_CUBE,
    VIDEO_BEFORE,
    ZERO,
    compiled,
    multiply,
    place,
)

LOWEST = np.float32(-1e38)
NO_ROWS, ONE_ROW = np.uint64(0), np.uint64(1)


@compiled
def choose_tile(tile, tables, means, p, scratch):
    """Masses over the candidate cubes and what each row selects of them, chunk by chunk.

    | name | dtype | shape |
    | --- | --- | --- |
    | tile, tables | | `Tile`, `Tables` |
    | means | fp32 | [C * D], of one KV head |
    | p | float | scalar |
    | scratch | | `Scratch`: mass, selected, mass_sums and entropies are written |
    """
    cubes = tile.cubes
    width = len(scratch.by_lane) // WIDE
    for first_row in range(0, tile.rows, WIDE):
        at = first_row * cubes
        rows = min(WIDE, tile.rows - first_row)
        for row in range(rows):
            for d in range(width):
                scratch.by_lane[d * WIDE + row] = scratch.queries[(first_row + row) * width + d]
        mass = scratch.mass[at : at + cubes * WIDE]
        mass[:] = ZERO
        multiply(
            means, scratch.mean_rows, scratch.by_lane, 0, WIDE, width,
            mass, scratch.mass_rows, cubes, WIDE,
        )  # fmt: skip
        for row in range(rows):
            query = scratch.query_from_row[first_row + row]
            before, own = tables.queries[query, VIDEO_BEFORE], tables.queries[query, OWN_CUBE]
            for cube in range(tile.partial, cubes):
                if tables.first_tokens[cube] >= before or cube == own:
                    mass[cube * WIDE + row] = -np.inf
        kept = scratch.selected[at : at + cubes * WIDE]
        for lane in range(0, WIDE, LANES):
            sums, logs = _choose(mass, kept, lane, cubes, p)
            nats = log(sums) - logs / sums
            store(scratch.mass_sums, first_row + lane, sums)
            store(scratch.entropies, first_row + lane, pick(nats, splat(ZERO), nats, splat(ZERO)))


@compiled
def _choose(mass, kept, lane, cubes, p):
    """Softmax and nucleus of LANES rows: scores become masses. Returns what these sum to, and the
    sums of each mass times its logarithm.
    """
    zero, one = splat(ZERO), splat(ONE)
    lowest = splat(LOWEST)
    peak = lowest
    for at in range(lane, cubes * WIDE, WIDE):
        x = load(mass, at)
        peak = pick(x, peak, x, peak)
    if p >= 1:  # every candidate, however faint
        for at in range(lane, cubes * WIDE, WIDE):
            store_flags(kept, at, pick(load(mass, at), lowest, one, zero))
    sums, logs, faintest = zero, zero, splat(np.float32(-87))
    for at in range(lane, cubes * WIDE, WIDE):
        below = load(mass, at) - peak
        x = exp(below)
        store(mass, at, x)
        sums = sums + x
        logs = fma(x, pick(below, faintest, below, faintest), logs)
    if p >= 1:
        return sums, logs
    target = sums * splat(np.float32(p))
    # Entries below (1 - p) / C of the mass are too few to be needed.
    floor = sums * splat(np.float32(0.5 * (1 - p) / max(cubes, 1)))
    low, high, before = _bracket(mass, lane, cubes, target, floor)
    for at in range(lane, cubes * WIDE, WIDE):
        x = load(mass, at)
        inside = pick(x, high, zero, pick(x, low, one, zero))
        taken = pick(before, target, zero, inside)
        before = fma(x, taken, before)
        store_flags(kept, at, taken + pick(x, high, one, zero))
    return sums, logs


@compiled
def _bracket(mass, lane, cubes, target, floor):
    """Where each lane's nucleus ends: in [low, high), with the mass from `high` on.

    What the bracket holds at the end is one entry, or equal ones; the first of them are kept until
    the target is reached. Bisection on the logarithm, no sort.
    """
    zero, one = splat(ZERO), splat(ONE)
    tiny = splat(np.float32(1e-30))
    low, high, above = pick(floor, tiny, floor, tiny), splat(np.float32(2)), zero
    low_count, high_count = splat(np.float32(1e9)), zero
    for _ in range(40):
        middle = root(low * high)
        held, count = zero, zero
        for at in range(lane, cubes * WIDE, WIDE):
            x = load(mass, at)
            held = held + pick(x, middle, x, zero)
            count = count + pick(x, middle, one, zero)
        low = pick(held, target, middle, low)
        low_count = pick(held, target, count, low_count)
        high = pick(held, target, high, middle)
        high_count = pick(held, target, high_count, count)
        above = pick(held, target, above, held)
        if largest(low_count - high_count) <= ONE:
            break
    return low, high, above


@compiled
def _chosen_at(tile, entry, row):
    """Where a row's choice [C] stands in the flat tables."""
    head, query = place(tile, row)
    _, _, _, cubes, _, _, segment_first, segment_queries, base = entry
    return base + (head * segment_queries + query - segment_first) * cubes


@compiled
def report_entropy(tile, entropy, scratch):
    """Write the entropies of a tile's rows, in nats."""
    for row in range(tile.rows):
        head, query = place(tile, row)
        entropy[head, query] = scratch.entropies[row]


@compiled
def tally_choice(tile, tables, attended, locks, scratch):
    """Add a tile's choices, own cubes included, to the counts of its query cubes."""
    first_cube, cubes = tables.tiles[0, PARTIAL_CUBE], tile.cubes
    counts = scratch.counts
    for first_row in range(0, tile.rows, WIDE):
        runs = _runs_of(tile, tables, first_row, scratch)
        for cube in range(cubes):
            chosen = set_flags(scratch.selected, first_row * cubes + cube * WIDE)
            for run in range(runs):
                counts[run * cubes + cube] = ones(chosen & scratch.run_rows[run])
        for run in range(runs):
            own = scratch.run_cubes[run] - first_cube
            line, mine = attended[own], counts[run * cubes : (run + 1) * cubes]
            lock(locks, own)
            for cube in range(cubes):
                line[cube] += mine[cube]
            unlock(locks, own)


@compiled
def _runs_of(tile, tables, first_row, scratch):
    """Note the runs of rows of one query cube in a chunk, and their cubes; returns how many."""
    runs, before = 0, -1
    for row in range(min(WIDE, tile.rows - first_row)):
        own = tables.queries[scratch.query_from_row[first_row + row], OWN_CUBE]
        if own != before:
            scratch.run_cubes[runs], scratch.run_rows[runs] = own, NO_ROWS
            runs, before = runs + 1, own
        scratch.run_rows[runs - 1] |= ONE_ROW << np.uint64(row)
    return runs


@compiled
def report_choice(tile, entry, choices, scratch):
    """Write a tile's choice to the flat tables."""
    for row in range(tile.rows):
        to = _chosen_at(tile, entry, row)
        at = row // WIDE * WIDE * tile.cubes + row % WIDE
        mass = scratch.mass_sums[row]
        share = ONE / mass if mass > ZERO else ZERO
        for cube in range(tile.cubes):
            choices.probs[to + cube] = scratch.mass[at + cube * WIDE] * share
            choices.kept[to + cube] = scratch.selected[at + cube * WIDE]


@compiled
def apply_choice(tile, entry, kept, scratch):
    """Read a tile's choice from the flat table."""
    for row in range(tile.rows):
        source = _chosen_at(tile, entry, row)
        at = row // WIDE * WIDE * tile.cubes + row % WIDE
        for cube in range(tile.cubes):
            scratch.selected[at + cube * WIDE] = kept[source + cube]
