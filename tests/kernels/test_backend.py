"""Which implementation computes: forced in one thread, for one block, by name or by hand."""

from __future__ import annotations

import threading
from typing import Any

import interpreted
import pytest
import torch
from geometry import ODD, tensors
from torch import Tensor

from adaspark.errors import UserError
from adaspark.kernels.backend import (
    Implementation,
    fastest_attention,
    sparse_attention,
    sparse_ffn,
    use_backend,
)
from adaspark.method import attention, ffn, reference
from adaspark.method.rules import top_p

NAMES = ["reference", "tiles", "cpu", "gpu"]
WIDTH = 16


def attended() -> Tensor:
    sequence = ODD["ragged"].build(interpreted.DEVICE)
    qkv = tuple(t.to(interpreted.DEVICE) for t in tensors(sequence, heads=4, groups=2, width=WIDTH))
    return sparse_attention(*qkv, sequence, rule=top_p(0.6), scale=WIDTH**-0.5)


def passed() -> Tensor:
    sequence = ODD["ragged"].build()
    hidden = torch.randn(sequence.length, 8, generator=torch.Generator().manual_seed(0))
    output, _, _ = sparse_ffn(hidden, hidden.norm(dim=-1), sequence, torch.tanh, rule=top_p(0.5))
    return output


class Counted:
    """An implementation that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def attend(self, *tensors: Any, **given: Any) -> Tensor:
        self.calls += 1
        return attention.by_tiles(*tensors, **given)


@pytest.mark.few(2)
@pytest.mark.skipif(interpreted.DEVICE != "cpu", reason="kernels of a CPU take its tensors")
@pytest.mark.parametrize("name", NAMES)
def test_every_backend_that_is_forced_gives_the_reference_s_output(name: str) -> None:
    with use_backend(name):
        mine = attended(), passed()
    with use_backend("reference"):
        slow = attended(), passed()
    for ours, theirs in zip(mine, slow, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_a_name_stands_for_its_implementation() -> None:
    with use_backend("reference") as slow, use_backend("tiles") as tiles:
        assert slow.attention is reference.sparse_attention and slow.ffn is reference.sparse_ffn
        assert tiles.attention is attention.by_tiles and tiles.ffn is ffn.by_torch


def test_what_is_forced_ends_with_the_block_and_an_inner_one_comes_first() -> None:
    outer, inner = Counted(), Counted()
    with pytest.raises(KeyError), use_backend(Implementation(outer.attend, ffn.by_torch)):
        attended()
        with use_backend(Implementation(inner.attend, ffn.by_torch)):
            attended()
        attended()
        raise KeyError
    attended()
    assert (outer.calls, inner.calls) == (2, 1)


def test_another_thread_is_not_forced() -> None:
    counted = Counted()
    with use_backend(Implementation(counted.attend, ffn.by_torch)):
        thread = threading.Thread(target=attended)
        thread.start()
        thread.join()
    assert counted.calls == 0


def test_an_unknown_name_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match="choose reference, tiles, cpu or gpu"), use_backend("cuda"):
        pass


def test_kernels_that_do_not_load_are_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from adaspark.kernels.cpu import loading as cpu_loading

    absent = cpu_loading.Loaded(None, "no numba here")
    monkeypatch.setattr(cpu_loading, "load", lambda: absent)
    with pytest.raises(UserError, match="no numba here"), use_backend("cpu"):
        pass


def test_if_none_is_forced_few_queries_are_left_to_pytorch() -> None:
    few = torch.zeros(2, 1, 8)
    assert fastest_attention(few, few, few) is attention.by_tiles
