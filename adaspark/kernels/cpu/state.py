"""What the compiled kernels work on: a sequence's tables, a layer's tensors, a thread's memory.

Axes as in `attention.py`; S slots: the keys of all panels, each panel padded to whole registers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import config, njit
from numpy.typing import NDArray

from adaspark.kernels.cpu.simd import LANES, WIDE, block

PANEL = 64
"""The most keys of a panel."""
TILE_ROWS = 512
BATCH = 48
"""Rows multiplied with a panel at once: their scores and the panel fit the first-level cache."""
POSITION, VIDEO_BEFORE, TEXT_BEFORE, OWN_CUBE = range(4)
PARTIAL_CUBE = 2
EXECUTED, READ = range(2)
ZERO, ONE = np.float32(0), np.float32(1)
_TALL, _SLIM = 6, 8
_wide, _wide_row = block(_TALL, WIDE), block(1, WIDE)
_narrow, _narrow_row = block(_SLIM, LANES), block(1, LANES)
_FOLDER = Path(__file__).parent
_SOURCES = b"".join(path.read_bytes() for path in sorted(_FOLDER.glob("*.py")))
_VERSION = hashlib.sha256(_SOURCES).hexdigest()[:12]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class Tables(NamedTuple):
    """Who sees what, int64. Built by `tables.py`.

    `queries` [n, 4]: position among the queries, video and text tokens before, own cube or -1.
    `tiles` [t, 9]: first and end query, partial cube, end cube, end panel, end of the text, the
    segment's first query, its queries, where its choice [H, n, C] stands. `panels` [P, 6]: first
    slot, keys, slots, first and end piece, first cube; those of text come last, as cube C.
    `pieces` are keys of one cube, one after the other: slot, keys, cube. A slot holds a key: its
    `positions` in the sequence and its `ranks` among the video tokens, or among the text tokens,
    ascending in a piece. `first_tokens` [C]: the earliest token of each cube.
    """

    queries: Ints
    tiles: Ints
    panels: Ints
    pieces: Ints
    positions: Ints
    ranks: Ints
    first_tokens: Ints


class Layer(NamedTuple):
    """One layer's tensors, fp32 and contiguous.

    `queries` and `output` [n, H, D], as models keep them, `means` [G, C x D], `keys`
    [G, slots x D] with a panel's keys side by side, `values` [G, slots x D'], D' padded to whole
    registers.
    """

    queries: Floats
    means: Floats
    keys: Floats
    values: Floats
    output: Floats


class Choices(NamedTuple):
    """Flat [H, n, C] tables, one segment after the other, the entropy of `probs`, [H, n], and in
    `attended` int32 [Q, C] the (head, query) pairs of each query cube that attend to a cube, whose
    rows are written under `locks` int32 [Q].

    Empty if a mode does not use them.
    """

    probs: Floats = np.empty(0, np.float32)
    kept: NDArray[np.uint8] = np.empty(0, np.uint8)
    entropy: Floats = np.empty((0, 0), np.float32)
    attended: NDArray[np.int32] = np.empty((0, 0), np.int32)
    locks: NDArray[np.int32] = np.empty(0, np.int32)


class Tile(NamedTuple):
    """A tile at work: `rows` are (head, query) pairs, the queries of a head together."""

    first: int
    queries: int
    rows: int
    first_head: int
    partial: int
    cubes: int
    end_panel: int
    end_text: int


class Scratch(NamedTuple):
    """A thread's memory: R rows of the largest tile, padded to WIDE; D' is D in whole registers.

    | name | dtype | shape | what |
    | --- | --- | --- | --- |
    | queries | fp32 | [R * D] | scaled, by row |
    | query_from_row | int64 | [R] | index of each row's query |
    | mixed | fp32 | [R * D'] | weighted sums of values so far |
    | peaks, sums | fp32 | [R], [R * LANES] | of the softmax so far |
    | by_lane | fp32 | [D * WIDE] | queries of a chunk, rows side by side |
    | mass, selected | fp32, uint8 | [R * C] | chunk by chunk, each [C, WIDE] |
    | mass_sums, entropies | fp32 | [R] | of a row's masses: sum, and entropy in nats |
    | selected_rows | int64 | [R] | where rows begin in `selected` |
    | rows_here | int64 | [R] | the rows that attend to a panel |
    | scores | fp32 | [BATCH * PANEL] | of these rows with the panel |
    | query_rows, score_rows, mixed_rows | int64 | [BATCH] | where rows begin |
    | mean_rows, mass_rows | int64 | [C] | where cubes begin |
    | run_cubes, run_rows | int64, uint64 | [WIDE] | of a chunk's rows of one query cube: it, and
    which they are |
    | counts | uint8 | [WIDE * C] | how many rows of each run attend to each cube |
    """

    queries: Floats
    query_from_row: Ints
    mixed: Floats
    peaks: Floats
    sums: Floats
    by_lane: Floats
    mass: Floats
    mass_sums: Floats
    entropies: Floats
    selected: NDArray[np.uint8]
    selected_rows: Ints
    rows_here: Ints
    scores: Floats
    query_rows: Ints
    score_rows: Ints
    mixed_rows: Ints
    mean_rows: Ints
    mass_rows: Ints
    run_cubes: Ints
    run_rows: NDArray[np.uint64]
    counts: NDArray[np.uint8]


def compiled(function: Any) -> Any:
    """Compile without the interpreter's lock; kept on disk if a folder can be written."""
    with cache_folder():
        try:
            return njit(nogil=True, cache=True)(function)
        except RuntimeError:  # numba found no folder to write to
            return njit(nogil=True)(function)


@contextmanager
def cache_folder() -> Iterator[None]:
    """Let numba keep what it compiles beside the sources, apart for each version of them.

    Of itself it looks at the file of a function only, not at those that it calls.
    """
    usual = config.CACHE_DIR
    config.CACHE_DIR = usual or str(_FOLDER / "__pycache__" / f"cpu-{_VERSION}")
    try:
        yield
    finally:
        config.CACHE_DIR = usual


@compiled
def padded(width):
    """The numbers that a head of `width` takes in whole registers."""
    return (width + LANES - 1) // LANES * LANES


@compiled
def place(tile, row):
    """Head and query of a row."""
    return tile.first_head + row // tile.queries, tile.first + row % tile.queries


@compiled
def multiply(a, a_rows, b, b_start, stride, depth, c, c_rows, rows, columns):
    """c += a @ b as `cpu_vector.block` does, for any number of rows and registers of columns."""
    column = 0
    while column + WIDE <= columns:
        row = 0
        while row + _TALL <= rows:
            _wide(a, a_rows, b, b_start, stride, depth, c, c_rows, row, column)
            row += _TALL
        while row < rows:
            _wide_row(a, a_rows, b, b_start, stride, depth, c, c_rows, row, column)
            row += 1
        column += WIDE
    while column < columns:
        row = 0
        while row + _SLIM <= rows:
            _narrow(a, a_rows, b, b_start, stride, depth, c, c_rows, row, column)
            row += _SLIM
        while row < rows:
            _narrow_row(a, a_rows, b, b_start, stride, depth, c, c_rows, row, column)
            row += 1
        column += LANES


@compiled
def make_scratch(tiles, share, width):
    """Memory for the largest of the tiles, uninitialised if each tile writes first."""
    rows = (tiles[:, 1] - tiles[:, 0]).max() * share
    rows = (rows + WIDE - 1) // WIDE * WIDE
    cubes = tiles[:, 3].max()
    return Scratch(
        np.empty(rows * width, np.float32),
        np.empty(rows, np.int64),
        np.empty(rows * padded(width), np.float32),
        np.empty(rows, np.float32),
        np.empty(rows * LANES, np.float32),
        np.zeros(width * WIDE, np.float32),
        np.empty(rows * cubes, np.float32),
        np.empty(rows, np.float32),
        np.empty(rows, np.float32),
        np.empty(rows * cubes, np.uint8),
        np.empty(rows, np.int64),
        np.empty(rows, np.int64),
        np.empty(BATCH * PANEL, np.float32),
        np.empty(BATCH, np.int64),
        np.empty(BATCH, np.int64),
        np.empty(BATCH, np.int64),
        np.arange(cubes) * width,
        np.arange(cubes) * WIDE,
        np.empty(WIDE, np.int64),
        np.empty(WIDE, np.uint64),
        np.empty(WIDE * cubes, np.uint8),
    )
