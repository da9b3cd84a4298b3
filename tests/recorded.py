"""Recordings of a tiny model, and a spy on what its method was given."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaspark.kernels import backend
from adaspark.method import reference
from adaspark.method.rules import top_p
from adaspark.method.sequence import SequenceMap
from adaspark.trace.trace import Trace

GRIDS = [(3, 2, 4), (1, 3, 2)]


P = 0.6


HEADS, LAYERS = 4, 2


class Spy:
    """The tensors that the method was given, and what the slow reference makes of them."""

    def __init__(self) -> None:
        self.attended: list[tuple[Tensor, Tensor, SequenceMap]] = []
        self.ffns: list[tuple[Tensor, Tensor]] = []

        def attention_spy(q: Tensor, k: Tensor, v: Tensor, s: SequenceMap, **options: Any) -> Any:
            self.attended.append((q.clone(), k.clone(), s))
            return backend.fastest_attention(q, k, v)(q, k, v, s, **options)

        def ffn_spy(x: Tensor, norms: Tensor, s: SequenceMap, branch: Any, **options: Any) -> Any:
            _, kept, weights = reference.sparse_ffn(x, norms, s, branch, **options)
            self.ffns.append((kept, weights))
            return backend.fastest_ffn(x)(x, norms, s, branch, **options)

        self.backend = backend.Implementation(attention_spy, ffn_spy)

    def choices(self, layer: int) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
        """By position: probabilities [H, C], and the kept cubes likewise."""
        probs, kept = {}, {}
        for q, k, sequence in self.attended[layer::LAYERS]:
            layout, video = sequence.layout, sequence.video_positions
            means = torch.stack(
                [k[:, video[layout.cube_from_token == c]].mean(1) for c in range(layout.cubes)], 1
            )
            start = sequence.length - q.shape[1]
            for position in range(start, sequence.length):
                seen = layout.cube_from_token[video <= position].unique().tolist()
                own = layout.cube_from_token[video == position].tolist()
                candidates = [c for c in seen if c not in own]
                rows = [
                    reference.choose(
                        q[head, position - start],
                        means[head // (HEADS // k.shape[0])],
                        candidates,
                        rule=top_p(P),
                        scale=q.shape[-1] ** -0.5,
                    )
                    for head in range(HEADS)
                ]
                probs[position] = np.array([mass for mass, _ in rows])
                kept[position] = np.array([[c in s for c in range(layout.cubes)] for _, s in rows])
        return probs, kept


def assert_same(one: Trace, other: Trace) -> None:
    assert one.meta == other.meta
    for field in fields(Trace):
        if field.name != "meta":
            mine, theirs = getattr(one, field.name), getattr(other, field.name)
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
