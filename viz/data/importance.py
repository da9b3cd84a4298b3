"""How much a video token matters to the FFN: its importance against the mean of its cube.

Importance is a share of its cube's norm: 1 / (tokens of the cube) is the mean. What is drawn is how
far a token lies above that, as a share of the mean, on a robust range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viz.data.packing import packed

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

SHOWN = 0.98
"""Share of the values above 0 that lie within the range."""
Floats = NDArray[np.float32]


def excess(trace: Trace, layer: int) -> Floats:
    """float32 [V]: importance over the mean of the token's cube, less 1; 0 for those below."""
    sizes = np.bincount(trace.cube_from_token)[trace.cube_from_token]
    above = trace.ffn_importance[layer].astype(np.float32) * sizes - 1
    return np.asarray(np.maximum(above, 0), np.float32)


def importance_table(trace: Trace, layer: int) -> dict[str, Any] | None:
    """{"top", "table" u8 [V]}: `excess` of a layer in steps of top / 255; None if not recorded."""
    return _ranged(excess(trace, layer)) if trace.ffn_importance.size else None


def importance_peaks(trace: Trace, grids: Sequence[tuple[int, int, int]]) -> dict[str, Any] | None:
    """{"top", "table" u8 [L, S]}: the largest `excess` of the tokens of each slice, whose videos
    have these (T, H, W).
    """
    sizes = [h * w for t, h, w in grids for _ in range(t)]
    if not trace.ffn_importance.size or not sizes:
        return None
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    layers = range(len(trace.computed_pairs))
    peaks = [np.maximum.reduceat(excess(trace, layer), starts) for layer in layers]
    return _ranged(np.array(peaks))


def _ranged(values: NDArray[Any]) -> dict[str, Any]:
    above = values[values > 0]
    top = float(np.quantile(above, SHOWN, method="higher")) if above.size else 1.0
    codes = np.rint(np.minimum(values / top, 1) * 255).astype(np.uint8)
    return {"top": round(top, 6), "table": packed(codes, 8)}
