"""What is drawn of words that read everything: where their attention lies. Ours.

With a `text_top_p` of 1 question and answer choose nothing, and every cube would be lit. The fewest
cubes that hold as much of a word's router weight as the video's own queries keep (`attn_top_p`)
say where it looks. Scene, layers, queries and the figures of `queries.OF_CHOICES` are those of such
words; densities, entropies, frames of data and what dense attention held are the run's own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from adaspark.method.config import AdaSparkConfig, TopP
    from adaspark.trace.trace import Trace

UNIT = np.float64(2.0**-24)
"""Every half float from 0 to 1 is a whole number of these."""
ONE = int(np.float16(1).view(np.int16))


def drawn_top_p(config: AdaSparkConfig | None) -> TopP | None:
    """The share of a word's attention that stands for it; None where words choose, or nothing
    does.
    """
    if config is None or config.attn_rule != "top_p":
        return None
    text = config.text_top_p
    reads_all = text is not None and min(_numbers(text)) >= 1
    return config.attn_top_p if reads_all and min(_numbers(config.attn_top_p)) < 1 else None


def _numbers(top_p: TopP) -> tuple[float, ...]:
    return top_p if isinstance(top_p, tuple) else (top_p,)


def drawn(trace: Trace) -> Trace:
    """The trace itself, or where its words read everything, one in which each head of a word kept
    the fewest cubes that hold `drawn_top_p` of its weight (as the rule top-p keeps them).
    """
    top_p = drawn_top_p(trace.meta.config)
    config = trace.meta.config
    if top_p is None or config is None or not trace.word_kept.size:
        return trace
    shares = top_p if isinstance(top_p, tuple) else (top_p,) * len(trace.word_kept)
    kept = np.stack([_nucleus(trace, layer, share) for layer, share in enumerate(shares)])
    meta = replace(trace.meta, config=replace(config, text_top_p=top_p))
    lit = replace(trace, word_kept=kept, meta=meta)
    if trace.word_heads.size:  # some cubes alone are listed: the counts of all are another table
        rows = range(kept.shape[1])
        heads = [lit.word_mask_in(layer, rows).sum(1, dtype=np.uint8) for layer in range(len(kept))]
        lit = replace(lit, word_heads=np.stack(heads))
    return lit


def _nucleus(trace: Trace, layer: int, share: float) -> NDArray[np.uint8]:
    """uint8 [W, H, B]: the bits of one layer; a share is of what was read. Ties go to the lower
    index.

    A real run has tens of millions of weights, and the first view waits for this: half floats are
    sorted by their codes, and summed as whole numbers of `UNIT`, which is exact.
    """
    bits: NDArray[np.uint8] = trace.word_kept[layer]
    if share >= 1:
        return bits
    read = np.unpackbits(bits, axis=-1, count=trace.word_probs.shape[-1])
    codes = np.clip(trace.word_probs[layer].view(np.int16), 0, ONE) * read.view(np.int8)
    ranked = np.sort(codes, axis=-1)[..., ::-1]
    held = np.cumsum(_units()[ranked], axis=-1, dtype=np.int64)
    needed = np.ceil(share * held[..., -1:])
    fewest = np.count_nonzero(held < needed, axis=-1, keepdims=True) + (needed > 0)
    lowest = np.take_along_axis(ranked, np.maximum(fewest - 1, 0), axis=-1)
    lit = codes >= lowest
    lit[fewest[..., 0] == 0] = False
    tied = np.nonzero(np.count_nonzero(lit, axis=-1) > fewest[..., 0])
    last = codes[tied] == lowest[tied]
    surplus = np.count_nonzero(lit[tied], axis=-1, keepdims=True) - fewest[tied]
    room = np.count_nonzero(last, axis=-1, keepdims=True) - surplus
    lit[tied] &= ~last | (np.cumsum(last, axis=-1) <= room)
    packed: NDArray[np.uint8] = np.packbits(lit, axis=-1)
    return packed


@cache
def _units() -> NDArray[np.int32]:
    """int32 [15361]: the half floats from 0 to 1 in `UNIT`, by their codes."""
    return (np.arange(ONE + 1, dtype=np.int16).view(np.float16) / UNIT).astype(np.int32)
