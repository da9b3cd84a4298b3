"""The precision of large models is measured, within what memory allows."""

from __future__ import annotations

import pytest
import torch

from adaspark.model import precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("faster", [torch.bfloat16, torch.float32])
def test_the_faster_one_is_taken_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, faster: torch.dtype
) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda dtype: 1.0 if dtype == faster else 2.0)
    monkeypatch.setattr(precision, "memory_bytes", lambda: 8000)
    precision._faster_on_cpu.cache_clear()
    assert precision.fastest(CPU, 1000) == faster
    assert precision.fastest(CPU, 1001) == torch.bfloat16
    assert precision.fastest(torch.device("cuda"), 1) == torch.bfloat16
    precision._faster_on_cpu.cache_clear()


def test_a_gpu_without_bf16_takes_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for capability, dtype in (((7, 5), torch.float16), ((8, 0), torch.bfloat16)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert precision.fastest(torch.device("cuda"), 1) == dtype


def test_both_are_measured() -> None:
    assert all(precision._seconds(dtype) > 0 for dtype in (torch.bfloat16, torch.float32))


def test_an_unknown_memory_is_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert precision.memory_bytes() > 2**28
    monkeypatch.delattr(precision.os, "sysconf")
    assert precision.memory_bytes() == 0
    assert precision.fastest(CPU, 1) == torch.bfloat16
