"""Who asks: the words that a scene shows, and the recorded queries that stand for them.

A word of the question asks by its own query. A word of the answer is the output of the query before
it, which is shown for it; what the word itself attended to, after it was said, is its second one.

What a large run's viewer asks for by query or cube: `query_table`, one query in every layer, as
recorded; `query_preview`, one query in one layer at other thresholds; `cube_table`, every query on
one cube. Shares are counts of (word, head) pairs: the trace's own numbers, not rounded, wherever
there are at most 255 of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viz.data import thresholds
from viz.data.packing import packed, packed_shares, packed_size
from viz.data.statistics import TraceView, counts_as_kept

ASKED = ("question", "answer")
"""The kinds of word that a scene shows."""


@dataclass(frozen=True)
class Query:
    """Whose choices are asked for: those of a `kind` (video, question, answer), of one `row` of the
    word tables, or of the tokens of one `cube`; of one `head`, or of all (a cube's are not told
    apart).
    """

    kind: str | None = None
    row: int | None = None
    cube: int | None = None
    head: int | None = None


def query_rows(view: TraceView) -> list[int]:
    """The rows of the word tables that a scene's words stand for: axis Q of its tables."""
    own = {word["index"] for word in view.words if word["kind"] in ASKED}
    return sorted(own | set(view.word_rows("answer")))


def shown_words(view: TraceView) -> list[dict[str, Any]]:
    """The words that a scene shows, each with the place of its `query` among `query_rows`.

    A word of the answer has the place of its own query as `said`; `query` is None if the one that
    produced it was not recorded.
    """
    place = {row: at for at, row in enumerate(query_rows(view))}
    emitting = iter(view.trace.answer_queries().tolist())
    found = []
    for word in view.words:
        if word["kind"] == "question":
            found.append({**word, "query": place[word["index"]]})
        elif word["kind"] == "answer":
            found.append({**word, "query": place.get(next(emitting)), "said": place[word["index"]]})
    return found


def rows_of(view: TraceView, query: Query) -> list[int]:
    """The rows of the word tables that a query of words is the mean of."""
    return [query.row] if query.row is not None else view.word_rows(query.kind or "")


def heads_of(view: TraceView, query: Query) -> slice:
    """The heads that a query is the mean of."""
    return slice(None) if query.head is None else slice(query.head, query.head + 1)


def kept_bits(view: TraceView, layer: int, query: Query) -> NDArray[np.bool_]:
    """bool [n, C]: which cubes each (row, head) of a query of words chose in a layer."""
    cubes = len(view.trace.bounds)
    chosen = view.trace.word_mask_in(layer, rows_of(view, query))[:, heads_of(view, query)]
    return np.asarray(chosen.reshape(-1, cubes), bool)


PREVIEW_BYTES = 62_000
MOST_COUNTED = 255
NAMES = {
    "video": "The video tokens' own queries",
    "question": "The question",
    "answer": "What produced the answer",
}


@dataclass(frozen=True)
class Looked:
    """What of a run is looked at when a figure is drawn: a layer, and whose choices."""

    view: TraceView
    layer: int = 0
    query: Query = field(default_factory=Query)

    def within(self) -> Looked:
        """The same as far as the run has it: it may have fewer layers and no such query."""
        view = self.view
        layer = min(self.layer, max(len(view.trace.computed_pairs) - 1, 0))
        query = self.query
        if query.row is None and query.cube is None and query.kind not in view.kinds:
            kinds = view.kinds
            usual = "question" if "question" in kinds else (kinds[0] if kinds else None)
            query = Query(kind=usual)
        return Looked(view, layer, query)

    @property
    def is_particular(self) -> bool:
        """Whether one word, cube or head is looked at."""
        query = self.query
        return not (query.row is None and query.cube is None and query.head is None)

    @property
    def is_of_words(self) -> bool:
        """Whether what is looked at are queries of words, whose probabilities are recorded."""
        return self.query.row is not None or self.query.kind in ASKED

    def all_heads(self) -> Looked:
        """The same with the mean of the heads: for what is not recorded of each apart."""
        return replace(self, query=replace(self.query, head=None))

    def shares(self) -> NDArray[np.float32]:
        """float32 [L, C]: the share of the query's decisions that keep each cube."""
        query, view = self.query, self.view
        if query.cube is not None:
            return np.asarray(view.kept_by_cube(query.cube) / 255, np.float32)
        if query.row is None and query.head is None:
            return view.kept(query.kind) if query.kind else np.zeros((0, 0), np.float32)
        layers = range(len(view.trace.computed_pairs))
        return np.array([kept_bits(view, at, query).mean(0) for at in layers], np.float32)

    def kept_counts(self) -> list[int]:
        """How many cubes of each layer pictures show as kept."""
        return [int(counts_as_kept(row).sum()) for row in self.shares()]

    def kept_by_head(self) -> NDArray[np.float32]:
        """float32 [L, H]: the cubes that each head of the query keeps, mean over its words; of a
        query whose heads are not told apart, [L, 0].
        """
        view = self.view
        layers, heads = len(view.trace.computed_pairs), view.trace.word_probs.shape[2]
        if not self.is_of_words:
            return np.zeros((layers, 0), np.float32)
        whole = self.all_heads().query
        kept = [kept_bits(view, layer, whole) for layer in range(layers)]
        return np.array([bits.reshape(-1, heads, bits.shape[-1]).sum(-1).mean(0) for bits in kept])

    @property
    def counted(self) -> str:
        """Among which cubes those of a head are counted: of a long run some are listed alone."""
        view = self.view
        every = f"{len(view.trace.bounds)}"
        listed = view.trace.word_probs.shape[-1]
        return f"the {listed} likeliest of {every}" if view.trace.word_cubes.size else every

    def name(self) -> str:
        """Whose choices they are, as the start of a sentence."""
        query, view = self.query, self.view
        head = "" if query.head is None else f", head {query.head}"
        if query.cube is not None:
            return f"Cube {query.cube}'s own attention"
        if query.row is None:
            return f"{NAMES[query.kind or 'question']}{head}"
        emitting = view.trace.answer_queries().tolist()
        said = [word for word in view.words if word["kind"] == "answer"]
        if query.row in emitting:
            text = said[emitting.index(query.row)]["text"].strip()
            return f"What produced “{text}”{head}"
        return f"“{view.words[query.row]['text'].strip()}”{head}"


OF_CHOICES = ("selection_maps", "selection_map", "heads_by_layer")
"""Figures of which cubes a query chose: of words that read everything they are as drawn."""


def seen_by(name: str, view: TraceView) -> TraceView:
    """What a figure of this name is of."""
    return view.drawn if name in OF_CHOICES else view


def query_table(view: TraceView, query: Query) -> dict[str, Any]:
    """{"of", "table" [L, C]}: in each layer, `table / of` of a query's decisions kept each cube."""
    layers = range(len(view.trace.computed_pairs))
    if query.kind == "video":
        return {"of": MOST_COUNTED, "table": packed_shares(view.kept("video"))}
    if query.cube is not None:
        return {"of": MOST_COUNTED, "table": packed(view.kept_by_cube(query.cube), 8)}
    shape = (len(layers), len(view.trace.bounds))
    kept = [kept_bits(view, layer, query) for layer in layers]
    return _counted(np.array([bits.sum(0) for bits in kept]).reshape(shape), _pairs(view, query))


def query_preview(view: TraceView, layer: int, query: Query) -> dict[str, Any] | None:
    """{"steps", "of", "table" [P, C]}: the same in one layer at each of P thresholds.

    None if the recorded scores do not say: the queries of video tokens, a run that did not choose
    by Top-p, or more cubes than PREVIEW_BYTES hold.
    """
    recorded = thresholds.recorded_top_p(view, "text", layer)
    if query.kind == "video" or query.cube is not None or recorded is None:
        return None
    cubes, pairs = len(view.trace.bounds), _pairs(view, query)
    for ladder in (thresholds.FINE, thresholds.COARSE, thresholds.THIN):
        steps = thresholds.with_recorded(ladder, recorded)
        if packed_size(len(steps) * cubes, _counting_bits(pairs)) <= PREVIEW_BYTES:
            break
    else:
        return None
    levels = thresholds.word_levels(view, layer, rows_of(view, query), steps)
    levels = levels[:, heads_of(view, query)].reshape(-1, cubes)
    counts = np.stack([(levels <= at).sum(0) for at in range(len(steps))])
    return {"steps": list(steps), **_counted(counts, pairs)}


def cube_table(view: TraceView, cube: int) -> dict[str, Any]:
    """u1 [L, Q, H]: which heads of each of a scene's queries kept one cube, in every layer."""
    rows = query_rows(view)
    layers = range(len(view.trace.computed_pairs))
    kept = [view.trace.word_mask_in(layer, rows)[..., cube] for layer in layers]
    return packed(np.array(kept, np.uint8), 1)


def counted_shares(shares: NDArray[Any], of: int) -> dict[str, Any]:
    """{"of", "table"} of shares that are counts out of `of`."""
    return _counted(np.rint(shares.astype(np.float64) * of).astype(np.int64), of)


def _counted(counts: NDArray[Any], of: int) -> dict[str, Any]:
    if of > MOST_COUNTED:
        return {"of": MOST_COUNTED, "table": packed_shares(counts / of)}
    return {"of": max(of, 1), "table": packed(counts, _counting_bits(of))}


def _counting_bits(of: int) -> int:
    """The size that holds a count of at most so many; larger ones are sent as shares of 8 bits."""
    return next((bits for bits in (1, 2, 4) if of < 2**bits), 8)


def _pairs(view: TraceView, query: Query) -> int:
    heads = 1 if query.head is not None else view.trace.word_probs.shape[2]
    return len(rows_of(view, query)) * heads
