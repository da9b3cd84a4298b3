"""Recorded runs as they are kept beside the clips: the same decisions in a smaller file."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaspark.trace.trace import Trace

LONG_CUBES = 2048
"""A clip of more cubes is a long one, of which less is kept."""
LONG_QUERIES, LONG_SCORES = 48, 256
"""Of a long clip: query cubes whose share of every cube is kept, and how many of a head's scores
are as right as those of a short one."""
SCORE_BITS = 5
"""of a number's fraction: right to a part in 64"""
FIGURES = ("ffn_importance", "ffn_ratio", "cube_entropy", "cube_effective", "ffn_entropy")
"""Rounded likewise in long clips."""


def lightened(trace: Trace) -> Trace:
    """The same run in a smaller file: what every third query cube read stands for its neighbours,
    as in traces of long clips, and scores are right to a part in 64 (or a millionth).

    Of a clip of more than 2,048 cubes some 48 query cubes stand for all, only a head's 256
    likeliest cubes have such scores (see `coarser`), and figures of single cubes and tokens are
    right to a part in 64 too. What was chosen, and all that is counted of it, stays exact.
    """
    is_long = len(trace.bounds) > LONG_CUBES
    step = -(-len(trace.query_cubes) // LONG_QUERIES) if is_long else 3
    some = slice(None, None, step)
    scores = rounded(trace.word_probs)
    figures: dict[str, Any] = {}
    if is_long:
        scores = coarser(trace.word_probs, scores)
        figures = {name: rounded(getattr(trace, name)) for name in FIGURES}
    return replace(
        trace,
        query_cubes=trace.query_cubes[some],
        kept_share=trace.kept_share[:, some],
        word_probs=scores,
        meta=replace(trace.meta, sampled_query_cubes=True),
        **figures,
    )


def rounded(values: NDArray[Any]) -> NDArray[Any]:
    """Floats with fewer bits of their fraction, which pack better; NaN stays NaN."""
    whole = np.dtype(f"uint{8 * values.dtype.itemsize}")
    drop = np.finfo(values.dtype).nmant - SCORE_BITS
    half, mask = whole.type(1 << drop - 1), whole.type(-(1 << drop) % (1 << 8 * whole.itemsize))
    fewer: NDArray[Any] = (values.view(whole) + half & mask).view(values.dtype)
    return np.where(np.isnan(values), values, fewer)


def coarser(exact: NDArray[np.float16], likely: NDArray[np.float16]) -> NDArray[np.float16]:
    """Scores [..., C]: `likely` of each row's likeliest, of the others powers of four times what
    keeps their sum right. They are right to a factor of two or so, which takes a few bits each.
    """
    scores = exact.astype(np.float32)
    if scores.shape[-1] <= LONG_SCORES:
        return likely
    bound = -np.partition(-scores, LONG_SCORES, axis=-1)[..., LONG_SCORES, None]
    others = np.where(scores > bound, 0, scores)
    doublings = np.log2(np.maximum(others, np.finfo(exact.dtype).smallest_subnormal))
    powers = np.where(others > 0, 4 ** np.round(doublings / 2), 0)
    factor = others.sum(-1, keepdims=True) / np.maximum(powers.sum(-1, keepdims=True), 1e-30)
    return np.where(scores > bound, likely, (powers * factor).astype(np.float16))


def pack(path: Path) -> None:
    """Write an NPZ anew with LZMA: smaller by a tenth or more, and `numpy.load` reads it too."""
    with zipfile.ZipFile(path) as file:
        arrays = {info.filename: file.read(info) for info in file.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        for name, data in arrays.items():
            file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_LZMA)  # no date: same each time
