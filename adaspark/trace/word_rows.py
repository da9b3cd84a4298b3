"""What text tokens chose, small enough to keep: probabilities in half precision, choices as bits.

A word's table of an hour of video would be megabytes, so that long ones list the likeliest cubes of
each head alone; how many heads chose a cube is kept of all. Axes: L layers, W words, n of them,
H query heads, C cubes, K listed ones, B bytes of bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.method.selection import entropy, normalised
from adaspark.trace.on_host import on_host

WORD_BYTES = 2**20
"""Bounds one word's table in all layers: beyond it, the likeliest cubes are listed."""
TABLE_BYTES = 2**26
"""Bounds the tables of all words together."""
LISTED_BYTES = 6
"""A listed cube's probability and number."""
NO_CUBE = -1
"""Stands in the list of a word that sees fewer cubes than are listed."""


class WordRows(NamedTuple):
    """What words chose, `places` int64 [n], in consecutive layers from `layer` on: on its device.

    `cubes` int32 [L, n, H, K] lists the likeliest, and `probs` fp16, `kept` uint8
    [L, n, H, B] (a bit each, as `np.packbits`) are theirs; None: all C, in order. `heads` uint8
    [L, n, C] counts those that chose a cube, and `figures` fp32 [2, L, n] are the words' normalised
    entropy and effective cubes; NaN if there was no choice. The words see the first `seen` cubes.
    """

    places: NDArray[np.int64]
    layer: int
    seen: int
    probs: Tensor
    kept: Tensor
    cubes: Tensor | None
    heads: Tensor
    figures: Tensor


class Told(NamedTuple):
    """Of what tables tell: how many layers, and which cubes, bool [C] on the host; None: all."""

    layers: int
    shown: Tensor | None

    def spatial(self, table: Tensor) -> Tensor:
        """A table [..., C] of cubes that are told of."""
        if self.shown is None:
            return table
        told = self.shown[: table.shape[-1]].nonzero().flatten()
        return table.index_select(-1, told.to(table.device))


def listed(cubes: int, rows: int, words: int = 1) -> int:
    """How many of a row's cubes are listed, if a word has so many (layer, head) rows: all, unless
    the tables would pass their bounds.
    """
    room = min(WORD_BYTES, TABLE_BYTES // max(words, 1)) // max(rows, 1)
    return cubes if 2 * cubes <= room else min(cubes, max(1, room // LISTED_BYTES))


def word_rows(
    places: NDArray[np.int64], layer: int, probs: Tensor, kept: Tensor, *, of: Told
) -> WordRows:
    """From probabilities fp32 and choices bool [L, n, H, C] of some of the model's layers."""
    *_, heads, seen = probs.shape
    nats = entropy(probs)
    if seen > 1:
        spread = normalised(nats, seen).mean(-1)
        figures = torch.stack([spread, nats.exp().mean(-1)])
    else:
        figures = nats.new_full((2, *nats.shape[:2]), torch.nan)
    probs, kept = of.spatial(probs), of.spatial(kept)
    counts = kept.sum(-2, dtype=torch.uint8)
    cubes, seen = None, probs.shape[-1]
    if (most := listed(seen, of.layers * heads)) < seen:
        probs, cubes = probs.topk(most, dim=-1)
        kept, cubes = kept.gather(-1, cubes), cubes.int()
    return WordRows(places, layer, seen, probs.half(), packed(kept), cubes, counts, figures)


def reduced(
    parts: Sequence[tuple[NDArray[np.int64], Tensor, Tensor]], layer: int, *, of: Told
) -> Iterator[WordRows]:
    """Of one layer's words, each part with its index [m], probabilities and choices [H, m, C]:
    those that see as many cubes together, for each word of an answer comes by itself.
    """
    by_width: dict[int, list[tuple[NDArray[np.int64], Tensor, Tensor]]] = {}
    for part in parts:
        by_width.setdefault(part[1].shape[-1], []).append(part)
    for alike in by_width.values():
        places = np.concatenate([places for places, _, _ in alike])
        probs = torch.cat([probs.transpose(0, 1) for _, probs, _ in alike])[None]
        kept = torch.cat([kept.transpose(0, 1) for _, _, kept in alike])[None]
        yield word_rows(places, layer, probs, kept, of=of)


def packed(mask: Tensor) -> Tensor:
    """uint8 [..., B] of bool [..., C]: the bits of `np.packbits`, made on the mask's device."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.packbits(mask.numpy(), axis=-1))
    return packed_by_torch(mask)


def packed_by_torch(mask: Tensor) -> Tensor:
    """The same on any device; on the CPU numpy is an order of magnitude faster."""
    padded = torch.nn.functional.pad(mask, (0, -mask.shape[-1] % 8))
    of_bytes = padded.view(*mask.shape[:-1], -1, 8)
    shift = torch.arange(7, -1, -1, dtype=torch.uint8, device=mask.device)
    return (of_bytes.byte() << shift).sum(-1, dtype=torch.uint8)


class WordTables(NamedTuple):
    """A trace's arrays of that name, all [L, W, ...]; and the mean mass of a row that they hold."""

    word_probs: NDArray[np.float16]
    word_kept: NDArray[np.uint8]
    word_cubes: NDArray[np.int32]
    word_heads: NDArray[np.uint8]
    word_entropy: NDArray[np.float32]
    word_effective: NDArray[np.float32]
    mass: NDArray[np.float32]


def tables(
    parts: Sequence[WordRows], shape: tuple[int, int, int, int], device: torch.device
) -> WordTables:
    """The tables [L, W, H, C] of all parts, put together on the device and copied once each.

    Words that nothing is known of have chosen nothing. Of words from W on, which were taken back,
    nothing stays.
    """
    layers, words, heads, cubes = shape
    most = listed(cubes, layers * heads, words)
    most = min([most, *(part.cubes.shape[-1] for part in parts if part.cubes is not None)])
    is_listed = most < cubes
    probs = torch.zeros(layers, words, heads, most, dtype=torch.float16, device=device)
    bits = torch.zeros(layers, words, heads, ceil(most / 8), dtype=torch.uint8, device=device)
    figures = torch.full((2, layers, words), torch.nan, device=device)
    lists = (layers, words, heads, most) if is_listed else (0, 0, 0, 0)
    numbers = torch.full(lists, NO_CUBE, dtype=torch.int32, device=device)
    counted = (layers, words, cubes) if is_listed else (0, 0, 0)
    chose = torch.zeros(counted, dtype=torch.uint8, device=device)
    for part in _remaining(parts, words, device):
        at = slice(part.layer, part.layer + len(part.probs))
        index = torch.from_numpy(part.places).to(device)
        values, kept, of_list = (t.to(device) for t in _with(part, most))
        width = values.shape[-1]
        probs[at, :, :, :width].index_copy_(1, index, values)
        bits[at, :, :, : kept.shape[-1]].index_copy_(1, index, kept)
        figures[:, at].index_copy_(2, index, part.figures.to(device))
        if is_listed:
            numbers[at, :, :, :width].index_copy_(1, index, of_list)
            chose[at, :, : part.seen].index_copy_(1, index, part.heads.to(device))
    known = probs.sum(-1, dtype=torch.float32)
    mass = known.sum() / (known > 0).sum().clamp_min(1)
    return WordTables(*on_host([probs, bits, numbers, chose, *figures, mass]))


def _remaining(parts: Sequence[WordRows], words: int, device: torch.device) -> Iterable[WordRows]:
    for part in parts:
        stay = part.places < words
        if not stay.any():
            continue
        if stay.all():
            yield part
            continue
        rows = torch.from_numpy(stay.nonzero()[0]).to(part.probs.device)
        yield part._replace(
            places=part.places[stay],
            probs=part.probs[:, rows],
            kept=part.kept[:, rows],
            cubes=None if part.cubes is None else part.cubes[:, rows],
            heads=part.heads[:, rows],
            figures=part.figures[:, :, rows],
        )


def _with(part: WordRows, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """A part's probabilities, bits and cubes with `most` of them, in the order of the list."""
    if part.cubes is not None:
        return part.probs[..., :most], part.kept[..., : ceil(most / 8)], part.cubes[..., :most]
    if most >= part.seen:
        every = torch.arange(part.seen, dtype=torch.int32, device=part.probs.device)
        return part.probs, part.kept, every.expand_as(part.probs)
    values, cubes = part.probs.topk(most, dim=-1)
    kept = unpacked(part.kept, part.seen).gather(-1, cubes)
    return values, packed(kept), cubes.int()


def unpacked(bits: Tensor, count: int) -> Tensor:
    """bool [..., count], the inverse of `packed`."""
    shift = torch.arange(7, -1, -1, dtype=torch.uint8, device=bits.device)
    return (bits[..., None] >> shift & 1).bool().flatten(-2)[..., :count]
