"""Compare: the run in view against a baseline that is run for it, or against an earlier run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from adaspark.errors import UserError
from adaspark.model.request import Options
from adaspark.trace.baselines import baseline
from app.service.messages import BesideMessage, Comparison
from app.service.queue import sentence
from app.service.results import Finished
from app.service.run_labels import labels
from app.service.service import Service
from app.service.side_by_side import GONE, run_beside, sides

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

    def vary(base: Finished) -> Options:
        other = baseline(base.result.trace, str(name))
        frames = other.max_frames or base.options.max_frames
        return replace(
            base.options, config=other.config, max_frames=frames, keep_tokens=other.keep_tokens
        )

    return run_beside(service, session_id, key, vary, _result)


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
    return {"sides": sides(base, other, labels(base, other))}
