"""Sinks: cubes that nearly every query keeps, whatever it asks. They say nothing of the question.

The name is the field's (attention sinks). The rule is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEARLY_ALL = 0.9
"""Share of the queries of each kind that keep a sink."""
FEW = 0.1
"""Share of a layer's cubes from which on they are no exceptions: the layer is nearly dense."""


def sinks(kept: Mapping[str, NDArray[Any]], seen_by_others: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool [L, C]: the sinks of each layer; none where so many cubes are kept by all.

    `kept` has the shares [L, C] of each kind of query. A cube that no other cube's tokens may see,
    by `seen_by_others` [C], goes by the words alone.
    """
    often = [
        (shares >= NEARLY_ALL) | (~seen_by_others if kind == "video" else False)
        for kind, shares in kept.items()
    ]
    found = np.logical_and.reduce(often)
    if list(kept) == ["video"]:
        found &= seen_by_others
    found[found.sum(1) > max(1, FEW * found.shape[1])] = False
    return np.asarray(found, bool)
