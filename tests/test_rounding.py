"""The bound on rounding: plain fp32 keeps it, and what is wrong on purpose does not."""

from __future__ import annotations

import pytest
import rounding
import torch
from torch import Tensor

HEADS, TOKENS, WIDTH = 3, 70, 64
SCALE = WIDTH**-0.5


def drawn() -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = (
        2 * torch.randn(HEADS, TOKENS, WIDTH, generator=generator) for _ in range(3)
    )
    return (queries, keys, values), torch.ones(HEADS, TOKENS, TOKENS, dtype=torch.bool).tril()


def plain(queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor) -> Tensor:
    scores = (queries @ keys.mT * SCALE).masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1) @ values


@pytest.mark.parametrize("threads", [1, 2])
def test_plain_fp32_keeps_the_bound(threads: int) -> None:
    usual = torch.get_num_threads()
    torch.set_num_threads(threads)
    qkv, allowed = drawn()
    rounding.check_attention(plain(*qkv, allowed), qkv, allowed, scale=SCALE)
    torch.set_num_threads(usual)


def faulty(fault: str) -> Tensor:
    (queries, keys, values), allowed = drawn()
    if fault == "a key too few":  # not the heaviest: one of a weight of a thousandth
        weights = (queries @ keys.mT * SCALE).masked_fill(~allowed, -torch.inf).softmax(-1)[0, -1]
        allowed[0, -1, (weights - 1e-3).abs().argmin()] = False
    if fault == "the next key too":
        allowed[:, 40, 41] = True
    if fault == "scores in bf16":
        queries = queries.bfloat16().float()
    if fault == "values in bf16":
        values = values.bfloat16().float()
    output = plain(queries, keys, values, allowed)
    if fault == "two rows exchanged":
        output[0, [20, 21]] = output[0, [21, 20]]
    if fault == "a row not written":
        output[1, 5, 7] = torch.nan
    return output


@pytest.mark.parametrize(
    "fault",
    [
        "a key too few",
        "the next key too",
        "scores in bf16",
        "values in bf16",
        "two rows exchanged",
        "a row not written",
    ],
)
def test_faults_lie_beyond_it(fault: str) -> None:
    qkv, allowed = drawn()
    with pytest.raises(AssertionError, match="beyond what rounding explains"):
        rounding.check_attention(faulty(fault), qkv, allowed, scale=SCALE)
