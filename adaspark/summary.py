"""A finished trace: times and versions filled in, and its short form for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from adaspark.cost import flops
from adaspark.trace import Trace

_PACKAGES = ("adaspark-studio", "torch", "transformers", "numpy")


def finish(trace: Trace, times_secs: Sequence[float]) -> None:
    """Add the presentation times of the sampled frames, the FLOP counts and the versions."""
    trace.frame_times = np.asarray(times_secs, np.float64).reshape(len(trace.frame_times), -1)
    trace.meta["flops"] = flops(trace).to_dict()
    trace.meta["versions"] = {name: _version(name) for name in _PACKAGES}


def summary(trace: Trace) -> dict[str, Any]:
    """The JSON of `adaspark ask --json`; undefined numbers are null."""
    meta = trace.meta
    return {
        "answer": meta["answer"],
        "model": meta["model"],
        "device": meta["device"],
        "tokens": {"video": len(trace.cube_from_token), "text": meta["counts"]["text_tokens"]},
        "grid": meta["grids"][0],
        "cubes": len(trace.bounds),
        "config": meta["config"],
        "attention_density": trace.attention_density,
        "ffn_density": trace.ffn_density,
        "flops": _totals(meta["flops"]),
        "seconds": meta["seconds"],
        "layers": [_defined(asdict(layer)) for layer in trace.layers],
        **({"warnings": meta["warnings"]} if meta.get("warnings") else {}),
    }


def _totals(counts: dict[str, Any]) -> dict[str, float]:
    whole = {name: counts[name]["total"] for name in ("dense", "sparse", "executed")}
    return {**whole, **{name: counts[name] for name in ("reduction", "reduction_with_vision")}}


def _defined(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
