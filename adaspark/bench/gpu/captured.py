"""What `adaspark bench gpu --parts captured` times: the selections of the bundled model.

Its prefill of SparkWorld scenes runs on the CPU; each layer's queries and keys then choose on the
GPU, and the selections of its 4 heads, 7 times each, are those of the 28 heads that attend.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from adaspark.bench.cpu.prompts import bundled
from adaspark.bench.gpu.conditions import DTYPE, HEADS, Arena
from adaspark.bench.gpu.planted_selections import chosen, pairs_of
from adaspark.kernels.backend import Implementation, fastest_attention, use_backend
from adaspark.method import ffn
from adaspark.method.config import AdaSparkConfig, Cube
from adaspark.method.sequence import SequenceMap
from adaspark.model.qwen import restore, sparsify

CUBE: Cube = (4, 4, 4)
TOP_P = (0.9, 0.7)
Captured = tuple[Tensor, Tensor, SequenceMap, float]


def captured(tokens: int, repeats: int, device: torch.device) -> Iterator[dict[str, Any]]:
    """A row for each threshold and layer, as `Arena.attending`, and the best dense time."""
    bench = bundled()
    for top_p in TOP_P:
        for layer, call in enumerate(_captured(bench, tokens, top_p)):
            queries, keys, known, scale = call
            sequence = _moved(known, device)
            video = sequence.layout.tokens
            arena = Arena.of(video, device, text=sequence.length - video)
            selections, pairs = [], 0
            moved = queries.to(device, DTYPE), keys.to(device, DTYPE), sequence
            for rows, words in chosen(*moved, _config(top_p), heads=HEADS, scale=scale):
                words = words.repeat_interleave(HEADS // len(words), 0)
                selections.append((rows, words))
                pairs += pairs_of(rows, words, sequence)
            row = arena.attending(sequence, selections, pairs, repeats)
            dense = min(arena.dense(repeats).values())
            rate = dense * row["density"] / row["attend"]
            yield {"captured tokens": video, "p": top_p, "layer": layer, **row} | {
                "dense": dense,
                "rate": rate,
            }


def _config(top_p: float) -> AdaSparkConfig:
    return AdaSparkConfig(CUBE, top_p, 1.0)


def _captured(bench: Any, tokens: int, top_p: float) -> list[Captured]:
    """What each layer's attention is called with, in one prefill."""
    calls: list[Captured] = []

    def keep(queries: Tensor, keys: Tensor, values: Tensor, sequence: Any, **given: Any) -> Any:
        calls.append((queries, keys, sequence, given["scale"]))
        compute = fastest_attention(queries, keys, values)
        return compute(queries, keys, values, sequence, **given)

    sparsify(bench.model, _config(top_p))
    with use_backend(Implementation(keep, ffn.by_torch)):
        bench.prefill(tokens)()
    restore(bench.model)
    return calls


def _moved(sequence: SequenceMap, device: torch.device) -> SequenceMap:
    is_video = torch.zeros(sequence.length, dtype=torch.bool)
    is_video[sequence.video_positions] = True
    return SequenceMap.build(is_video.to(device), sequence.layout.grids, CUBE)
