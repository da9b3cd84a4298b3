"""Norms, rotation and gate of a prompt's layers as one launch each, where a GPU computes them.

They stand in for the `forward` of transformers' own modules alone, inside a call of a prompt with
video, and call the projections as these do: quantised ones and adapters work on. Where a part that
is not called any more (a head's norm, the gate's function) has a hook, or is of another kind, the
module computes itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers.activations import ACT2FN

from adaspark.kernels import backend
from adaspark.model.cache_names import cache_in
from adaspark.model.step_modules import own_kind

Attend = Callable[..., tuple[Tensor, Any]]


def kernels_for(module: Any, kind: str, hidden: Tensor) -> Any:
    """The kernels, if `module` is transformers' own of a `kind` ("norm", "attention", "ffn"),
    nobody has put another `forward` in it, and they compute `hidden`; else None.
    """
    of: Any = type(module)
    if own_kind(of) != kind or "forward" in module.__dict__:
        return None
    if torch.is_autocast_enabled(hidden.device.type):
        return None
    return backend.layer_kernels(hidden)


def norm_kernels(module: Any, hidden: Tensor) -> Any:
    """The kernels, if they compute what a norm makes of `hidden`; else None."""
    kernels = kernels_for(module, "norm", hidden)
    return kernels if kernels is not None and hidden.dtype == module.weight.dtype else None


def norm(module: Any, kernels: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """What a norm makes of `hidden` [B, S, h], and the L2 norms fp32 [B, S]."""
    found: tuple[Tensor, Tensor] = kernels.normed(hidden, module.weight, module.variance_epsilon)
    return found


def attention(module: Any, compute: Attend, given: dict[str, Any]) -> tuple[Tensor, Any] | None:
    """`forward` of self-attention, whose heads `compute` mixes; None: it does so itself.

    `given` are its arguments by name.
    """
    hidden, rotation = given.get("hidden_states"), given.get("position_embeddings")
    if hidden is None or rotation is None or rotation[0].dim() != 3:
        return None
    if module.head_dim.bit_count() != 1:  # kernels take powers of two
        return None
    kernels = kernels_for(module, "attention", hidden)
    if kernels is None or rotation[0].dtype != hidden.dtype:
        return None
    norms = [getattr(module, name, None) for name in ("q_norm", "k_norm")]
    if not all(norm is None or _is_plain(norm, hidden) for norm in norms):
        return None
    queries, keys, values = (
        project(hidden) for project in (module.q_proj, module.k_proj, module.v_proj)
    )
    batch, count, _ = hidden.shape
    queries, keys = (
        kernels.rotated(heads, rotation, norm and (norm.weight, norm.variance_epsilon))
        for heads, norm in zip((queries, keys), norms, strict=True)
    )
    values = values.view(batch, count, -1, module.head_dim).transpose(1, 2)
    passed = {name: value for name, value in given.items() if name not in _TAKEN}
    if (cache := cache_in(given)) is not None:
        told = {"kwargs": passed} if "cache" in given else {}  # transformers 5.24 and on
        keys, values = cache.update(keys, values, module.layer_idx, **told)
    mixed, weights = compute(
        module, queries, keys, values, given.get("attention_mask"), scaling=module.scaling, **passed
    )
    return module.o_proj(mixed.reshape(batch, count, -1)), weights


_TAKEN = ("hidden_states", "position_embeddings", "attention_mask", "cache", "past_key_values")


def _is_plain(norm: Any, hidden: Tensor) -> bool:
    """Whether a norm of heads is transformers' own, and nothing else is done in it."""
    is_own = own_kind(type(norm)) == "norm" and norm.weight.dtype == hidden.dtype
    return is_own and _is_untouched(norm)


def _is_untouched(module: Any) -> bool:
    hooks = (*module._forward_hooks, *module._forward_pre_hooks)
    return not hooks and "forward" not in vars(module)


def _is_silu(gate: Any) -> bool:
    return type(gate) is type(ACT2FN["silu"]) and _is_untouched(gate)


def ffn(module: Any, own: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The FFN of some rows [B, n, h]: as its `own` forward computes it, or with a fused gate."""

    def forward(rows: Tensor, **given: Any) -> Tensor:
        kernels = None if given else kernels_for(module, "ffn", rows)
        if kernels is None or not _is_silu(module.act_fn):
            return own(rows, **given)
        gate, up = module.gate_proj(rows), module.up_proj(rows)
        found: Tensor = module.down_proj(kernels.gated(gate, up))
        return found

    return forward
