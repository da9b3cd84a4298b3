"""The optimizer of training, and what number format it can use."""

from __future__ import annotations

import torch
from torch import nn


def build_optimizer(model: nn.Module, heads: nn.Module, learning_rate: float) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices alone."""
    named = [*model.named_parameters(), *heads.named_parameters()]
    matrices = [p for n, p in named if p.ndim > 1 and "embed_tokens" not in n]
    others = [p for n, p in named if p.ndim <= 1 or "embed_tokens" in n]
    groups = [
        {"params": matrices, "weight_decay": 0.02},
        {"params": others, "weight_decay": 0.0},
    ]
    fused = next(model.parameters()).is_cuda
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=fused)


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products run in hardware there."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
