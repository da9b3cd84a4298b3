"""What `adaspark bench gpu --parts decode` times: one layer's attention of one new token.

Every way is captured in a CUDA graph over several layers' keys, more than the cache of the device
holds, so that neither launches nor that cache are measured. Choices are planted: the heads of a KV
group agree, so that their union is as dense as each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from adaspark.bench.gpu.conditions import DTYPE, GROUPS, HEADS, SCALE, WIDTH, seconds
from adaspark.bench.gpu.planted_selections import video_sequence
from adaspark.kernels.gpu import decode_attention, decode_selection
from adaspark.kernels.gpu.decode_keys import StepKeys

CUBE = 64
UNIONS = (0.1, 0.25, 0.5)
APART_BYTES = 2**30
"""Keys of all layers together: many times the cache of a device."""
ERROR_LIMIT = 2e-2
"""Of bf16 outputs of size 1, ours against PyTorch's."""


def decoding(tokens: int, repeats: int, device: torch.device) -> dict[str, Any]:
    """Milliseconds a layer: PyTorch's attention, our dense kernel, and the whole sparse step."""
    sequence = video_sequence(tokens, CUBE, device)
    drawn = _drawn(sequence.length, device)
    layers = StepKeys.by_slot(sequence, drawn, room=0, length=None)
    means = torch.randn(GROUPS, sequence.layout.cubes, WIDTH, device=device)
    query = torch.randn(HEADS, 1, WIDTH, device=device, dtype=DTYPE)

    def stock(known: StepKeys) -> Tensor:
        keys, values = known.keys[None], known.values[None]
        return scaled_dot_product_attention(query[None], keys, values, enable_gqa=True)

    def dense(known: StepKeys) -> Tensor:
        return decode_attention.attend(query, known, None, scale=SCALE)

    error = float((stock(layers[0])[0] - dense(layers[0])).abs().max())
    if not error <= ERROR_LIMIT:
        raise RuntimeError(f"dense decoding is {error:.1e} from PyTorch's: no figures")
    row: dict[str, Any] = {"decode tokens": tokens, "layers": len(layers)}
    row["sdpa ms"] = _milliseconds(stock, layers, repeats)
    row["dense ms"] = _milliseconds(dense, layers, repeats)
    for union in UNIONS:
        selected = _planted(sequence.layout.cubes, union, device)

        def sparse(known: StepKeys, selected: Tensor = selected) -> Tensor:
            # The choice is made, and thrown away: what is attended to is planted.
            decode_selection.kept(decode_selection.score(query, means, scale=SCALE), p=0.5)
            return decode_attention.attend(query, known, selected, scale=SCALE)

        row[f"sparse ms at {union}"] = _milliseconds(sparse, layers, repeats)
    return row


def _drawn(tokens: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Random keys and values [G, N, D] of as many layers as keep the device's cache out."""
    count = max(2, ceil(APART_BYTES / (4 * GROUPS * tokens * WIDTH)))
    generator = torch.Generator(device).manual_seed(0)
    shape = (count, 2, GROUPS, tokens, WIDTH)
    drawn = torch.randn(shape, device=device, dtype=DTYPE, generator=generator)
    return [(keys, values) for keys, values in drawn]


def _planted(cubes: int, union: float, device: torch.device) -> Tensor:
    """uint8 [H, 1, C]: each KV group attends to a share `union` of the cubes."""
    generator = torch.Generator(device).manual_seed(1)
    rank = torch.rand(GROUPS, cubes, device=device, generator=generator).argsort(-1).argsort(-1)
    chosen = (rank < round(union * cubes)).to(torch.uint8)
    return chosen.repeat_interleave(HEADS // GROUPS, 0)[:, None]


def _milliseconds(
    work: Callable[[StepKeys], object], layers: Sequence[StepKeys], repeats: int
) -> float:
    """Of one layer, on the device: a graph of all layers is replayed."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work(layers[0])  # compiles
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for known in layers:
            work(known)
    return seconds(graph.replay, max(repeats, 3)) * 1e3 / len(layers)
