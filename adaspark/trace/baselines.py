"""Baselines of a recorded run: other ways to answer its question, as dense or as costly."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adaspark.errors import UserError
from adaspark.method.config import DENSE, AdaSparkConfig
from adaspark.method.rules import CUBE_RULES
from adaspark.trace.cost import flops
from adaspark.trace.meta import required
from adaspark.trace.trace import Trace

RULES = tuple(rule for rule in CUBE_RULES if rule != "top_p")
BASELINES = ("dense", *RULES, "frames", "prune")
"""Everything computed, another rule for cubes, dense on fewer frames, or dense on fewer tokens."""
MIN_FRAMES = 2
_HALVINGS = 24


@dataclass(frozen=True)
class Baseline:
    """Another way to answer: a configuration, and how many frames or tokens it is shown.

    `keep_tokens` are those of largest norm after the vision tower. None: as many as the run.
    """

    config: AdaSparkConfig
    max_frames: int | None = None
    keep_tokens: int | None = None


def baseline(trace: Trace, name: str) -> Baseline:
    """The baseline called `name`, one of BASELINES, for the run that a trace records.

    A rule keeps the share of cubes that comes nearest to the run's attention density, with the
    run's own FFN; words that had a threshold of their own keep a share of their own. `frames` is
    dense on as many frames as cost the run's counted prefill FLOPs, and `prune` on as many tokens,
    from any frames.
    Raises UserError for an unknown name.
    """
    config = required(trace.meta.config, "settings")
    if name == "dense":
        return Baseline(replace(DENSE, cube=config.cube))
    if name == "frames":
        return Baseline(replace(DENSE, cube=config.cube), same_cost_frames(trace))
    if name == "prune":
        kept = same_cost_tokens(trace)
        return Baseline(replace(DENSE, cube=(1, 1, kept)), keep_tokens=kept)
    if name not in RULES:
        raise UserError(f"A run is compared with one of {', '.join(BASELINES)}, not with {name!r}.")
    words = None if config.text_top_p is None else kept_by_words(trace)
    keep = same_density_keep(trace, words)
    return Baseline(replace(config, attn_rule=name, attn_keep=keep, text_keep=words))


def kept_by_words(trace: Trace) -> float:
    """The share of their candidate cubes that the run's words kept, over layers and heads."""
    kept = trace.word_mask()
    rows = [i for i, word in enumerate(trace.words) if word.kind == "question"]
    return round(float(kept[:, rows].mean()), 4) if rows and kept.size else 0.0


def same_density_keep(trace: Trace, words: float | None = None) -> float:
    """The share of its candidate cubes that each query may keep to be as dense as the run was.

    `words` is the share of words, if theirs is another. Computed from the positions of the tokens,
    as if the kept cubes were of mean size.
    """
    geometry = _Geometry.of(trace)
    target = trace.attention_density * geometry.causal
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        keep = (low + high) / 2
        low, high = (keep, high) if geometry.pairs(keep, words) < target else (low, keep)
    return round(low, 4)


def same_cost_frames(trace: Trace) -> int:
    """How many frames cost in dense prefill what the run was counted to cost, text left out."""
    counted, clip = required(trace.meta.flops, "FLOPs"), required(trace.meta.clip, "clip")
    dense, total = counted.dense, counted.sparse.total
    linear, quadratic = dense.projections + dense.ffn, dense.attention
    # The share s of the tokens for which linear s + quadratic s^2 = total.
    share = 2 * total / (linear + math.sqrt(linear**2 + 4 * quadratic * total))
    return max(MIN_FRAMES, int(required(clip.frames, "frames") * min(share, 1)))


def same_cost_tokens(trace: Trace) -> int:
    """The most video tokens whose dense prefill, text included, costs no more than the run did."""
    text = required(trace.meta.counts, "tokens").text_tokens
    total = required(trace.meta.flops, "FLOPs").sparse.total

    def costs(video: int) -> float:
        return flops(trace.meta.shape, video_tokens=video, text_tokens=text).dense.total

    candidates = range(1, len(trace.cube_from_token) + 1)
    return max(1, bisect_right(candidates, total, key=costs))


@dataclass(frozen=True, eq=False)
class _Geometry:
    """Of each query of the prefill, all int64 [N]: keys it always attends to (text, own cube),
    its candidate cubes, and the tokens that it may see in them; bool [N]: whether it is text.
    """

    is_text: NDArray[np.bool_]
    always: NDArray[np.int64]
    candidates: NDArray[np.int64]
    visible: NDArray[np.int64]

    @classmethod
    def of(cls, trace: Trace) -> _Geometry:
        cube_from_token = trace.cube_from_token
        text = [word.position for word in trace.words if word.kind != "answer"]
        is_text = np.zeros(len(cube_from_token) + len(text), bool)
        is_text[text] = True
        video_before = np.cumsum(~is_text)
        firsts = np.sort(np.unique(cube_from_token, return_index=True)[1])
        own_before = np.zeros(len(is_text), np.int64)
        own_before[~is_text] = _rank_in_cube(cube_from_token)
        seen = np.searchsorted(firsts, video_before)
        always, visible = np.cumsum(is_text) + own_before, video_before - own_before
        return cls(is_text, always, seen - ~is_text, visible)

    @property
    def causal(self) -> int:
        """(query, key) pairs of dense attention, one head."""
        return int((self.always + self.visible).sum())

    def pairs(self, keep: float, words: float | None = None) -> float:
        """(query, key) pairs if each query keeps this share of its candidates, rounded up; words,
        if theirs is given, keep that.
        """
        keeps = np.where(self.is_text, keep if words is None else words, keep)
        kept = np.ceil(keeps * self.candidates - 1e-9)
        share = kept / np.maximum(self.candidates, 1)
        return float((self.always + share * self.visible).sum())


def _rank_in_cube(cube_from_token: NDArray[np.int32]) -> NDArray[np.int64]:
    """int64 [V]: how many tokens of its cube stand up to each token, itself counted."""
    order = np.argsort(cube_from_token, kind="stable")
    sizes = np.bincount(cube_from_token)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(1, len(order) + 1) - starts
    return ranks
