"""Sizes at which one way of computing on a GPU takes over from another, with what was measured.

No value here changes what is attended to. Measured on an H200 with 28 query and 4 KV heads of 128
in bf16.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TileShape:
    """How a kernel is compiled: rows of a tile, warps, stages of the pipeline, blocks a step."""

    rows: int
    warps: int
    stages: int
    step: int


@dataclass(frozen=True)
class Thresholds:
    """What routes the work of `gpu.sparse_attention`."""

    selection_bytes: int = 2**27
    """Bounds the selected-block mask of a chunk of queries, a bit a (head, row, cube)."""
    score_bytes: int = 2**29
    """Bounds the scores in memory: enough rows that all multiprocessors choose for a while."""
    max_pairs: int = 2**21
    """Bounds the gathered (row, cube) pairs whose partial results are in memory."""

    merged_cubes: int = 256
    """Up to as many cubes, rows that see few and rows that see many are scored together: a launch
    more costs as much as the scores that nobody sees."""
    many_rows: int = 2**18
    """Rows of all heads from which on a program chooses for 32 rows, not 8: each row learns from
    the one before it, and there are still enough programs."""
    short_scores: int = 256
    """Scores up to which a warp chooses for several rows at a time; more rows would wait for the
    slowest."""

    grouped_rows: int = 64
    """Up to as many rows, the heads of a KV group are rows of one tile: keys are read once for
    all of them."""
    copy_queries: int = 512
    """Queries from which on keys are copied cube by cube: blocks in one piece load faster."""
    block_costs: tuple[tuple[int, float], ...] = ((16, 2.2), (32, 1.3), (64, 1.0))
    """(keys of a block, time of a key slot in it over one in the largest): matrix units are badly
    used by small products."""
    hopper_waves: float = 7
    """Tiles for each multiprocessor from which on Hopper's own kernel is used: with 7 (4K tokens)
    it takes 0.35 ms a layer, the other one 0.46; fewer were not timed."""
    tile: TileShape | None = None
    """The shape of tiles; None: `tables.shape_for` the dtype and the number of rows."""
    splits: int | None = None
    """Programs that share the keys of a tile; None: as many as keep the device busy."""

    gather_rows: int = 2048
    """Rows of a chunk from which on cubes that few rows of a tile selected may be gathered."""
    gather_slots: int = 128
    """Slots of a cube from which on they may: with fewer, a tile costs less than to ask (7 % of
    attending at 128K tokens) unless hardly a row in eight agrees."""
    pair_keys: int = 440
    """A gathered (row, cube) pair's own cost (its query, its partial result), in keys of a tile
    row: 441 and 440 with cubes of 256 and 128 (128K tokens, density 0.2: what gathering took at
    inflation 4 over what tiles took at 1, at commit 439a03cbfc8e)."""
    min_gain: float = 0.1
    """The cubes of a head are gathered if that saves more than this share of its time."""


MEASURED = Thresholds()
