"""How far greedy words at p = 1 are those of transformers' own pipeline, at full size in bf16.

Sums in another order round otherwise, and where two words are about as likely the other one may be
taken. Then the stock model is compared with itself, too, by two kernels of PyTorch's attention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch.nn.attention import SDPBackend, sdpa_kernel

from adaspark.bench.serve.conditions import Ran, Request

_LAST = (SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)
KERNELS = (
    (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, *_LAST),
    (SDPBackend.CUDNN_ATTENTION, *_LAST, SDPBackend.FLASH_ATTENTION),
)
"""Two orders that a kernel of PyTorch's is looked for in."""


def agreement(request: Request) -> dict[str, Any]:
    """Stock's words against ours at p = 1; if they differ, stock's by one kernel and another."""
    stock = request.stock(with_logits=True)
    dense = replace(request.served.config, attn_top_p=1.0, ffn_top_p=1.0)
    ours = request.ours(recorded=False, config=dense)
    found = {"ours": _compared(stock, ours.ids)}
    if found["ours"]["equal"] < request.words:
        one, another = (_by(request, kernels) for kernels in KERNELS)
        found["kernels"] = _compared(one, another.ids)
    return found


def _by(request: Request, kernels: Sequence[SDPBackend]) -> Ran:
    with sdpa_kernel(list(kernels), set_priority=True):
        return request.stock(with_logits=True)


def _compared(stock: Ran, ids: Sequence[int]) -> dict[str, Any]:
    """How many of the first words are equal; where one is not, how much likelier stock's is there
    in logits, and the step of bf16 at its logit.
    """
    pairs = list(zip(stock.ids, ids, strict=True))
    equal = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
    found: dict[str, Any] = {"words": len(pairs), "equal": equal}
    if equal < len(pairs):
        assert stock.logits is not None
        first, other = (float(stock.logits[equal, token]) for token in pairs[equal])
        found |= {"gap": first - other, "step": bf16_step(first)}
    return found


def bf16_step(value: float) -> float:
    """The distance of bf16 numbers about a value, which has eight bits."""
    return math.ldexp(1.0, math.frexp(value)[1] - 8)


def sentence(found: dict[str, Any]) -> str:
    """What the README says of it."""
    if (ours := found["ours"])["equal"] == ours["words"]:
        return f"All {ours['words']} greedy words at p = 1 are stock's."
    kernels = found["kernels"]
    return (
        f"The first {ours['equal']} of {ours['words']} greedy words at p = 1 are stock's; where "
        f"they part, stock's leads by {ours['gap']:.3f} in logits that bf16 tells apart in steps "
        f"of {ours['step']:.3f}. By two of PyTorch's own attention kernels, the first "
        f"{kernels['equal']} of the stock model's words are equal."
    )
