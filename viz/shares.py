"""What a Trace says of each cube and slice, as shares from 0 to 1: the numbers behind every view.

Axes as in the Trace: L layers, Q sampled query cubes, C cubes, W words, S slices, V video tokens.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from adaspark.trace import Trace
    from adaspark.trace_meta import Word

Kind = Literal["video", "question", "answer"]
KINDS: tuple[Kind, ...] = ("video", "question", "answer")
Floats = NDArray[np.float32]
CONTINUED = "\u00b7"


def grids(trace: Trace) -> list[tuple[int, int, int]]:
    """(T, H, W) of each video in merged tokens; from the bounds where `meta` has none."""
    if trace.meta.grids:
        return trace.meta.grids
    if not trace.bounds.size:
        return []
    videos = np.unique(trace.bounds[:, 0])
    ends = [trace.bounds[trace.bounds[:, 0] == v][:, [2, 4, 6]].max(0) for v in videos]
    return [(int(t), int(h), int(w)) for t, h, w in ends]


def unpruned(trace: Trace) -> NDArray[np.bool_]:
    """bool [V]: which tokens of a pruned video's whole grid the language model was shown."""
    pruned = trace.meta.pruned
    assert pruned is not None
    kept = np.zeros(math.prod(pruned.grid), bool)
    kept[pruned.kept] = True
    return kept


def words(trace: Trace) -> list[dict[str, Any]]:
    """One {"index", "text", "kind"} a row of the word tables; a word without a record has "?".

    A part of a character has a "name" too; its text is the character, or a dot after the first.
    """
    count = trace.word_kept.shape[1]
    known = [{"kind": word.kind, **_word_text(word)} for word in trace.words[:count]]
    unknown = [{"kind": "question", "text": "?"}] * (count - len(known))
    return [{"index": i, **word} for i, word in enumerate([*known, *unknown])]


def _word_text(word: Word) -> dict[str, str]:
    if (part := word.part) is None:
        return {"text": word.text}
    name = f"{part.of} (part {part.number} of {part.count})"
    return {"text": word.text or CONTINUED, "name": name}


def word_indices(trace: Trace, kind: str) -> list[int]:
    """The rows of the word tables that are of one kind (prompt, question, answer)."""
    return [word["index"] for word in words(trace) if word["kind"] == kind]


def kinds(trace: Trace) -> list[Kind]:
    """The kinds of query that this trace has anything to say about."""
    if not len(trace.bounds):
        return []
    has: dict[Kind, bool] = {
        "video": trace.kept_share.size > 0,
        "question": bool(word_indices(trace, "question")),
        "answer": bool(word_indices(trace, "answer")),
    }
    return [kind for kind in KINDS if has[kind]]


def kept(trace: Trace, kind: str) -> Floats:
    """float32 [L, C]: the share of the queries of one kind that attend to each cube.

    Words: the mean over words and heads. Video: see `video_kept`.
    """
    if kind == "video":
        return video_kept(trace)
    rows = word_indices(trace, kind)
    if not rows:
        return np.zeros(_layers_by_cubes(trace), np.float32)
    shares: Floats = word_kept(trace, rows).mean(1, dtype=np.float32)
    return shares


def word_kept(trace: Trace, rows: list[int]) -> Floats:
    """float32 [L, len(rows), C]: the share of heads in which a word chose each cube."""
    layers, cubes = _layers_by_cubes(trace)
    shares = np.zeros((layers, len(rows), cubes), np.float32)
    for layer in range(layers if cubes else 0):
        shares[layer] = word_kept_in(trace, layer, rows)
    return shares


def word_kept_in(trace: Trace, layer: int, rows: list[int]) -> Floats:
    """float32 [len(rows), C]: `word_kept` of one layer (all heads of all would be large)."""
    bits = np.unpackbits(trace.word_kept[layer, rows], axis=-1, count=len(trace.bounds))
    shares: Floats = bits.mean(1, dtype=np.float32)
    return shares


def video_kept(trace: Trace) -> Floats:
    """float32 [L, C]: of the (head, video token) pairs that may see a cube, the share that does.

    Tokens of the cube itself do not count (they always attend to it). A cube that no other
    recorded token may see has 1: all that can see it do.
    """
    layers, cubes = _layers_by_cubes(trace)
    sizes = np.bincount(trace.cube_from_token, minlength=cubes)
    others = trace.query_cubes[:, None] != np.arange(cubes)
    weights = np.where(others, sizes[trace.query_cubes][:, None], 0).astype(np.float32)
    seen = (weights * visibility(trace)).sum(0)
    shares = np.ones((layers, cubes), np.float32)
    for layer, table in enumerate(trace.kept_share):
        taken = (weights * table).sum(0) / 255
        np.divide(taken, seen, out=shares[layer], where=seen > 0)
    return shares.clip(0, 1)


def kept_count(trace: Trace, kind: str) -> Floats:
    """float32 [L]: the mean number of cubes that a query of one kind attends to.

    Words: the cubes they chose. Video tokens: those they attend to, their own included.
    """
    if kind == "video":
        sizes = np.bincount(trace.cube_from_token, minlength=len(trace.bounds))[trace.query_cubes]
        counts = trace.kept_share.sum(-1, dtype=np.float64) / 255
        return np.asarray(counts @ sizes / max(sizes.sum(), 1), np.float32)
    return np.asarray(kept(trace, kind).sum(-1), np.float32)


def needed_share(trace: Trace, kind: str, masses: tuple[float, ...]) -> Floats:
    """float32 [L, len(masses)]: the mean least share of the cubes that holds each mass.

    Over the words of one kind and the heads; NaN where there is no such word, or no cube.
    """
    layers, cubes = _layers_by_cubes(trace)
    found = np.full((layers, len(masses)), np.nan, np.float32)
    rows = word_indices(trace, kind)
    for layer in range(layers if rows and cubes else 0):
        ranked = -np.sort(-trace.word_probs[layer, rows].astype(np.float64), axis=-1)
        before = np.cumsum(ranked, -1) - ranked
        found[layer] = [(before < mass).sum(-1).mean() / cubes for mass in masses]
    return found


def visibility(trace: Trace) -> Floats:
    """float32 [Q, C]: the share of a query cube's tokens that may see any token of a key cube.

    Tokens are numbered in the order of the sequence, so a token sees those before it and itself.
    """
    cubes = len(trace.bounds)
    order = np.argsort(trace.cube_from_token, kind="stable")
    ends = np.cumsum(np.bincount(trace.cube_from_token, minlength=cubes))
    tokens_from_cube = np.split(order, ends[:-1]) if cubes else []
    first = np.array([tokens[0] for tokens in tokens_from_cube], np.int64)
    seen = np.zeros((len(trace.query_cubes), cubes), np.float32)
    for row, cube in enumerate(trace.query_cubes):
        tokens = tokens_from_cube[cube]
        seen[row] = 1 - np.searchsorted(tokens, first) / len(tokens)
    return seen


def ffn_kept_by_slice(trace: Trace) -> Floats:
    """float32 [L, S]: the share of each slice's tokens that passed through the FFN."""
    mask = trace.ffn_mask()
    sizes = [h * w for t, h, w in grids(trace) for _ in range(t)]
    if not sizes:
        return np.zeros((len(mask), 0), np.float32)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    sums = np.add.reduceat(mask.astype(np.float32), starts, axis=1)
    return np.asarray(sums / np.array(sizes), np.float32)


def by_slice(trace: Trace, values: NDArray[Any]) -> Floats:
    """float32 [L, S]: the mean of [L, C] over the cubes that cover each slice, by their area.

    Cubes without a value (NaN) do not count; a slice without any has NaN.
    """
    area = cube_areas(trace)
    total = np.nan_to_num(values) @ area.T
    weight = ~np.isnan(values) @ area.T
    found = np.full(total.shape, np.nan, np.float32)
    np.divide(total, weight, out=found, where=weight > 0)
    return found


def cube_areas(trace: Trace) -> Floats:
    """float32 [S, C]: tokens of each cube in each slice; slices of all videos in sequence."""
    sides = grids(trace)
    firsts = np.concatenate([[0], np.cumsum([t for t, _, _ in sides])]).astype(int)
    areas = np.zeros((int(firsts[-1]), len(trace.bounds)), np.float32)
    for cube, (video, t0, t1, r0, r1, c0, c1) in enumerate(trace.bounds.tolist()):
        areas[firsts[video] + t0 : firsts[video] + t1, cube] = (r1 - r0) * (c1 - c0)
    return areas


def counts_as_kept(shares_of_layer: NDArray[Any]) -> NDArray[np.bool_]:
    """bool [C]: the cubes that pictures show as kept, from the layer's mean or a half upwards.

    The lesser of the two counts: choices of many queries rarely agree, so a fixed half would show
    most sparse layers empty. A cube that no query attends to is never kept.
    """
    if not shares_of_layer.size:
        return np.zeros(0, bool)
    from_share = min(float(shares_of_layer.mean()), 0.5)
    # As the viewer does on 8-bit shares, where the mean of equal shares may lie above them.
    kept: NDArray[np.bool_] = (shares_of_layer > 0) & (shares_of_layer >= from_share - 0.002)
    return kept


def slice_starts(trace: Trace) -> NDArray[np.float64]:
    """float64 [S]: seconds of the first frame of each slice whose time is known, else NaN."""
    times = trace.frame_times
    if not times.size:
        return np.full(sum(t for t, _, _ in grids(trace)), np.nan)
    first = np.argmin(np.isnan(times), axis=1)
    starts: NDArray[np.float64] = np.take_along_axis(times, first[:, None], 1)[:, 0]
    return starts


def mean(values: NDArray[Any], axis: int | None = None) -> Any:
    """The mean over what is known; NaN, without a warning, where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=axis) if values.size else np.float32(np.nan)


def attention_entropy(trace: Trace, kind: str) -> Floats:
    """float32 [L]: the mean normalised attention entropy of the queries of one kind."""
    if kind == "video":
        return _row_means(trace.cube_entropy)
    return _row_means(trace.word_entropy[:, word_indices(trace, kind)])


def effective_cubes(trace: Trace, kind: str) -> Floats:
    """float32 [L]: the mean effective number of cubes, exp(entropy), of one kind's queries."""
    if kind == "video":
        return _row_means(trace.cube_effective)
    return _row_means(trace.word_effective[:, word_indices(trace, kind)])


def ffn_entropy(trace: Trace) -> Floats:
    """float32 [L]: the mean normalised entropy of token importance within cubes."""
    return _row_means(trace.ffn_entropy)


def _row_means(values: NDArray[Any]) -> Floats:
    return np.array([mean(row) for row in values], np.float32)


def _layers_by_cubes(trace: Trace) -> tuple[int, int]:
    return len(trace.computed_pairs), len(trace.bounds)
