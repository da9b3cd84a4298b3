"""What `adaspark bench gpu --parts flash` times: the flash-attn that is installed against PyTorch's
attention, on the calls that the studio makes of it.

A layer of p = 1, and the windows of two vision towers. Both are given the same random tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from adaspark.bench.gpu.conditions import DTYPE, GROUPS, HEADS, SCALE, WIDTH, seconds
from adaspark.errors import UserError
from adaspark.kernels import flash

TOWERS = (("Qwen2.5-VL", 16, 80, 64), ("Qwen3-VL", 16, 72, 256))
"""Names, heads, their width, and patches of a window."""
PATCHES = 2**15


@torch.inference_mode()
def compared(size: int, repeats: int, device: torch.device) -> Iterator[dict[str, Any]]:
    """Milliseconds and the largest difference over the largest output, a row for each call."""
    if (found := flash.load()) is None:
        raise UserError(f"No flash-attn that loads is installed here: {flash.said()}.")
    generator = torch.Generator(device).manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, device=device, dtype=DTYPE, generator=generator)

    q, k, v = drawn(1, HEADS, size, WIDTH), *(drawn(1, GROUPS, size, WIDTH) for _ in range(2))

    def stock() -> Tensor:
        mixed = scaled_dot_product_attention(q, k, v, is_causal=True, scale=SCALE, enable_gqa=True)
        return mixed.transpose(1, 2)

    def theirs() -> Tensor:
        rows = (t.transpose(1, 2) for t in (q, k, v))
        return flash.output_of(found.func(*rows, softmax_scale=SCALE, causal=True))

    yield {"flash tokens": size, **_row(found.name, theirs, stock, repeats)}
    for name, heads, width, window in TOWERS:
        packed = tuple(drawn(PATCHES, heads, width) for _ in range(3))
        starts = torch.arange(0, PATCHES + 1, window, device=device, dtype=torch.int32)

        def batched(packed: Any = packed, window: int = window) -> Tensor:
            rows = (t.unflatten(0, (-1, window)).transpose(1, 2) for t in packed)
            return scaled_dot_product_attention(*rows).transpose(1, 2).flatten(0, 1)

        def varlen(packed: Any = packed, starts: Tensor = starts, window: int = window) -> Tensor:
            starts_of = {"cu_seqlens_q": starts, "cu_seqlens_k": starts}
            longest = {"max_seqlen_q": window, "max_seqlen_k": window}
            return flash.output_of(found.varlen_func(*packed, **starts_of, **longest))

        row = _row(found.name, varlen, batched, repeats)
        yield {"tower": name, "patches": PATCHES, "window": window, **row}


def _row(
    name: str, theirs: Callable[[], Tensor], stock: Callable[[], Tensor], repeats: int
) -> dict[str, Any]:
    found, expected = theirs().float(), stock().float()
    return {
        "package": name,
        "error": float((found - expected).abs().max() / expected.abs().max()),
        "flash ms": seconds(theirs, repeats) * 1e3,
        "sdpa ms": seconds(stock, repeats) * 1e3,
    }
