"""When a GPU runs out of memory in an answer: what is freed, and how much would have fitted."""

from __future__ import annotations

import traceback
from typing import Any

import torch

SAFETY = 1.25
"""Room for what is not counted: scores, masks, fragments between tensors."""
_ROWS = 8
"""Rows of the hidden size that a layer holds at one time: residual stream, norms, projections."""


def free_bytes(error: BaseException, device: torch.device) -> int:
    """Free bytes of `device` once what led to `error`, which its traceback still holds, is gone."""
    traceback.clear_frames(error.__traceback__)
    if device.type != "cuda":
        return 0
    torch.cuda.empty_cache()
    return int(torch.cuda.mem_get_info(device)[0])


def token_bytes(config: Any, itemsize: int) -> float:
    """Bytes that a token takes in an answer, from a text configuration: keys and values, which a
    step of decoding holds once more, and the rows of one layer and its FFN.
    """
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    cached = 2 * config.num_hidden_layers * config.num_key_value_heads * width
    inner = getattr(config, "intermediate_size", None) or config.moe_intermediate_size
    values = 2 * cached + _ROWS * config.hidden_size + 3 * inner
    return SAFETY * itemsize * float(values)
