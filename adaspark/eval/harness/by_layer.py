"""Figures by layer over many clips: means with intervals, and layers in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.eval.harness.clips import Length
from adaspark.eval.report.stats import CONFIDENCE, MIN_VIDEOS, Estimate, bootstrap_mean
from adaspark.trace.summary import finite_or_none

Layers = Sequence[float | None]
"""One clip's figure of each layer; None if a layer has none."""


def rounded(figures: Tensor | Sequence[Any]) -> list[float | None]:
    """A row of figures in five decimals, NaN as None: what an item keeps of each layer."""
    values = np.asarray(torch.as_tensor(figures).cpu(), np.float64)
    return [finite_or_none(value, 5) for value in values.tolist()]


def table_of(clips: Sequence[Layers]) -> NDArray[np.float64]:
    """Figures of clips as [clips, L], NaN for None."""
    return np.array(clips, np.float64).reshape(len(clips), -1)


def by_layer(clips: Sequence[Layers]) -> list[Estimate]:
    """Mean of each layer over clips, bootstrapped by clip."""
    return [mean_of(column) for column in table_of(clips).T]


def over_layers(clips: Sequence[Layers]) -> Estimate:
    """Mean over the layers of each clip, then over clips, bootstrapped by clip."""
    known = [row[np.isfinite(row)] for row in table_of(clips)]
    return mean_of(np.array([row.mean() for row in known if len(row)]))


def mean_of(figures: NDArray[np.float64], *, confidence: float = CONFIDENCE) -> Estimate:
    """Mean of one figure a clip, bootstrapped; what is NaN is left out."""
    return bootstrap_mean(figures[np.isfinite(figures)], confidence=confidence)


def layer_names(layers: Sequence[int]) -> str:
    """`layer 2`, or `layers 0, 1 and 4`."""
    *first, last = [str(layer) for layer in layers]
    return f"layers {', '.join(first)} and {last}" if first else f"layer {last}"


def apart(values: Sequence[Estimate]) -> bool:
    """Whether the least and the greatest layer differ: their intervals do not touch."""
    known = [value for value in values if np.isfinite(value.value)]
    low, high = min(known, key=lambda v: v.value), max(known, key=lambda v: v.value)
    return bool(low.high < high.low)


def lengths_of(items: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Items by length (`FRAMESxSIDE`, the key's first part), shortest first."""
    names = sorted({item["key"][0] for item in items}, key=lambda name: Length.parse(name).tokens)
    return {name: [item for item in items if item["key"][0] == name] for name in names}


def few_clips(items: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A sentence about lengths with too few clips to decide anything."""
    for length, mine in lengths_of(items).items():
        if len(mine) < MIN_VIDEOS:
            yield (
                f"{length}: {len(mine)} clips alone, {MIN_VIDEOS} are needed: what is said of "
                "them is undecided."
            )


def said_left_out(data: dict[str, Any]) -> Iterator[str]:
    """A sentence about what the budget left no time for."""
    left = data.get("left_out", [])
    if left:
        counts = {name: left.count(name) for name in dict.fromkeys(left)}
        listed = ", ".join(
            f"{n} batches of {name}" if n > 1 else name for name, n in counts.items()
        )
        yield f"The budget ended before all was computed; left out: {listed}."
