"""Memory of a prefill at its peak, in a process of its own: a heap once grown hides the next."""

from __future__ import annotations

import ctypes
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import torch

from adaspark.bench.memory import peak_kilobytes
from adaspark.method.config import AdaSparkConfig

_MMAP_THRESHOLD = -3
"""Of mallopt(3): blocks from so many bytes on are mapped, and unmapped, by themselves."""


def peak_megabytes(model: str, tokens: int, config: AdaSparkConfig | None) -> float:
    """What a prefill of `tokens` video tokens takes beyond the loaded model and its prompt.

    The features are random: nothing large ran in the process before. None is the stock model.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_peak, model, tokens, config).result()


def _peak(model: str, tokens: int, config: AdaSparkConfig | None) -> float:
    from adaspark.bench.cpu.prompts import MODELS
    from adaspark.model.qwen import sparsify

    _give_back_at_once()
    bench = MODELS[model]()
    width = bench.model.config.text_config.hidden_size
    bench = replace(bench, features=lambda slices: torch.randn(slices * 64, width) / 50)
    if config is not None:
        sparsify(bench.model, config)
    bench.prefill(128)()  # what is made once: compiled kernels, threads
    prefill = bench.prefill(tokens)
    before = peak_kilobytes()
    prefill()
    return (peak_kilobytes() - before) / 2**10


def _give_back_at_once() -> None:
    """Have glibc return every freed tensor to the system: what an earlier one left in the heap
    would hide as much of the peak, one time more than another. (Elsewhere the figure scatters.)
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**16)
