"""A Trace as pandas frames: a row a layer, a word or a cube, units in the names of the columns.

pandas is asked for when a frame is: nothing else here needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from viz.data.statistics import KINDS, TraceView

if TYPE_CHECKING:
    import pandas as pd

    from adaspark.trace.trace import Trace

NO_PANDAS = (
    "These tables need pandas, which is not installed: pip install 'adaspark-studio[notebook]'."
)


_BOUNDS = (
    "video", "first_slice", "end_slice", "first_row", "end_row", "first_column", "end_column"
)  # fmt: skip


def layers_frame(run: Trace | TraceView) -> pd.DataFrame:
    """One row a layer. Shares are computed over possible, entropies normalised to [0, 1].

    Columns that only some kinds of query have are named by them (video, question, answer). Raises
    ImportError, in a sentence, without pandas.
    """
    view = TraceView.of(run)
    layers = view.trace.layers
    columns: dict[str, Any] = {
        "attention_density_share": [layer.attention_density for layer in layers],
        "ffn_density_share": [layer.ffn_density for layer in layers],
        "ffn_entropy_normalised": view.ffn_entropy,
    }
    for kind in KINDS:
        if kind in view.kinds:
            columns[f"attention_entropy_{kind}_normalised"] = view.attention_entropy(kind)
            columns[f"effective_{kind}_cubes"] = view.effective_cubes(kind)
            columns[f"attended_{kind}_cubes"] = view.kept_count(kind)
    columns["computed_pairs"] = view.trace.computed_pairs
    columns["causal_pairs"] = view.trace.causal_pairs
    return _frame(columns, {"layer": range(len(layers))})


def words_frame(run: Trace | TraceView) -> pd.DataFrame:
    """One row a layer and word (text token): how widely its heads looked, on average.

    `attended_cubes` is the mean over heads. Raises ImportError without pandas.
    """
    view = TraceView.of(run)
    trace, rows = view.trace, [word["index"] for word in view.words]
    known = [trace.words[at] if at < len(trace.words) else None for at in rows]
    depth = len(trace.computed_pairs)
    columns = {
        "text": [word["text"] for word in view.words] * depth,
        "kind": [word["kind"] for word in view.words] * depth,
        "position_tokens": [word.position if word else -1 for word in known] * depth,
        "logprob_nats": [word.logprob if word else None for word in known] * depth,
        "attention_entropy_normalised": trace.word_entropy.reshape(-1),
        "effective_cubes": trace.word_effective.reshape(-1),
        "attended_cubes": view.word_kept(rows).sum(-1).reshape(-1),
    }
    return _frame(columns, _product("word", depth, len(rows)))


def cubes_frame(run: Trace | TraceView) -> pd.DataFrame:
    """One row a layer and cube: where it lies, who attends to it, what it computes.

    Bounds are in merged tokens, ends exclusive; times are those of the first and the last frame
    of its slices. Shares are of the queries of each kind. Raises ImportError without pandas.
    """
    view = TraceView.of(run)
    trace = view.trace
    depth, count = len(trace.computed_pairs), len(trace.bounds)
    bounds = trace.bounds if count else np.zeros((0, len(_BOUNDS)), np.int32)
    columns: dict[str, Any] = {
        name: np.tile(bounds[:, at], depth) for at, name in enumerate(_BOUNDS)
    }
    columns |= {name: np.tile(secs, depth) for name, secs in _seconds(view).items()}
    columns |= {f"kept_by_{kind}_share": view.kept(kind).reshape(-1) for kind in view.kinds}
    columns["attention_entropy_normalised"] = trace.cube_entropy.reshape(-1)
    columns["ffn_entropy_normalised"] = trace.ffn_entropy.reshape(-1)
    columns["ffn_kept_share"] = _passed(view).reshape(-1)
    return _frame(columns, _product("cube", depth, count))


def _seconds(view: TraceView) -> dict[str, Any]:
    """First and last presentation time of each cube's frames; NaN if unknown."""
    times, bounds = view.trace.frame_times, view.trace.bounds
    first = np.concatenate([[0], np.cumsum([t for t, _, _ in view.grids])]).astype(int)
    if not times.size or not len(bounds):
        return {name: np.full(len(bounds), np.nan) for name in ("start_seconds", "end_seconds")}
    starts, ends = (first[bounds[:, 0]] + bounds[:, at] for at in (1, 2))
    return {"start_seconds": times[starts, 0], "end_seconds": times[ends - 1, -1]}


def _passed(view: TraceView) -> Any:
    """float64 [L, C]: the share of each cube's tokens that passed through the FFN."""
    cube_from_token, count = view.trace.cube_from_token, len(view.trace.bounds)
    sums = [np.bincount(cube_from_token, kept, count) for kept in view.trace.ffn_mask()]
    return np.reshape(sums, (len(sums), count)) / np.maximum(view.cube_sizes, 1)


def _product(name: str, layers: int, count: int) -> dict[str, Any]:
    return {
        "layer": np.repeat(np.arange(layers), count),
        name: np.tile(np.arange(count), layers),
    }


def _frame(columns: dict[str, Any], index: dict[str, Any]) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(NO_PANDAS) from error
    made = pd.DataFrame({**index, **columns})
    return made.set_index(list(index))
