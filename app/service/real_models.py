"""What a video would take with Qwen2.5-VL itself: tokens, memory, seconds at this pace."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from adaspark.trace.cost import flops
from adaspark.video.sampling import Sampling
from app.service.messages import ModelNeeds
from app.service.time_estimates import TEXT_TOKENS

BYTES_PER_NUMBER = 2  # bfloat16


@dataclass(frozen=True)
class Published:
    """A published checkpoint: its parameters, and the shape of its language model."""

    parameters: float
    shape: dict[str, int]


PUBLISHED = {
    "Qwen/Qwen2.5-VL-3B-Instruct": Published(
        3.75e9,
        {"layers": 36, "hidden": 2048, "intermediate": 11008, "heads": 16, "kv_heads": 2},
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": Published(
        8.29e9,
        {"layers": 28, "hidden": 3584, "intermediate": 18944, "heads": 28, "kv_heads": 4},
    ),
}
"""From their config.json; a head has 128 numbers."""
HEAD_DIM = 128


def needs(info: Any, secs_per_flop: float) -> list[ModelNeeds]:
    """For each published model, of a video that was probed: visual tokens by Qwen's own rule,
    bytes of weights and of the keys and values, FLOPs of a dense prefill, and its seconds if this
    machine computed at `secs_per_flop` (0: not known yet).
    """
    from adaspark.video.clip import token_grid  # and with it torch, which a page does not wait for

    tokens = prod(token_grid(info, Sampling()))
    return [_needs(name, model, tokens, secs_per_flop) for name, model in PUBLISHED.items()]


def _needs(name: str, model: Published, tokens: int, secs_per_flop: float) -> ModelNeeds:
    shape = {**model.shape, "head_dim": HEAD_DIM}
    cached = 2 * shape["layers"] * shape["kv_heads"] * HEAD_DIM * (tokens + TEXT_TOKENS)
    dense = flops(shape, video_tokens=tokens, text_tokens=TEXT_TOKENS).dense.total
    return {
        "model": name,
        "video_tokens": tokens,
        "weight_bytes": BYTES_PER_NUMBER * model.parameters,
        "cache_bytes": float(BYTES_PER_NUMBER * cached),
        "dense_flops": dense,
        "seconds": dense * secs_per_flop or None,
    }
