"""flash-attn, where it is installed and faster: dense attention, and the windows of a vision tower.

Its 2.x (`flash_attn`) and its version in CuTe (`flash_attn.cute`) are called alike here. Which of
it and PyTorch is faster differs by card, version and size, so that both are timed on the first
tensors of a kind; what fails there, or differs by more than rounding, is never used.
Axes: B batch, S queries, N keys, P patches, H query heads, G KV heads, D head dimension.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

log = logging.getLogger(__name__)
DTYPES = (torch.bfloat16, torch.float16)
PACKAGES = (("flash_attn", "flash-attn"), ("flash_attn.cute", "flash-attn-4"))
"""Modules, and the distributions that bring them; the first that loads is used."""
_PARENTS = ("flash_attn",)
REPEATS = 3
ERROR_LIMIT = 2e-2
"""Largest difference from PyTorch over the largest output, of 16-bit numbers."""
_faster: dict[tuple[Any, ...], bool] = {}


class Flash(NamedTuple):
    """The package: its name with the version, and its two functions."""

    name: str
    func: Callable[..., Any]
    varlen_func: Callable[..., Any]


@cache
def load() -> Flash | None:
    """What is installed, if it loads."""
    for module, package in PACKAGES:
        try:
            found: Any = import_module(module)
            name = f"{package} {version(package)}"
            return Flash(name, found.flash_attn_func, found.flash_attn_varlen_func)
        except PackageNotFoundError:
            continue
        except (ImportError, OSError, AttributeError, RuntimeError) as error:
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            if missing not in (module, *_PARENTS):  # there, and something that it needs is not
                log.warning("%s does not load: %s", package, str(error).splitlines()[0])
    return None


def said() -> str:
    """What `doctor` and the header say of dense attention."""
    found = load()
    if found is None:
        return "p = 1 uses the stock scaled_dot_product_attention"
    return f"p = 1 uses {found.name} where it is faster than scaled_dot_product_attention"


def dense(
    queries: Tensor, keys: Tensor, values: Tensor, *, scale: float, stock: Callable[[], Tensor]
) -> Tensor:
    """Causal attention: [B, H, S, D] and [B, G, N, D] in, [B, S, H, D] out, as `stock()` gives."""
    found = load()
    if found is None or not _may(queries) or queries.shape[2] < 2:  # a step is decoding's own
        return stock()
    tensors = [t.transpose(1, 2) for t in (queries, keys, values)]
    call = partial(found.func, *tensors, softmax_scale=scale, causal=True)
    shape = tensors[0].shape
    kind = ("dense", found.name, *shape[2:], keys.shape[1], queries.dtype, queries.device)
    sizes = shape[0], shape[1].bit_length(), keys.shape[2].bit_length()
    return _faster_of((*kind, *sizes), lambda: output_of(call()), stock)


def windows(
    packed: tuple[Tensor, Tensor, Tensor],
    starts: Tensor,
    longest: int,
    *,
    scale: float,
    stock: Callable[[], Tensor],
) -> Tensor:
    """Attention within windows that stand one after the other: three [P, H, D] in, one out.

    `starts` int32 [windows + 1] are their first patches and P, `longest` the most patches of one;
    as `stock()` gives.
    """
    found = load()
    if found is None or not _may(packed[0]):
        return stock()
    call = partial(
        found.varlen_func,
        *packed,
        cu_seqlens_q=starts,
        cu_seqlens_k=starts,
        max_seqlen_q=longest,
        max_seqlen_k=longest,
        softmax_scale=scale,
        causal=False,
    )
    patches, *heads = packed[0].shape
    kind = ("windows", found.name, *heads, packed[0].dtype, packed[0].device)
    sizes = patches.bit_length(), longest.bit_length()
    return _faster_of((*kind, *sizes), lambda: output_of(call()), stock)


def _may(queries: Tensor) -> bool:
    """Whether such tensors are flash-attn's: without gradients, on a GPU, of 16 bits."""
    return queries.is_cuda and queries.dtype in DTYPES and not torch.is_grad_enabled()


def output_of(found: Any) -> Tensor:
    """The output; some versions return the rows' log-sums beside it."""
    output: Tensor = found[0] if isinstance(found, tuple) else found
    return output


def _faster_of(
    kind: tuple[Any, ...], theirs: Callable[[], Tensor], stock: Callable[[], Tensor]
) -> Tensor:
    """The output of the faster one, which is found out once for a kind of tensors."""
    if kind not in _faster:
        _faster[kind] = _is_faster(theirs, stock)
    return theirs() if _faster[kind] else stock()


def _is_faster(theirs: Callable[[], Tensor], stock: Callable[[], Tensor]) -> bool:
    expected = stock()
    try:
        found = theirs()
        error = (found.float() - expected.float()).abs().max()
        if found.shape != expected.shape or not error <= ERROR_LIMIT * expected.abs().max():
            log.warning("flash-attn gives another output than PyTorch here: it is not used.")
            return False
        return seconds(theirs) < seconds(stock)
    except Exception as error:  # a card or shape that it does not serve, in whatever words
        log.info("flash-attn is not used here: %s", str(error).splitlines()[0])
        return False


def seconds(work: Callable[[], object]) -> float:
    """Median time of `work` on the device that is current."""
    events = []
    for _ in range(REPEATS):
        pair: list[Any] = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        pair[0].record()
        work()
        pair[1].record()
        events.append(pair)
    torch.cuda.synchronize()
    return float(median(begin.elapsed_time(end) for begin, end in events)) / 1e3
