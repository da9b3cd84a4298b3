"""The end of a recording: what was recorded is reduced, packed and copied to the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.method.ffn import inertia
from adaspark.method.selection import normalised_entropy
from adaspark.method.token_positions import TokenPositions
from adaspark.trace.meta import Counts, LeftOut
from adaspark.trace.on_host import on_host
from adaspark.trace.recorder_layer import Kept, Layer
from adaspark.trace.trace import Trace
from adaspark.trace.word_rows import WordTables, packed, tables

if TYPE_CHECKING:
    from adaspark.trace.recorder import Recorder


def finish(recorder: Recorder, sequence: TokenPositions) -> None:
    """Fill the arrays of the recorder's trace.

    Cubes that are of text (the times of slices) have no place on a picture: they count among the
    pairs and in the entropies, and are left out of what is said of each cube.
    """
    layout, trace = sequence.layout, recorder.trace
    video, shown = sequence.video_alone, layout.is_spatial.numpy()
    trace.meta.words = recorder.words
    trace.cube_from_token = video.layout.cube_from_token.cpu().numpy().astype(np.int32)
    trace.bounds = video.layout.bounds.numpy().astype(np.int32)
    trace.frame_times = np.full((sum(grid[0] for grid in trace.meta.grids), 2), np.nan)
    _finish_attention(recorder, layout.cube_sizes.cpu().numpy(), shown)
    _finish_words(recorder, sequence.video_positions.device)
    _finish_ffn(trace, recorder.sums.layers, sequence)
    stamps = len(sequence.video_positions) - len(video.video_positions)
    trace.meta.counts = Counts(
        tokens=len(sequence.video_positions) + recorder.prompt_words,
        text_tokens=recorder.prompt_words + stamps,
        weighed_pairs=sum(layer.weighed_pairs for layer in recorder.sums.layers),
    )
    for name in ("computed_pairs", "executed_pairs", "causal_pairs"):
        counts = [getattr(layer, name) for layer in recorder.sums.layers]
        setattr(trace, name, np.array(counts, np.int64))


def _finish_attention(
    recorder: Recorder, sizes: NDArray[np.int64], shown: NDArray[np.bool_]
) -> None:
    trace, layers, rows = recorder.trace, recorder.sums.layers, shown[recorder.sums.query_cubes]
    every = shown.all()
    asking = recorder.sums.query_cubes[rows]
    pairs = torch.from_numpy(trace.meta.shape["heads"] * sizes[asking])[:, None]
    trace.kept_share = np.zeros((len(layers), len(asking), shown.sum()), np.uint8)
    # The same memory for all layers.
    counted = torch.empty(trace.kept_share.shape[1:], dtype=torch.float64)
    for share, layer in zip(trace.kept_share, layers, strict=True):
        attended = layer.attended if every else layer.attended[rows][:, shown]
        counted.copy_(torch.from_numpy(attended)).mul_(255).div_(pairs).round_()
        torch.from_numpy(share).copy_(counted)
    trace.query_cubes = (shown.cumsum() - 1)[asking].astype(np.int32)
    sums = np.stack([layer.cube_sums for layer in layers], 1)  # [3, L, C]
    with np.errstate(invalid="ignore"):  # 0 / 0 where a cube's queries had no choice: undefined
        found = (sums[:2] / sums[2]).astype(np.float32)
    trace.cube_entropy, trace.cube_effective = found[..., shown]


def _finish_words(recorder: Recorder, device: torch.device) -> None:
    trace = recorder.trace
    heads, cubes = trace.meta.shape["heads"], len(trace.bounds)
    shape = (len(recorder.sums.layers), len(trace.words), heads, cubes)
    found = tables(recorder.word_rows, shape, device)
    for name in WordTables._fields[:-1]:
        setattr(trace, name, getattr(found, name))
    trace.dense_mass = recorder.dense.table(shape, trace.word_cubes)
    trace.meta.left_out = _left_out(found) if found.word_cubes.size else None


def _left_out(found: WordTables) -> LeftOut:
    chosen = int(found.word_heads.sum(dtype=np.int64))
    return LeftOut(
        cubes=found.word_probs.shape[-1],
        mass=max(0.0, 1 - float(found.mass)) if found.mass else 0.0,
        choices=chosen - int(np.bitwise_count(found.word_kept).sum(dtype=np.int64)),
    )


def _finish_ffn(trace: Trace, layers: list[Layer], whole: TokenPositions) -> None:
    sequence = whole.video_alone
    video, device = len(sequence.video_positions), sequence.video_positions.device
    if any(sum(len(part.kept) for part in layer.ffn) < video or not layer.ffn for layer in layers):
        return
    kept, weights = (
        torch.stack([_joined(layer.ffn, name).to(device) for layer in layers])
        for name in ("kept", "importance")
    )
    outputs, streams = (
        torch.stack([_placed(layer.ffn, name, sequence).to(device) for layer in layers])
        for name in ("moved", "stream")
    )
    ratios = inertia(outputs, streams)
    # What a skipped token would do is unknown.
    moved = ratios[:, sequence.video_positions].masked_fill(~kept, torch.nan)
    text = ratios[:, whole.text_positions]
    is_cut = any(sum(len(part.kept) > 0 for part in layer.ffn) > 1 for layer in layers)
    spread = _token_entropies(weights, sequence, is_cut=is_cut)
    (
        trace.ffn_kept,
        trace.ffn_ratio,
        trace.text_ffn_ratio,
        trace.ffn_importance,
        trace.ffn_entropy,
    ) = on_host([packed(kept), moved.half(), text.half(), weights.half(), spread])


def _token_entropies(weights: Tensor, sequence: TokenPositions, *, is_cut: bool) -> Tensor:
    """fp32 [L, C]: of the shares [L, V] that tokens have of their cubes, normalised."""
    table, sizes = sequence.layout.tokens_from_cube, sequence.layout.cube_sizes
    mass = weights[:, table.clamp_min(0)].masked_fill(table < 0, 0.0)
    if is_cut:  # a cube that came in two parts has shares of each
        mass = mass / mass.sum(-1, keepdim=True)
    return normalised_entropy(mass, sizes)


def _joined(parts: list[Kept], name: str) -> Tensor:
    """[V]: of the video tokens of all parts; a single one's, the usual case, are not copied."""
    found: list[Tensor] = [getattr(part, name) for part in parts]
    return torch.cat(found) if len(found) > 1 else found[0]


def _placed(parts: list[Kept], name: str, sequence: TokenPositions) -> Tensor:
    """fp32 [N]: each part's norms where its tokens stand; NaN where none was computed."""
    norms: list[Tensor] = [getattr(part, name) for part in parts]
    if len(parts) == 1 and len(norms[0]) == sequence.length:
        return norms[0]
    placed = norms[0].new_full((sequence.length,), torch.nan)
    for part, found in zip(parts, norms, strict=True):
        placed[part.start : part.start + len(found)] = found
    return placed
