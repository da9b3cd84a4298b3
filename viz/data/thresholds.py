"""From which Top-p upwards a cube or a token is kept: what lets a browser move the dials at once.

A level is an index into `steps`, a sorted tuple of thresholds: the first at which the thing is
kept, or `len(steps)` where none keeps it. Keeping at a step is then `level <= index of the step`.
Levels come from the recorded probabilities by the method's rule (the smallest set whose mass
reaches p, the crossing one included); at the run's own p they agree with what was recorded, where
probabilities rounded to half precision could differ.

What a prefill would cost follows (`cost_curves`, ours): attention's part moves as the share of
cubes that the recorded words would keep does. All is exact for the first affected layer; later
ones would see other inputs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viz.data.packing import packed

if TYPE_CHECKING:
    from viz.data.statistics import TraceView

Steps = tuple[float, ...]
FINE: Steps = tuple(round(0.01 * k, 2) for k in range(101))
COARSE: Steps = (0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 1)
THIN: Steps = (0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1)
BITS = (8, 4, 1)
"""Sizes a level can be packed in: FINE, COARSE, or the run's own threshold alone."""


MOST_ROWS, MOST_HEADS = 4, 8
"""Of the words and heads of a large run a sample speaks for all."""
SURE = 0.01
Shares = NDArray[np.float64]


def steps_of(bits: int, recorded: float | None) -> Steps:
    """The thresholds that levels of this many bits tell apart; `recorded` is always one of them.

    None, for a run that did not choose by Top-p, has one step only: as recorded.
    """
    if recorded is None or bits == 1:
        return (1.0 if recorded is None else recorded,)
    return with_recorded(FINE if bits == 8 else COARSE, recorded)


def with_recorded(steps: Steps, recorded: float) -> Steps:
    """Thresholds with the run's own among them."""
    return tuple(sorted({*steps, recorded}))


def recorded_top_p(view: TraceView, half: str, layer: int) -> float | None:
    """The Top-p of "attn", "ffn" or "text" that a layer of the run used; None for another rule."""
    config = view.trace.meta.config
    if config is None or (config.ffn_rule if half == "ffn" else config.attn_rule) != "top_p":
        return None
    top_p = getattr(config, f"{half}_top_p")
    if top_p is None:  # text that has none of its own
        top_p = config.attn_top_p
    return float(top_p[layer] if isinstance(top_p, tuple) else top_p)


def word_levels(view: TraceView, layer: int, rows: list[int], steps: Steps) -> NDArray[np.uint8]:
    """uint8 [len(rows), H, C]: from which step each head of each word chooses each cube."""
    mass, kept = view.trace.word_mass_in(layer, rows), view.trace.word_mask_in(layer, rows)
    found = _levels(mass_before(mass), steps)
    may = _candidates(view, rows)[:, None]
    found = np.where(may, np.minimum(found, len(steps) - 1), len(steps))
    return _as_recorded(found, kept, steps, recorded_top_p(view, "text", layer))


def token_levels(view: TraceView, layer: int, steps: Steps) -> NDArray[np.uint8]:
    """uint8 [V]: from which step each video token passes through the FFN; the best always does."""
    cube_from_token = view.trace.cube_from_token
    weights = view.trace.ffn_importance[layer].astype(np.float64)
    order = np.lexsort((np.arange(len(weights)), -weights, cube_from_token))
    ranked, cubes = weights[order], cube_from_token[order]
    first = np.flatnonzero(np.diff(cubes, prepend=-1))  # of each cube, in ranked order
    sums = np.cumsum(ranked)
    offsets = (sums - ranked)[first]
    before = np.empty_like(ranked)
    before[order] = sums - ranked - np.repeat(offsets, np.diff([*first, len(ranked)]))
    found = np.minimum(_levels(before, steps), len(steps) - 1)
    found[order[first]] = 0
    kept = view.trace.ffn_mask()[layer]
    return _as_recorded(found, kept, steps, recorded_top_p(view, "ffn", layer))


def packed_levels(levels: NDArray[np.uint8], steps: Steps, bits: int) -> dict[str, Any]:
    """{"steps", "table"}: levels as a JSON value, never-kept as the largest code of its size."""
    never = 2**bits - 1
    return {
        "steps": list(steps),
        "table": packed(np.where(levels < len(steps), levels, never).astype(np.uint8), bits),
    }


def mass_before(mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mass of all entries of a row that are taken before each, ties to the lower index."""
    order = np.argsort(-mass, axis=-1, kind="stable")
    ranked = np.take_along_axis(mass, order, -1)
    before = np.empty_like(mass)
    np.put_along_axis(before, order, np.cumsum(ranked, -1) - ranked, -1)
    return before


def _levels(before: NDArray[np.float64], steps: Steps) -> NDArray[np.int64]:
    """The first step that exceeds the mass before; a p of 0 keeps none."""
    # A sum that only rounding puts below a step has reached it.
    return np.searchsorted(np.asarray(steps), before + 1e-9, side="right")


def _candidates(view: TraceView, rows: list[int]) -> NDArray[np.bool_]:
    """bool [len(rows), C]: the cubes with a token before each word; all where nothing is known."""
    first = np.full(len(view.trace.bounds), len(view.trace.cube_from_token))
    np.minimum.at(first, view.trace.cube_from_token, np.arange(len(view.trace.cube_from_token)))
    # A word's position counts the text and the video tokens before it.
    positions = {i: word.position for i, word in enumerate(view.trace.words)}
    everything = len(view.trace.cube_from_token) + 1
    seen = [everything if (at := positions.get(row, -1)) < 0 else at - row for row in rows]
    return first < np.array(seen, np.int64)[:, None]


def _as_recorded(
    levels: NDArray[np.int64], kept: NDArray[np.bool_], steps: Steps, recorded: float | None
) -> NDArray[np.uint8]:
    at = len(steps) - 1 if recorded is None else bisect_left(steps, recorded)
    agreed = np.where(kept, np.minimum(levels, at), np.maximum(levels, at + 1))
    return agreed.astype(np.uint8)


def cost_curves(view: TraceView) -> dict[str, Any] | None:
    """{"steps" [P], "fixed", "attention" [P], "ffn" [P]}: shares of the dense prefill's FLOPs.

    At the thresholds steps[i] and steps[j] a prefill costs `fixed + attention[i] + ffn[j]`. None
    if that does not give the run's own cost: its FLOPs or scores are not recorded. Words that read
    everything stand, as `drawn`, for the video's rows, whose scores are not kept.
    """
    view = view.drawn
    flops, counts, config = view.trace.meta.flops, view.trace.meta.counts, view.trace.meta.config
    rows = list(range(view.trace.word_kept.shape[1]))[-MOST_ROWS:]
    measured = view.trace.word_probs.size and view.trace.ffn_importance.size
    if not (flops and counts and config and rows and measured):
        return None
    if (config.attn_rule, config.ffn_rule) != ("top_p", "top_p"):
        return None
    dense, video = flops.dense, len(view.trace.cube_from_token)
    passed = (_passed(view) * video + counts.text_tokens) / (video + counts.text_tokens)
    attention = _attended(view, rows) * dense.attention / dense.total
    ffn = passed * dense.ffn / dense.total
    fixed = (dense.projections + flops.sparse.choosing) / dense.total
    # Whole tokens pass: their share jumps just behind such a p as 3 / 8 of cubes of eight.
    step = bisect_right(FINE, _mean(config.ffn_top_p)) - 1
    own = fixed + float(np.interp(_mean(config.attn_top_p), FINE, attention)) + float(ffn[step])
    if abs(own - (1 - flops.reduction)) > SURE:
        return None
    shares = {"attention": attention, "ffn": ffn}
    rounded = {name: [round(float(value), 5) for value in curve] for name, curve in shares.items()}
    return {"steps": list(FINE), "fixed": round(fixed, 5), **rounded}


def _attended(view: TraceView, rows: list[int]) -> Shares:
    """[P]: the attention density at each threshold, mean over the layers."""
    heads = view.trace.word_probs.shape[2]
    some = np.unique(np.linspace(0, heads - 1, min(heads, MOST_HEADS)).round().astype(int))
    found = []
    for layer, stats in enumerate(view.trace.layers):
        own = recorded_top_p(view, "attn", layer) or 0.0
        steps = steps_of(8, own)
        kept = _kept_by_step(word_levels(view, layer, rows, steps)[:, some], steps)
        density, at = stats.attention_density, kept[steps.index(own)]
        below = density * kept / max(at, 1e-9)
        above = 1 - (1 - density) * (1 - kept) / max(1 - at, 1e-9)
        curve = np.where(np.array(steps) <= own, below, above)
        found.append(curve[np.isin(steps, FINE)])
    return np.asarray(np.mean(found, axis=0), np.float64)


def _passed(view: TraceView) -> Shares:
    """[P]: the FFN density at each threshold, mean over the layers."""
    found = []
    for layer in range(len(view.trace.computed_pairs)):
        steps = steps_of(8, recorded_top_p(view, "ffn", layer) or 0.0)
        kept = _kept_by_step(token_levels(view, layer, steps), steps)
        found.append(kept[np.isin(steps, FINE)])
    return np.asarray(np.mean(found, axis=0), np.float64)


def _kept_by_step(levels: NDArray[np.uint8], steps: tuple[float, ...]) -> Shares:
    counts = np.bincount(levels.reshape(-1), minlength=len(steps) + 1)[: len(steps)]
    return np.asarray(np.cumsum(counts) / levels.size, np.float64)


def _mean(top_p: float | tuple[float, ...]) -> float:
    return float(np.mean(top_p))
