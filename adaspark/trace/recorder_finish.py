"""The end of a recording: what was recorded is reduced, packed and copied to the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.method.selection import entropy, normalised, normalised_entropy
from adaspark.method.sequence import SequenceMap
from adaspark.trace.meta import Counts
from adaspark.trace.trace import Trace

if TYPE_CHECKING:
    from adaspark.trace.recorder import Layer, Recorder


class Kept(NamedTuple):
    """The FFN choice of one layer in one part of the prompt, whose tokens begin at `start`.

    `kept` bool [V], `importance` fp32 [V], `ratios` fp32 [n].
    """

    start: int
    kept: Tensor
    importance: Tensor
    ratios: Tensor


def finish(recorder: Recorder, sequence: SequenceMap) -> None:
    """Fill the arrays of the recorder's trace."""
    layout, trace = sequence.layout, recorder.trace
    trace.meta.words = recorder.words
    trace.cube_from_token = layout.cube_from_token.cpu().numpy().astype(np.int32)
    trace.bounds = layout.bounds.numpy().astype(np.int32)
    trace.query_cubes = recorder.query_cubes.astype(np.int32)
    trace.frame_times = np.full((sum(grid[0] for grid in trace.meta.grids), 2), np.nan)
    _finish_attention(trace, recorder.layers, layout.cube_sizes.cpu().numpy())
    _finish_words(trace, recorder.layers)
    _finish_ffn(trace, recorder.layers, sequence)
    trace.meta.counts = Counts(
        tokens=len(sequence.video_positions) + recorder.prompt_words,
        text_tokens=recorder.prompt_words,
        weighed_pairs=sum(layer.weighed_pairs for layer in recorder.layers),
    )
    for name in ("computed_pairs", "executed_pairs", "causal_pairs"):
        counts = [getattr(layer, name) for layer in recorder.layers]
        setattr(trace, name, np.array(counts, np.int64))


def _finish_attention(trace: Trace, layers: list[Layer], sizes: NDArray[np.int64]) -> None:
    pairs = trace.meta.shape["heads"] * sizes[trace.query_cubes][:, None]
    share = [np.rint(layer.attended * 255 / pairs) for layer in layers]
    trace.kept_share = np.array(share, np.uint8)
    sums = torch.stack([layer.cube_sums for layer in layers], 1)  # [3, L, C]
    # 0 / 0 where a cube's queries had no choice: NaN, undefined.
    trace.cube_entropy, trace.cube_effective = (sums[:2] / sums[2]).numpy()


def _finish_words(trace: Trace, layers: list[Layer]) -> None:
    words = len(trace.words)
    heads, cubes = trace.meta.shape["heads"], len(trace.bounds)
    probs = np.zeros((len(layers), words, heads, cubes), np.float16)
    kept = np.zeros((len(layers), words, heads, cubes), bool)
    trace.word_entropy = np.full((len(layers), words), np.nan, np.float32)
    trace.word_effective = np.full((len(layers), words), np.nan, np.float32)
    for i, layer in enumerate(layers):
        for index, mass, chosen in _by_width(layer, words):
            seen = mass.shape[-1]
            probs[i, index, :, :seen] = mass.half().cpu().numpy()
            kept[i, index, :, :seen] = chosen.cpu().numpy()
            if seen > 1:
                nats = entropy(mass)
                spread = normalised(nats, torch.tensor(seen)).mean(1)
                figures = torch.stack([spread, nats.exp().mean(1)]).cpu().numpy()
                trace.word_entropy[i, index], trace.word_effective[i, index] = figures
    trace.word_probs = probs
    trace.word_kept = np.packbits(kept, axis=-1)


def _by_width(layer: Layer, words: int) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
    """Index [m], probabilities and choices [m, H, C] of the words that see as many cubes, together:
    each word of an answer comes by itself. Those from `words` on were taken back.
    """
    parts: dict[int, list[tuple[NDArray[Any], Tensor, Tensor]]] = {}
    for part in layer.words:
        parts.setdefault(part[1].shape[-1], []).append(part)
    for alike in parts.values():
        index = np.concatenate([index for index, _, _ in alike])
        stay = index < words
        mass = torch.cat([mass.transpose(0, 1) for _, mass, _ in alike])
        chosen = torch.cat([chosen.transpose(0, 1) for _, _, chosen in alike])
        if not stay.all():
            rows = torch.from_numpy(stay.nonzero()[0]).to(mass.device)
            index, mass, chosen = index[stay], mass[rows], chosen[rows]
        yield index, mass, chosen


def _finish_ffn(trace: Trace, layers: list[Layer], sequence: SequenceMap) -> None:
    video, device = len(sequence.video_positions), sequence.video_positions.device
    if any(sum(len(part.kept) for part in layer.ffn) < video or not layer.ffn for layer in layers):
        return
    kept = torch.stack([torch.cat([p.kept for p in layer.ffn]).to(device) for layer in layers])
    weights = torch.stack(
        [torch.cat([p.importance for p in layer.ffn]).to(device) for layer in layers]
    )
    ratios = torch.stack([_placed(layer.ffn, sequence).to(device) for layer in layers])
    trace.ffn_kept = np.packbits(kept.cpu().numpy(), axis=-1)
    # What a skipped token would do is unknown.
    moved = ratios[:, sequence.video_positions].masked_fill(~kept, torch.nan)
    trace.ffn_ratio = moved.cpu().numpy().astype(np.float16)
    text = ratios[:, sequence.text_positions]
    trace.text_ffn_ratio = text.cpu().numpy().astype(np.float16)
    trace.ffn_importance = weights.cpu().numpy().astype(np.float16)
    table, sizes = sequence.layout.tokens_from_cube, sequence.layout.cube_sizes
    is_cut = any(len(layer.ffn) > 1 for layer in layers)
    spread = []
    for mass in weights:
        row = mass[table.clamp_min(0)].masked_fill(table < 0, 0.0)
        if is_cut:  # a cube that came in two parts has shares of each
            row = row / row.sum(-1, keepdim=True)
        spread.append(normalised_entropy(row, sizes))
    trace.ffn_entropy = torch.stack(spread).cpu().numpy()


def _placed(parts: list[Kept], sequence: SequenceMap) -> Tensor:
    """fp32 [N]: each part's ratios where its tokens stand; NaN where none was computed."""
    if len(parts) == 1 and len(parts[0].ratios) == sequence.length:
        return parts[0].ratios
    ratios = parts[0].ratios.new_full((sequence.length,), torch.nan)
    for part in parts:
        ratios[part.start : part.start + len(part.ratios)] = part.ratios
    return ratios
