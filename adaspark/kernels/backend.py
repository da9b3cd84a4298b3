"""Which implementation computes AdaS-Attn and AdaS-FFN: chosen here, defined elsewhere.

Compiled kernels compute what they can and do fastest, PyTorch's operators the rest;
`use_backend` forces one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from adaspark.errors import UserError
from adaspark.kernels import flash
from adaspark.kernels.cpu import loading as cpu_loading
from adaspark.kernels.gpu import loading as gpu_loading
from adaspark.method import attention, ffn, reference
from adaspark.method.attention import Observer
from adaspark.method.ffn import Outcome
from adaspark.method.rules import Rule
from adaspark.method.sequence import SequenceMap
from adaspark.method.token_positions import TokenPositions

TILES = "query tiles (PyTorch)"


@dataclass(frozen=True)
class Implementation:
    """One way to compute both halves: the signatures are those of this file's functions.

    `report_dense` reports a layer of p = 1 at once; None: it is reported segment by segment.
    `is_gpu` says whether the GPU's kernels are meant, which also write words (`decodes`).
    """

    attention: Callable[..., Tensor]
    ffn: Callable[..., Outcome]
    report_dense: Callable[..., None] | None = None
    is_gpu: bool = False


_forced: ContextVar[Implementation | None] = ContextVar("adaspark_backend", default=None)


@contextmanager
def use_backend(which: str | Implementation) -> Iterator[Implementation]:
    """Compute every sparse call of this thread by one implementation inside the block.

    `which` is "reference" (slow and obvious), "tiles" (PyTorch's operators), "cpu" (numba),
    "gpu" (Triton; tensors on a CPU need its interpreter), or an `Implementation` of one's own.
    Raises UserError for another name, and if the kernels do not load.
    """
    chosen = which if isinstance(which, Implementation) else _named(which)
    token = _forced.set(chosen)
    try:
        yield chosen
    finally:
        _forced.reset(token)


def _named(name: str) -> Implementation:
    if name == "reference":
        return Implementation(reference.sparse_attention, reference.sparse_ffn)
    if name == "tiles":
        return Implementation(attention.by_tiles, ffn.by_torch)
    if name == "cpu":
        cpu, why, *_ = cpu_loading.load()
        if cpu is None:
            raise UserError(f"The CPU kernels cannot be used: {why}.")
        return Implementation(cpu.sparse_attention, ffn.by_torch, cpu.report_dense)
    if name == "gpu":
        try:
            from adaspark.kernels.gpu import attention as gpu
        except ImportError as error:
            raise UserError(f"The GPU kernels cannot be used: {error}.") from error
        return Implementation(gpu.sparse_attention, gpu.sparse_ffn, gpu.report_dense, is_gpu=True)
    raise UserError(f"Unknown backend {name!r}: choose reference, tiles, cpu or gpu.")


def sparse_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    sequence: SequenceMap,
    *,
    rule: Rule,
    scale: float,
    means: Tensor | None = None,
    observe: Observer | None = None,
) -> Tensor:
    """AdaS-Attn for the last queries of a sequence: [H, S, D] in, [H, S, D] out.

    `keys` and `values` are [G, N, D] and end with the keys of the queries themselves. `means` may
    be given if they are known (decoding). `observe` is called with each decision. Rows of padding
    are zero.
    """
    forced = _forced.get()
    compute = forced.attention if forced else fastest_attention(queries, keys, values)
    return compute(
        queries, keys, values, sequence, rule=rule, scale=scale, means=means, observe=observe
    )


def sparse_ffn(
    hidden: Tensor,
    norms: Tensor,
    sequence: TokenPositions,
    branch: Callable[[Tensor], Tensor],
    *,
    rule: Rule,
    skipped: str = "mean",
) -> Outcome:
    """The FFN branch of every token, computed for text and for the chosen video tokens only.

    `hidden` [N, h] enters `branch` (the MLP; `hidden` is its normalised input), `norms` fp32 [N]
    are the L2 norms of the residual stream before that normalisation. A `skipped` token gets the
    `mean` of its cube's outputs, or zero (`bypass`). Returns the branch's output
    [N, h], the kept mask bool [V] and the importance fp32 [V].
    """
    forced = _forced.get()
    compute = forced.ffn if forced else fastest_ffn(hidden)
    return compute(hidden, norms, sequence, branch, rule=rule, skipped=skipped)


def cube_means(keys: Tensor, sequence: SequenceMap) -> Tensor:
    """Mean key of each cube, fp32 [G, C, D], from keys [G, N, D] after rotary embedding."""
    module = None
    if _forced.get() is None and keys.is_cuda:
        module = gpu_loading.for_attention(keys, keys, keys)
    found: Tensor = (module or attention).cube_means(keys, sequence)
    return found


def dense_reporter(queries: Tensor, keys: Tensor) -> Callable[..., None] | None:
    """What reports a layer at once whose attention the stock kernel computes, or None.

    Called with queries [H, S, D], means, sequence, observer and scale.
    """
    if (forced := _forced.get()) is not None:
        return forced.report_dense
    loading: Any = gpu_loading if queries.is_cuda else cpu_loading
    module = loading.for_attention(queries, keys, keys)
    found: Callable[..., None] | None = module.report_dense if module else None
    return found


def layer_kernels(hidden: Tensor) -> Any:
    """The kernels of what a prompt meets in a layer beside its products, the module `layer_rows`;
    None where PyTorch's operators compute it.
    """
    forced = _forced.get()
    is_gpu = forced.is_gpu if forced else gpu_loading.for_ffn(hidden) is not None
    if not is_gpu or torch.is_grad_enabled():
        return None
    from adaspark.kernels.gpu import layer_rows

    return layer_rows


def decoding() -> Any:
    """The kernels of a step of decoding: the module `decode_step`."""
    from adaspark.kernels.gpu import decode_step

    return decode_step


def decodes(weight: Tensor, *, heads: int, groups: int, width: int, cubes: int) -> bool:
    """Whether `decoding` computes a step of a model with such weights, heads of `width` and so many
    cubes in its prompt; on a CPU only if the GPU's kernels are forced.
    """
    forced = _forced.get()
    if forced is not None and not forced.is_gpu:
        return False
    return gpu_loading.for_decoding(
        weight, heads=heads, groups=groups, width=width, cubes=cubes, is_forced=forced is not None
    )


def fastest_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Callable[..., Tensor]:
    """The `sparse_attention` that computes these tensors if none is forced."""
    loading: Any = gpu_loading if queries.is_cuda else cpu_loading
    module = loading.for_attention(queries, keys, values)
    found: Callable[..., Tensor] = module.sparse_attention if module else attention.by_tiles
    return found


def fastest_ffn(hidden: Tensor) -> Callable[..., Outcome]:
    """The `sparse_ffn` that computes these rows if none is forced."""
    module = gpu_loading.for_ffn(hidden)
    found: Callable[..., Outcome] = module.sparse_ffn if module else ffn.by_torch
    return found


class Backend(NamedTuple):
    """Its name, and the reason or the versions."""

    name: str
    why: str


def backend(device: torch.device | str) -> Backend:
    """What `doctor` and a trace say of `device`; loads it, which takes seconds the first time."""
    device = torch.device(device)
    if device.type == "cpu":
        cpu = cpu_loading.load()
        return Backend("CPU kernels (numba)" if cpu.cpu else TILES, f"{cpu.why}; {flash.said()}")
    if device.type == "cuda":
        gpu = gpu_loading.load(device)
        return Backend("GPU kernels (Triton)" if gpu.gpu else TILES, f"{gpu.why}; {flash.said()}")
    return Backend(TILES, f"no kernels are made for {device.type}; {flash.said()}")
