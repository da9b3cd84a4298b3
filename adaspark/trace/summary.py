"""A finished trace: times and versions filled in, and its short form for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from adaspark import __version__
from adaspark.trace.cost import flops
from adaspark.trace.flops import Flops
from adaspark.trace.trace import Trace

_LIBRARIES = ("torch", "transformers", "numpy")


def finish(trace: Trace, times_secs: Sequence[float]) -> None:
    """Add the presentation times of the sampled frames, the FLOP counts and the versions."""
    trace.frame_times = np.asarray(times_secs, np.float64).reshape(len(trace.frame_times), -1)
    trace.meta.flops = flops(trace)
    libraries = {name: _version(name) for name in _LIBRARIES}
    trace.meta.versions = {"adaspark-studio": __version__, **libraries}


def summary(trace: Trace) -> dict[str, Any]:
    """The JSON of `adaspark ask --json`; undefined numbers are null."""
    meta = trace.meta
    assert meta.config and meta.counts and meta.flops, "a run that has ended has all three"
    return {
        "answer": meta.answer,
        "model": meta.model,
        "device": meta.device,
        "tokens": {"video": len(trace.cube_from_token), "text": meta.counts.text_tokens},
        "grid": list(meta.grids[0]),
        "cubes": len(trace.bounds),
        "config": meta.config.to_dict(),
        "attention_density": trace.attention_density,
        "ffn_density": trace.ffn_density,
        "flops": _totals(meta.flops),
        "seconds": meta.seconds,
        "layers": [
            {name: finite_or_none(value) for name, value in asdict(layer).items()}
            for layer in trace.layers
        ],
        **({"cached_tokens": meta.cached_tokens} if meta.cached_tokens else {}),
        **({"warnings": meta.warnings} if meta.warnings else {}),
    }


def finite_or_none(value: float, digits: int | None = None) -> float | None:
    """The number, rounded to `digits` decimals if given; None for NaN and infinity, which JSON
    does not have.
    """
    if not math.isfinite(value):
        return None
    return value if digits is None else round(value, digits)


def _totals(counts: Flops) -> dict[str, float]:
    return {
        "dense": counts.dense.total,
        "sparse": counts.sparse.total,
        "executed": counts.executed.total,
        "reduction": counts.reduction,
        "reduction_with_vision": counts.reduction_with_vision,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
