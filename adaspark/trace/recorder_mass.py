"""What dense attention gives each cube, of the words of a run that keeps everything."""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from adaspark.trace.on_host import on_host

MASS_BYTES = 2**27
"""Bounds what is kept of one run; a longer one keeps none of it."""


class DenseMass:
    """Shares of dense attention by cube, as they come: on their device until they are wanted."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, NDArray[np.int64], Tensor]] = []
        self._bytes = 0

    def add(self, layer: int, places: NDArray[np.int64], mass: Tensor) -> None:
        """Of words `places` int64 [m] in a layer, fp32 [H, m, C]."""
        self._bytes += mass.nbytes // 2
        if self._bytes > MASS_BYTES:
            return self._parts.clear()
        self._parts.append((layer, places, mass.half().transpose(0, 1)))

    def forked(self) -> DenseMass:
        """The same so far, to be added to apart from this."""
        made = copy(self)
        made._parts = list(self._parts)
        return made

    def table(
        self, shape: tuple[int, int, int, int], listed: NDArray[np.int32]
    ) -> NDArray[np.float16]:
        """float16 [L, W, H, K] of the cubes that are `listed`, int32 of that shape; all C of
        `shape` if that is empty. NaN for a word of which nothing came; empty if nothing did.
        """
        layers, words, heads, cubes = shape
        if not self._parts:
            return np.zeros((0, 0, 0, 0), np.float16)
        known = np.full((layers, words, heads, cubes), np.nan, np.float16)
        for (layer, places, _), mass in zip(
            self._parts, on_host([mass for *_, mass in self._parts]), strict=True
        ):
            stay = places < words  # words that were taken back are gone
            rows = known[layer, places[stay]]
            rows[...] = 0
            rows[..., : mass.shape[-1]] = mass[stay]
            known[layer, places[stay]] = rows
        return np.take_along_axis(known, listed, -1) if listed.size else known
