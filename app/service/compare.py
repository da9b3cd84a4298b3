"""Compare: the run in view against a baseline that is run for it, or against an earlier run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from adaspark.errors import UserError
from adaspark.trace.baselines import baseline
from app.service.messages import BesideMessage, Comparison, HeldShare
from app.service.queue import sentence
from app.service.results import Finished
from app.service.run_labels import labels
from app.service.service import Service
from app.service.side_by_side import GONE, Vary, run_beside, sides
from viz.data.dropped import dropped
from viz.data.queries import Looked, Query

BASELINE_NAMES = {
    "dense": "Dense: everything",
    "top_k": "Top-k cubes, as many",
    "uniform": "Evenly spread cubes, as many",
    "random": "Random cubes, as many",
    "recent": "Latest cubes, as many",
    "frames": "Dense on fewer frames, same FLOPs",
    "prune": "Token pruning: dense on fewer tokens, same FLOPs",
}
"""Of each baseline in `adaspark.trace.baselines.BASELINES`, what the page calls it."""
UNLIKE = "The pinned run is of another video or question; let it go and pin this one."


def compare(
    service: Service, session_id: str, key: object, name: object
) -> Iterator[BesideMessage]:
    """Run a baseline of a finished run: the states, the last one with both `sides`."""
    return run_beside(service, session_id, key, vary_to(str(name)), _result)


def vary_to(name: str) -> Vary:
    """The options that make a run of a finished one's baseline."""

    def vary(base: Finished) -> dict[str, Any]:
        other = baseline(base.result.trace, name)
        frames = other.max_frames or base.options.max_frames
        kept = other.keep_tokens
        return {"config": other.config, "max_frames": frames, "keep_tokens": kept}

    return vary


def compare_pinned(service: Service, key: object, pinned: object) -> BesideMessage:
    """Compare a finished run with an earlier one on the same question, without running anything.

    Never raises.
    """
    base, other = (service.results.get(str(each)) for each in (key, pinned))
    try:
        if base is None or other is None:
            raise UserError(GONE)
        if (base.video.path, base.question) != (other.video.path, other.question):
            raise UserError(UNLIKE)
        return {"state": "done", "key": other.key, "sides": _result(base, other)["sides"]}
    except Exception as error:
        return {"state": "error", "error": sentence(error)}


def _result(base: Finished, other: Finished) -> Comparison:
    both: Comparison = {"sides": sides(base, other, labels(base, other))}
    attends_densely = [run.result.trace.attention_density == 1 for run in (base, other)]
    return {**both, "held": held(base, other)} if attends_densely == [False, True] else both


def held(base: Finished, dense: Finished) -> list[HeldShare]:
    """What the cubes that a run kept hold of a dense one's attention, by kind of query."""
    shares: list[HeldShare] = []
    for kind in ("question", "answer"):
        found = dropped(Looked(base.view, query=Query(kind=kind)), dense.result.trace)
        if found is not None and np.isfinite(found.held).any():
            share = float(np.nanmean(found.held))
            shares.append({"kind": kind, "share": share, "measured": found.is_measured})
    return shares
