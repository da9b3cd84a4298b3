"""What a run takes, by part of the language model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adaspark.kernels.backend import Implementation, fastest_attention, use_backend
from adaspark.kernels.cpu import loading as cpu_loading
from adaspark.method import ffn

_PARTS = {"attention": "self_attn", "ffn": "mlp"}


@contextmanager
def seconds_by_part(model: Any) -> Iterator[dict[str, float]]:
    """Seconds of the block as `total`, and of all layers' attention and FFN modules in it."""
    seconds = dict.fromkeys(["total", *_PARTS], 0.0)
    handles = []
    for layer in model.model.language_model.layers:
        for part, name in _PARTS.items():
            handles += _timed(getattr(layer, name), part, seconds)
    start = time.perf_counter()
    try:
        yield seconds
    finally:
        seconds["total"] = time.perf_counter() - start
        for handle in handles:
            handle.remove()


def _timed(module: Any, part: str, seconds: dict[str, float]) -> list[Any]:
    def begin(*_: Any) -> None:
        seconds[part] -= time.perf_counter()

    def end(*_: Any) -> None:
        seconds[part] += time.perf_counter()

    return [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]


@contextmanager
def selection_seconds() -> Iterator[list[float]]:
    """Choose a second time, alone, in each layer of the block: the seconds that this takes."""
    seconds = [0.0]

    def chosen_twice(queries: Any, keys: Any, values: Any, sequence: Any, **given: Any) -> Any:
        cpu = cpu_loading.for_attention(queries, keys, values)
        start = time.perf_counter()
        if cpu is not None:
            cpu.choose_alone(queries, keys, sequence, rule=given["rule"], scale=given["scale"])
        seconds[0] += time.perf_counter() - start
        compute = fastest_attention(queries, keys, values)
        return compute(queries, keys, values, sequence, **given)

    with use_backend(Implementation(chosen_twice, ffn.by_torch)):
        yield seconds
