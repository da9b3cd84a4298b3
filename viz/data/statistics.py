"""What a Trace says of each cube and slice, as shares from 0 to 1: the numbers behind every view.

Axes as in the Trace: L layers, Q sampled query cubes, C cubes, W words, S slices, V video tokens.
"""

from __future__ import annotations

import math
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from adaspark.method.config import TopP
    from adaspark.trace.meta import Word
    from adaspark.trace.trace import Trace

Kind = Literal["video", "question", "answer"]
KINDS: tuple[Kind, ...] = ("video", "question", "answer")
Floats = NDArray[np.float32]
CONTINUED = "\u00b7"


class TraceView:
    """One trace as the pictures read it; what several of them need is computed once."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.stands_for: TopP | None = None
        """The share of its attention that a word is drawn by, where it read everything."""
        self._kept: dict[str, Floats] = {}

    @classmethod
    def of(cls, run: Trace | TraceView) -> TraceView:
        """A view of a trace, or the one that is given."""
        return run if isinstance(run, TraceView) else cls(run)

    @cached_property
    def drawn(self) -> TraceView:
        """What the viewer draws: this view, or another where words read everything, see `lens`."""
        from viz.data.lens import drawn, drawn_top_p

        trace = drawn(self.trace)
        if trace is self.trace:
            return self
        view = TraceView(trace)
        view.stands_for = drawn_top_p(self.trace.meta.config)
        return view

    @cached_property
    def grids(self) -> list[tuple[int, int, int]]:
        """(T, H, W) of each video in merged tokens; from the bounds where `meta` has none."""
        if self.trace.meta.grids:
            return self.trace.meta.grids
        if not self.trace.bounds.size:
            return []
        bounds = self.trace.bounds
        ends = [bounds[bounds[:, 0] == v][:, [2, 4, 6]].max(0) for v in np.unique(bounds[:, 0])]
        return [(int(t), int(h), int(w)) for t, h, w in ends]

    @cached_property
    def unpruned(self) -> NDArray[np.bool_]:
        """bool [V]: which tokens of a pruned video's whole grid the language model was shown."""
        pruned = self.trace.meta.pruned
        assert pruned is not None
        kept = np.zeros(math.prod(pruned.grid), bool)
        kept[pruned.kept] = True
        return kept

    @cached_property
    def words(self) -> list[dict[str, Any]]:
        """One {"index", "text", "kind"} a row of the word tables; a word without a record has "?".

        A part of a character has a "name" too; its text is the character, or a dot after the first.
        """
        count = self.trace.word_kept.shape[1]
        known = [{"kind": word.kind, **_word_text(word)} for word in self.trace.words[:count]]
        unknown = [{"kind": "question", "text": "?"}] * (count - len(known))
        return [{"index": i, **word} for i, word in enumerate([*known, *unknown])]

    def word_rows(self, kind: str) -> list[int]:
        """The rows of the word tables whose queries the words of one kind stand for.

        A question's words ask themselves; an answer's word is the output of the query before it.
        """
        if kind == "answer":
            return [row for row in self.trace.answer_queries().tolist() if row >= 0]
        return [word["index"] for word in self.words if word["kind"] == kind]

    @cached_property
    def kinds(self) -> list[Kind]:
        """The kinds of query that this trace has anything to say about."""
        if not len(self.trace.bounds):
            return []
        has: dict[Kind, bool] = {
            "video": self.trace.kept_share.size > 0,
            "question": bool(self.word_rows("question")),
            "answer": bool(self.word_rows("answer")),
        }
        return [kind for kind in KINDS if has[kind]]

    def kept(self, kind: str) -> Floats:
        """float32 [L, C]: the share of the queries of one kind that attend to each cube.

        Words: the mean over words and heads. Video: see `video_kept`.
        """
        if kind not in self._kept:
            self._kept[kind] = self.video_kept if kind == "video" else self._words_kept(kind)
        return self._kept[kind]

    def _words_kept(self, kind: str) -> Floats:
        rows = self.word_rows(kind)
        if not rows:
            return np.zeros(self._layers_by_cubes, np.float32)
        return np.asarray(self.word_kept(rows).mean(1, dtype=np.float32))

    def word_kept(self, rows: list[int]) -> Floats:
        """float32 [L, len(rows), C]: the share of heads in which a word chose each cube."""
        layers, cubes = self._layers_by_cubes
        shares = np.zeros((layers, len(rows), cubes), np.float32)
        for layer in range(layers if cubes else 0):
            shares[layer] = self.word_kept_in(layer, rows)
        return shares

    def word_kept_in(self, layer: int, rows: list[int]) -> Floats:
        """float32 [len(rows), C]: `word_kept` of one layer (all heads of all would be large)."""
        return self.trace.word_share_in(layer, rows)

    @cached_property
    def cube_sizes(self) -> NDArray[np.int64]:
        """int64 [C]: the tokens of each cube."""
        return np.bincount(self.trace.cube_from_token, minlength=len(self.trace.bounds))

    @cached_property
    def video_kept(self) -> Floats:
        """float32 [L, C]: of the (head, video token) pairs that may see a cube, the share that do.

        Tokens of the cube itself do not count (they always attend to it). A cube that no other
        recorded token may see has 1: all that can see it do.
        """
        layers, cubes = self._layers_by_cubes
        weights = self._other_tokens
        seen = (weights * self.visibility).sum(0)
        shares = np.ones((layers, cubes), np.float32)
        for layer, table in enumerate(self.trace.kept_share):
            taken = (weights * table).sum(0) / 255
            np.divide(taken, seen, out=shares[layer], where=seen > 0)
        return shares.clip(0, 1)

    @cached_property
    def _other_tokens(self) -> Floats:
        """float32 [Q, C]: the tokens of each query cube, 0 where it is the key cube itself."""
        others = self.trace.query_cubes[:, None] != np.arange(len(self.trace.bounds))
        sizes = self.cube_sizes[self.trace.query_cubes][:, None]
        return np.where(others, sizes, 0).astype(np.float32)

    @cached_property
    def seen_by_others(self) -> NDArray[np.bool_]:
        """bool [C]: the cubes that tokens of another recorded query cube may see."""
        seen: NDArray[np.bool_] = (self._other_tokens * self.visibility).sum(0) > 0
        return seen

    def kept_by_cube(self, cube: int) -> NDArray[np.uint8]:
        """uint8 [L, C]: share of the (head, token) pairs of a recorded query cube that attend to
        each cube, x 255.
        """
        table: NDArray[np.uint8] = self.trace.kept_share[:, self.trace.query_cubes == cube][:, 0]
        return table

    def kept_count(self, kind: str) -> Floats:
        """float32 [L]: the mean number of cubes that a query of one kind attends to.

        Words: the cubes they chose. Video tokens: those they attend to, their own included.
        """
        if kind == "video":
            sizes = self.cube_sizes[self.trace.query_cubes]
            counts = self.trace.kept_share.sum(-1, dtype=np.float64) / 255
            return np.asarray(counts @ sizes / max(sizes.sum(), 1), np.float32)
        return np.asarray(self.kept(kind).sum(-1), np.float32)

    def needed_share(
        self, rows: list[int], masses: tuple[float, ...], heads: slice = slice(None)
    ) -> Floats:
        """float32 [L, len(masses)]: the mean least share of the cubes that holds each mass.

        Over rows of the word tables and heads; NaN where there is no such word, or no cube.
        """
        layers, cubes = self._layers_by_cubes
        found = np.full((layers, len(masses)), np.nan, np.float32)
        for layer in range(layers if rows and cubes else 0):
            ranked = -np.sort(-self.trace.word_mass_in(layer, rows)[:, heads], axis=-1)
            before = np.cumsum(ranked, -1) - ranked
            found[layer] = [(before < mass).sum(-1).mean() / cubes for mass in masses]
        return found

    @cached_property
    def visibility(self) -> Floats:
        """float32 [Q, C]: the share of a query cube's tokens that may see any of a key cube's.

        Tokens are numbered in the order of the sequence: each sees those before it and itself.
        """
        cubes = len(self.trace.bounds)
        order = np.argsort(self.trace.cube_from_token, kind="stable")
        ends = np.cumsum(self.cube_sizes)
        tokens_from_cube = np.split(order, ends[:-1]) if cubes else []
        first = np.array([tokens[0] for tokens in tokens_from_cube], np.int64)
        seen = np.zeros((len(self.trace.query_cubes), cubes), np.float32)
        for row, cube in enumerate(self.trace.query_cubes):
            tokens = tokens_from_cube[cube]
            seen[row] = 1 - np.searchsorted(tokens, first) / len(tokens)
        return seen

    @cached_property
    def ffn_kept_by_slice(self) -> Floats:
        """float32 [L, S]: the share of each slice's tokens that passed through the FFN."""
        mask = self.trace.ffn_mask()
        sizes = [h * w for t, h, w in self.grids for _ in range(t)]
        if not sizes:
            return np.zeros((len(mask), 0), np.float32)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        sums = np.add.reduceat(mask.astype(np.float32), starts, axis=1)
        return np.asarray(sums / np.array(sizes), np.float32)

    def by_slice(self, values: NDArray[Any]) -> Floats:
        """float32 [L, S]: the mean of [L, C] over the cubes that cover each slice, by their area.

        Cubes without a value (NaN) do not count; a slice without any has NaN.
        """
        area = self.cube_areas
        total = np.nan_to_num(values) @ area.T
        weight = ~np.isnan(values) @ area.T
        found = np.full(total.shape, np.nan, np.float32)
        np.divide(total, weight, out=found, where=weight > 0)
        return found

    @cached_property
    def cube_areas(self) -> Floats:
        """float32 [S, C]: tokens of each cube in each slice; slices of all videos in sequence."""
        sides = self.grids
        firsts = np.concatenate([[0], np.cumsum([t for t, _, _ in sides])]).astype(int)
        areas = np.zeros((int(firsts[-1]), len(self.trace.bounds)), np.float32)
        for cube, (video, t0, t1, r0, r1, c0, c1) in enumerate(self.trace.bounds.tolist()):
            areas[firsts[video] + t0 : firsts[video] + t1, cube] = (r1 - r0) * (c1 - c0)
        return areas

    @cached_property
    def slice_starts(self) -> NDArray[np.float64]:
        """float64 [S]: seconds of the first frame of each slice whose time is known, else NaN."""
        times = self.trace.frame_times
        if not times.size:
            return np.full(sum(t for t, _, _ in self.grids), np.nan)
        first = np.argmin(np.isnan(times), axis=1)
        starts: NDArray[np.float64] = np.take_along_axis(times, first[:, None], 1)[:, 0]
        return starts

    def attention_entropy(self, kind: str) -> Floats:
        """float32 [L]: the mean normalised attention entropy of the queries of one kind."""
        if kind == "video":
            return _row_means(self.trace.cube_entropy)
        return _row_means(self.trace.word_entropy[:, self.word_rows(kind)])

    def effective_cubes(self, kind: str) -> Floats:
        """float32 [L]: the mean effective number of cubes, exp(entropy), of one kind's queries."""
        if kind == "video":
            return _row_means(self.trace.cube_effective)
        return _row_means(self.trace.word_effective[:, self.word_rows(kind)])

    @cached_property
    def ffn_entropy(self) -> Floats:
        """float32 [L]: the mean normalised entropy of token importance within cubes."""
        return _row_means(self.trace.ffn_entropy)

    @cached_property
    def _layers_by_cubes(self) -> tuple[int, int]:
        return len(self.trace.computed_pairs), len(self.trace.bounds)


def _word_text(word: Word) -> dict[str, str]:
    if (part := word.part) is None:
        return {"text": word.text}
    name = f"{part.of} (part {part.number} of {part.count})"
    return {"text": word.text or CONTINUED, "name": name}


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


def mean(values: NDArray[Any], axis: int | None = None) -> Any:
    """The mean over what is known; NaN, without a warning, where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=axis) if values.size else np.float32(np.nan)


def _row_means(values: NDArray[Any]) -> Floats:
    return np.array([mean(row) for row in values], np.float32)
