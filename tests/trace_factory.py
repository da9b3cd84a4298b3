"""Synthetic Traces with the structure of real ones: an object moves, layers differ in focus.

numpy only. Selections obey the method's rule (minimal nucleus, own cube always attended), so
tests can compare pictures with an independent reading of the arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from adaspark.trace.meta import Meta
from adaspark.trace.trace import Trace

QUESTION = (" what", " color", " is", " the", " circle", " ?")
ANSWER = (" the", " circle", " is", " red")
Grid = tuple[int, int, int]


def make_trace(
    *,
    grids: Sequence[Grid] = ((32, 8, 8),),
    cube: Grid = (4, 4, 4),
    layers: int = 6,
    heads: int = 4,
    question: Sequence[str] = QUESTION,
    answer: Sequence[str] = ANSWER,
    attn_top_p: float = 0.9,
    ffn_top_p: float = 0.7,
    frames_per_slice: int = 2,
    fps: float = 8.0,
    query_cubes: int | None = None,
    tail: Sequence[str] = (),
    meta: dict[str, Any] | None = None,
    seed: int = 0,
) -> Trace:
    """A Trace of a prompt with these videos (none if `grids` is empty) and these words.

    `query_cubes` reduces the recorded query cubes to an even sample of that many; `tail` are the
    template's tokens between question and answer.
    """
    rng = np.random.default_rng(seed)
    bounds, cube_from_token, places = _layout(grids, cube)
    texts = [("<prompt>", "prompt")]
    texts += [(t, "question") for t in question] + [(t, "prompt") for t in tail]
    texts += [(t, "answer") for t in answer]
    probs = _word_probs(rng, bounds, grids, layers, len(texts), heads)
    chosen = nucleus(probs, attn_top_p)
    sampled = np.arange(len(bounds))
    if query_cubes is not None:
        sampled = np.unique(np.linspace(0, len(bounds) - 1, query_cubes).astype(int))
    importance = _importance(rng, cube_from_token, places, layers)
    passed = _ffn_mask(importance, cube_from_token, ffn_top_p)
    entropy, effective = _entropies(probs)
    share = _kept_share(rng, bounds, cube_from_token, layers, attn_top_p, sampled)
    pairs = _pairs(len(cube_from_token) + len(texts), heads, layers, share)
    cube_entropy = np.clip(0.85 - 0.08 * np.arange(layers)[:, None] / layers, 0, 1)
    cube_entropy = cube_entropy + rng.normal(0, 0.04, (layers, len(bounds)))
    alone = np.array([b[1] == 0 for b in bounds], bool)  # the first slab may have no candidates
    cube_entropy = np.where(alone, np.nan, np.clip(cube_entropy, 0, 1)).astype(np.float32)
    return Trace(
        meta=Meta.from_dict(
            {
                **_meta(grids, cube, texts, (attn_top_p, ffn_top_p), fps, frames_per_slice, layers),
                "sampled_query_cubes": query_cubes is not None,
                **(meta or {}),
            }
        ),
        cube_from_token=cube_from_token.astype(np.int32),
        bounds=bounds.astype(np.int32),
        frame_times=_frame_times(grids, frames_per_slice, fps),
        query_cubes=sampled.astype(np.int32),
        kept_share=share,
        word_kept=np.packbits(chosen, axis=-1),
        word_probs=probs.astype(np.float16),
        dense_mass=_dense_mass(rng, probs, attn_top_p),
        ffn_kept=np.packbits(passed, axis=-1),
        ffn_importance=importance.astype(np.float16),
        ffn_ratio=np.where(passed, importance, np.nan).astype(np.float16),
        text_ffn_ratio=rng.uniform(0.5, 1, (layers, 1 + len(question))).astype(np.float16),
        cube_entropy=cube_entropy,
        cube_effective=np.exp(cube_entropy * np.log(max(len(bounds), 2))).astype(np.float32),
        word_entropy=entropy.mean(-1).astype(np.float32),
        word_effective=effective.mean(-1).astype(np.float32),
        ffn_entropy=_ffn_entropy(importance, cube_from_token, len(bounds)),
        **pairs,
    )


REAL: dict[str, Any] = {
    "grids": ((100, 16, 16),),
    "layers": 28,
    "heads": 28,
    "query_cubes": 12,
    "question": ("What", " color", " is", " the", " jacket", "?"),
    "tail": ("<end>", "assistant"),
}
"""A run of a real model's size: 28 layers of 28 heads on 25,600 video tokens."""
REAL_CUBES: dict[int, Grid] = {400: (4, 4, 4), 1600: (1, 4, 4)}
"""Cubes of REAL by how many they are."""


def pruned_trace(grid: Grid, kept: Sequence[int], **options: Any) -> Trace:
    """A dense Trace of the row of tokens that pruning a video of this grid has left."""
    row = (1, 1, len(kept))
    dense = {"attn_top_p": 1.0, "ffn_top_p": 1.0}
    pruned = {"grid": list(grid), "kept": list(kept)}
    return make_trace(grids=[row], cube=row, meta={"pruned": pruned}, **dense, **options)


def asking(trace: Trace, kind: str) -> list[int]:
    """The rows of the queries of a kind of word; an answer's word by the one before."""
    rows = [i for i, word in enumerate(trace.words) if word.kind == kind]
    return [row - 1 for row in rows] if kind == "answer" else rows


def nucleus(probs: np.ndarray, top_p: float) -> np.ndarray:
    """bool, as `probs`: the smallest sets along the last axis whose mass reaches `top_p`."""
    order = np.argsort(-probs, axis=-1, kind="stable")
    ranked = np.take_along_axis(probs, order, -1)
    before = np.cumsum(ranked, -1) - ranked
    take = (before < top_p - 1e-9) if top_p < 1 else np.ones_like(before, bool)
    mask = np.zeros_like(take)
    np.put_along_axis(mask, order, take, -1)
    return mask


def seen_share(bounds: np.ndarray, cube_from_token: np.ndarray) -> np.ndarray:
    """float [C, C]: the share of a cube's tokens that see a token of another, the slow way."""
    count = len(bounds)
    seen = np.zeros((count, count))
    for q, c in product(range(count), repeat=2):
        tokens = np.flatnonzero(cube_from_token == q)
        seen[q, c] = (tokens >= np.flatnonzero(cube_from_token == c)[0]).mean()
    return seen


def _layout(grids: Sequence[Grid], cube: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    bounds, maps, places = [], [np.zeros(0, int)], [np.zeros((0, 3))]
    for video, grid in enumerate(grids):
        counts = [-(-n // side) for n, side in zip(grid, cube, strict=True)]
        at = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), -1).reshape(-1, 3)
        block = at // np.array(cube)
        index = (block[:, 0] * counts[1] + block[:, 1]) * counts[2] + block[:, 2]
        maps.append(index + len(bounds))
        places.append(at / np.maximum(np.array(grid) - 1, 1))
        for corner in product(*map(range, counts)):
            first = np.array(corner) * cube
            end = np.minimum(first + cube, grid)
            bounds.append([video, *np.stack([first, end], -1).reshape(-1).tolist()])
    table = np.array(bounds, int).reshape(-1, 7)
    return table, np.concatenate(maps), np.concatenate(places)


def _distance(bounds: np.ndarray, grids: Sequence[Grid]) -> np.ndarray:
    """[C]: how far each cube's middle is from an object that crosses the picture."""
    sides = np.array(grids, float)[bounds[:, 0]] if len(bounds) else np.zeros((0, 3))
    middle = (bounds[:, [1, 3, 5]] + bounds[:, [2, 4, 6]]) / 2 / np.maximum(sides, 1)
    path = 0.2 + 0.6 * middle[:, :1]
    return np.linalg.norm(middle[:, 1:] - path, axis=1)


def _word_probs(
    rng: np.random.Generator,
    bounds: np.ndarray,
    grids: Sequence[Grid],
    layers: int,
    words: int,
    heads: int,
) -> np.ndarray:
    focus = np.linspace(1, 9, layers)[:, None, None, None] * rng.uniform(0.4, 1.2, (1, 1, heads, 1))
    scores = -focus * _distance(bounds, grids) * 2
    scores = scores + rng.normal(0, 0.8, (layers, words, heads, len(bounds)))
    weights = np.exp(scores - scores.max(-1, keepdims=True, initial=-1e9))
    return weights / np.maximum(weights.sum(-1, keepdims=True), 1e-12)


def _dense_mass(rng: np.random.Generator, probs: np.ndarray, top_p: float) -> np.ndarray:
    """What a run that keeps everything measures, which the probabilities estimate."""
    if top_p < 1:
        return np.zeros((0, 0, 0, 0), np.float16)
    mass = probs * rng.uniform(0.5, 2, probs.shape)
    return (mass / np.maximum(mass.sum(-1, keepdims=True), 1e-12)).astype(np.float16)


def _kept_share(
    rng: np.random.Generator,
    bounds: np.ndarray,
    cube_from_token: np.ndarray,
    layers: int,
    top_p: float,
    sampled: np.ndarray,
) -> np.ndarray:
    count = len(bounds)
    first = np.full(count, len(cube_from_token))
    np.minimum.at(first, cube_from_token, np.arange(len(cube_from_token)))
    seen = np.zeros((count, count))
    for c in range(count):
        seen[:, c] = np.bincount(
            cube_from_token, np.arange(len(cube_from_token)) >= first[c], count
        )
    seen /= np.maximum(np.bincount(cube_from_token, minlength=count), 1)[:, None]
    near = np.exp(-np.abs(bounds[sampled, None, 1] - bounds[None, :, 1]) / 8.0)
    share = near[None] * rng.uniform(0.3, 1, (layers, 1, count)) + rng.uniform(
        -0.2, 0.2, (layers, len(sampled), count)
    )
    share = np.clip(share, 0, 1) * (top_p > 0) if top_p < 1 else np.ones_like(share)
    share[:, np.arange(len(sampled)), sampled] = 1
    return np.round(share * seen[sampled] * 255).astype(np.uint8)


def _importance(
    rng: np.random.Generator, cube_from_token: np.ndarray, places: np.ndarray, layers: int
) -> np.ndarray:
    middle = 0.2 + 0.6 * places[:, :1]
    near = np.exp(-8 * ((places[:, 1:] - middle) ** 2).sum(-1))
    norms = 1 + 4 * near[None] + rng.gamma(2, 0.5, (layers, len(cube_from_token)))
    sums = np.stack([np.bincount(cube_from_token, row) for row in norms]) if norms.size else norms
    return norms / sums[:, cube_from_token] if norms.size else norms


def _ffn_mask(importance: np.ndarray, cube_from_token: np.ndarray, top_p: float) -> np.ndarray:
    mask = np.zeros(importance.shape, bool)
    for cube in np.unique(cube_from_token):
        tokens = np.flatnonzero(cube_from_token == cube)
        mask[:, tokens] = nucleus(importance[:, tokens], max(top_p, 1e-6))
    return mask


def _entropies(probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if probs.shape[-1] < 2:
        blank = np.full(probs.shape[:-1], np.nan)
        return blank, blank
    nats = -(probs * np.log(np.maximum(probs, 1e-12))).sum(-1)
    return nats / np.log(probs.shape[-1]), np.exp(nats)


def _ffn_entropy(importance: np.ndarray, cube_from_token: np.ndarray, cubes: int) -> np.ndarray:
    out = np.full((len(importance), cubes), np.nan, np.float32)
    for cube in range(cubes):
        part = importance[:, cube_from_token == cube]
        if part.shape[1] > 1:
            out[:, cube] = -(part * np.log(part)).sum(-1) / np.log(part.shape[1])
    return out


def _frame_times(grids: Sequence[Grid], frames_per_slice: int, fps: float) -> np.ndarray:
    rows = [np.arange(t * frames_per_slice).reshape(t, frames_per_slice) / fps for t, _, _ in grids]
    return np.concatenate(rows) if rows else np.zeros((0, frames_per_slice))


def _pairs(tokens: int, heads: int, layers: int, share: np.ndarray) -> dict[str, np.ndarray]:
    causal = np.full(layers, heads * tokens * (tokens + 1) // 2, np.int64)
    count = share.shape[1]
    visible = max(count * (share.shape[2] + 1) / 2, 1)
    density = share.reshape(layers, -1).sum(-1) / 255 / visible if count else np.ones(layers)
    computed = (causal * np.clip(density, 0, 1)).astype(np.int64)
    executed = np.minimum(computed * 5 // 4, causal)
    return {"computed_pairs": computed, "executed_pairs": executed, "causal_pairs": causal}


def _meta(
    grids: Sequence[Grid],
    cube: Grid,
    texts: list[tuple[str, str]],
    top_p: tuple[float, float],
    fps: float,
    frames_per_slice: int,
    layers: int,
) -> dict[str, Any]:
    slices, rows, columns = grids[0] if grids else (0, 0, 0)
    tokens = sum(t * h * w for t, h, w in grids)
    dense = {"projections": 2.1e9, "attention": 1.4e9, "ffn": 6.2e9}
    sparse = {"projections": 2.1e9, "attention": 0.5e9, "ffn": 3.4e9, "choosing": 0.06e9}
    return {
        "config": {"cube": list(cube), "attn_top_p": top_p[0], "ffn_top_p": top_p[1]},
        "grids": [list(grid) for grid in grids],
        "model": "mini",
        "device": "cpu",
        "dtype": "float32",
        "backend": "gather",
        "words": [
            {"text": text, "kind": kind, "position": i + (tokens if i else 0)}
            for i, (text, kind) in enumerate(texts)
        ],
        "clip": {
            "name": "two-shapes.mp4",
            "width": 1280,
            "height": 720,
            "shown_width": columns * 28,
            "shown_height": rows * 28,
            "fps": 24.0,
            "duration_secs": slices * frames_per_slice / fps,
            "frames": slices * frames_per_slice,
        },
        "question": "".join(t for t, kind in texts if kind == "question").strip(),
        "answer": "".join(t for t, kind in texts if kind == "answer").strip(),
        "seconds": {"decode": 0.12, "vision": 0.41, "prefill": 0.66, "generate": 0.2},
        "flops": {
            "dense": dense,
            "sparse": sparse,
            "executed": {**sparse, "attention": 0.9e9},
        },
        "shape": {"layers": layers, "hidden": 256},
    }


def make_layered_trace(ps: Sequence[tuple[float, float]], **shape: Any) -> Trace:
    """A Trace whose layers were each run at their own thresholds (attention, FFN)."""
    runs = [make_trace(layers=len(ps), attn_top_p=attn, ffn_top_p=ffn, **shape) for attn, ffn in ps]
    trace = runs[0]
    for layer, run in enumerate(runs):
        for name in ("kept_share", "word_kept", "ffn_kept", "computed_pairs", "executed_pairs"):
            getattr(trace, name)[layer] = getattr(run, name)[layer]
    attn, ffn = zip(*ps, strict=True)
    assert trace.meta.config
    trace.meta.config = replace(trace.meta.config, attn_top_p=attn, ffn_top_p=ffn)
    return trace
