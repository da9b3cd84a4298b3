"""The record of one run's decisions (cubes, tokens, entropies) and its file format.

Axes: L layers, V video tokens, X text tokens of the prompt, C cubes, Q sampled query cubes,
W words (text tokens), H query heads, K cubes listed of a word and head, B bytes of bits, S slices
of all videos, F frames of a slice. numpy only: the viewer reads this.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaspark.errors import UserError
from adaspark.trace.meta import Meta, Word
from adaspark.trace.notebook import NotebookViews
from adaspark.trace.unreadable import UNREADABLE, header_in, why_not

SCHEMA_VERSION = 1
QUERY_TABLE_BYTES = 32 * 2**20


@dataclass(frozen=True)
class LayerStats:
    """One layer in four numbers. Entropies are normalised to [0, 1]; NaN if undefined, as what is
    of attention is in a layer that has none.
    """

    attention_density: float
    ffn_density: float
    attention_entropy: float
    ffn_entropy: float


def _array(dtype: str, shape: str, *, is_optional: bool = False) -> Any:
    """An array field; its dtype and axes are part of the file format. Files written before an
    optional one was recorded load with an empty array.
    """
    none = (0,) * len(shape.split())
    return field(
        default_factory=lambda: np.zeros(none, dtype),
        metadata={"dtype": dtype, "shape": shape, "is_optional": is_optional},
    )


@dataclass(eq=False, repr=False)
class Trace(NotebookViews):
    """The record of one prompt's prefill and of the words generated after it.

    `meta` is the header: settings, words, clip, counts, timings, versions.
    """

    meta: Meta = field(default_factory=Meta)
    cube_from_token: NDArray[np.int32] = _array("int32", "V")
    bounds: NDArray[np.int32] = _array("int32", "C 7")
    """video, first and end slice, row, column of each cube (ends exclusive)"""
    frame_times: NDArray[np.float64] = _array("float64", "S F")
    """presentation times in seconds of the frames of each slice; NaN if unknown"""
    query_cubes: NDArray[np.int32] = _array("int32", "Q")
    """the query cubes of `kept_share`: all, or an even sample if the table would pass 32 MB"""
    kept_share: NDArray[np.uint8] = _array("uint8", "L Q C")
    """share of (head, token) pairs of a query cube that attend to a key cube, x 255"""
    word_kept: NDArray[np.uint8] = _array("uint8", "L W H B")
    """chosen cubes of each text token and head, one bit a listed cube (np.packbits order)"""
    word_probs: NDArray[np.float16] = _array("float16", "L W H K")
    """probabilities of the listed cubes"""
    word_cubes: NDArray[np.int32] = _array("int32", "L W H K", is_optional=True)
    """the listed cubes, -1 for none; empty if all C are, in order (see `meta.left_out`)"""
    word_heads: NDArray[np.uint8] = _array("uint8", "L W C", is_optional=True)
    """how many heads chose each cube; empty if all cubes are listed"""
    dense_mass: NDArray[np.float16] = _array("float16", "L W H K", is_optional=True)
    """share of dense attention to the video on the listed cubes, measured by the true keys; NaN if
    unknown; empty in a run that drops cubes"""
    ffn_kept: NDArray[np.uint8] = _array("uint8", "L B")
    """video tokens that passed through the FFN, one bit a token"""
    ffn_importance: NDArray[np.float16] = _array("float16", "L V")
    """share of its cube's norm that each token holds"""
    ffn_ratio: NDArray[np.float16] = _array("float16", "L V", is_optional=True)
    """norm of the FFN's output over the norm of its input residual; NaN if a token skipped it"""
    text_ffn_ratio: NDArray[np.float16] = _array("float16", "L X", is_optional=True)
    """the same of the prompt's text tokens, in order"""
    cube_entropy: NDArray[np.float32] = _array("float32", "L C")
    """normalised attention entropy, mean over heads and tokens of a query cube"""
    cube_effective: NDArray[np.float32] = _array("float32", "L C")
    """exp(entropy), the effective number of cubes, mean likewise"""
    word_entropy: NDArray[np.float32] = _array("float32", "L W")
    word_effective: NDArray[np.float32] = _array("float32", "L W")
    ffn_entropy: NDArray[np.float32] = _array("float32", "L C")
    computed_pairs: NDArray[np.int64] = _array("int64", "L")
    """(query, key) pairs attended in the prefill, summed over heads"""
    executed_pairs: NDArray[np.int64] = _array("int64", "L")
    """pairs the kernel really computed, unions of rows and padding included"""
    causal_pairs: NDArray[np.int64] = _array("int64", "L")
    """pairs dense attention has in the same prefill, summed over heads"""

    @property
    def attention_density(self) -> float:
        """Computed / causal (query, key) pairs of the prefill, over all tokens and layers."""
        return _ratio(self.computed_pairs.sum(), self.causal_pairs.sum())

    @property
    def ffn_density(self) -> float:
        """Video tokens that pass through the FFN / video tokens, over all layers."""
        kept = self.ffn_mask()
        return float(kept.mean()) if kept.size else 1.0

    @property
    def layers(self) -> list[LayerStats]:
        """The statistics of each layer."""
        kept = self.ffn_mask()
        attends = self.meta.attention_layers or range(len(self.computed_pairs))
        return [
            LayerStats(
                attention_density=_ratio(self.computed_pairs[i], self.causal_pairs[i])
                if i in attends
                else float("nan"),
                ffn_density=float(kept[i].mean()) if kept[i].size else 1.0,
                attention_entropy=_mean(self.cube_entropy[i]),
                ffn_entropy=_mean(self.ffn_entropy[i]),
            )
            for i in range(len(self.computed_pairs))
        ]

    @property
    def words(self) -> list[Word]:
        """The text tokens in order; of their texts see `token_text.token_texts`."""
        return self.meta.words

    def answer_queries(self) -> NDArray[np.int64]:
        """int64 [A]: for each answer word, the row of the word tables whose query produced it.

        A word is the output of the query before it: the first word that of the prompt's last token.
        The row at the word's own index is what it attended to after it was said. -1 if the query
        before was not recorded.
        """
        words = self.words[: self.word_kept.shape[1]]
        rows = {word.position: row for row, word in enumerate(words) if word.position >= 0}
        said = [word.position for word in words if word.kind == "answer"]
        return np.array([rows.get(position - 1, -1) for position in said], np.int64)

    def ffn_mask(self) -> NDArray[np.bool_]:
        """bool [L, V]: which video tokens passed through the FFN."""
        return _unpacked(self.ffn_kept, len(self.cube_from_token))

    def word_mask(self) -> NDArray[np.bool_]:
        """bool [L, W, H, C]: which cubes each text token chose, of those that are listed."""
        layers, words = self.word_kept.shape[:2]
        every = range(words)
        masks = [self.word_mask_in(layer, every) for layer in range(layers)]
        empty = np.zeros((0, words, self.word_kept.shape[2], len(self.bounds)), bool)
        return np.stack(masks) if masks else empty

    def word_mask_in(self, layer: int, rows: Sequence[int]) -> NDArray[np.bool_]:
        """bool [n, H, C]: `word_mask` of one layer and some words (all would be large)."""
        kept = _unpacked(self.word_kept[layer, rows], self.word_probs.shape[-1])
        return self._spread(layer, rows, kept, np.zeros((), bool))

    def word_mass_in(self, layer: int, rows: Sequence[int]) -> NDArray[np.float64]:
        """float64 [n, H, C]: the probabilities of the cubes in one layer, for some words. Cubes
        that are not listed share what is left evenly.
        """
        return self._mass_of_all(layer, rows, self.word_probs)

    def dense_mass_in(self, layer: int, rows: Sequence[int]) -> NDArray[np.float64]:
        """float64 [n, H, C]: what dense attention gave each cube in one layer, of some words; NaN
        if it was not recorded. Cubes that are not listed share what is left evenly.
        """
        if not self.dense_mass.size:
            shape = len(rows), self.word_kept.shape[2], len(self.bounds)
            return np.full(shape, np.nan)
        return self._mass_of_all(layer, rows, self.dense_mass)

    def _mass_of_all(
        self, layer: int, rows: Sequence[int], listed: NDArray[np.float16]
    ) -> NDArray[np.float64]:
        mass = listed[layer, rows].astype(np.float64)
        if not self.word_cubes.size:
            return mass
        others = max(len(self.bounds) - mass.shape[-1], 1)
        left = (1 - mass.sum(-1, keepdims=True)).clip(0) * mass.any(-1, keepdims=True)
        return self._spread(layer, rows, mass, left / others)

    def word_share_in(self, layer: int, rows: Sequence[int]) -> NDArray[np.float32]:
        """float32 [n, C]: the share of heads in which a word chose each cube: of all cubes."""
        if self.word_heads.size:
            heads = np.float32(self.word_kept.shape[2])
            return np.asarray(self.word_heads[layer, rows] / heads, np.float32)
        return np.asarray(self.word_mask_in(layer, rows).mean(1, dtype=np.float32))

    def _spread(
        self, layer: int, rows: Sequence[int], values: NDArray[Any], others: NDArray[Any]
    ) -> NDArray[Any]:
        """[n, H, C] from `values` [n, H, K] of the listed cubes; `others` stands for the rest."""
        if not self.word_cubes.size:
            return values
        cubes = len(self.bounds)
        table = np.empty((*values.shape[:2], cubes + 1), values.dtype)  # the last stands for none
        table[...] = others
        np.put_along_axis(table, self.word_cubes[layer, rows] % (cubes + 1), values, -1)
        return table[..., :cubes]

    def save(self, path: str | Path) -> None:
        """Write a compressed NPZ: the arrays by name, `meta` and the schema version as JSON."""
        header = json.dumps({"schema_version": SCHEMA_VERSION, **self.meta.to_dict()})
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "meta"}
        with Path(path).open("wb") as file:
            np.savez_compressed(file, meta=np.array(header), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read a file written by `save`. Raises UserError, one sentence, for any other: an unknown
        schema version is refused by name.
        """
        try:
            with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                header = header_in(file)
                version = header.pop("schema_version", None)
                if version != SCHEMA_VERSION:
                    raise UserError(
                        f"it has trace schema {version!r}, this version reads "
                        f"{SCHEMA_VERSION}; record the run again."
                    )
                expected = [f for f in fields(cls) if f.name != "meta"]
                kept = [f for f in expected if f.name in file or not f.metadata["is_optional"]]
                arrays = {f.name: file[f.name] for f in kept}
                meta = Meta.from_dict(header)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        except UNREADABLE as error:
            why = why_not(Path(path), error)
            raise UserError(f"{path} is not a trace of AdaSpark: {why}.") from error
        return cls(meta=meta, **arrays)

    def with_meta(self, **values: Any) -> Trace:
        """Set what only the caller knows (times, answer, versions); returns itself."""
        self.meta = replace(self.meta, **values)
        return self


def _unpacked(bits: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    if bits.shape[-1] == 0:
        return np.zeros((*bits.shape[:-1], count), bool)
    return np.unpackbits(bits, axis=-1, count=count).astype(bool)


def _ratio(part: Any, whole: Any) -> float:
    return float(part) / float(whole) if whole else 1.0


def _mean(values: NDArray[Any]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
