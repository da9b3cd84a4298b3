"""Ablation: cubes are forced on or off for every query; what changes in the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adaspark.errors import UserError
from app.service.messages import BesideMessage, Comparison
from app.service.results import Finished
from app.service.run_labels import labels
from app.service.service import Service
from app.service.side_by_side import run_beside, sides


def ablate(
    service: Service, session_id: str, key: object, cubes: object, on: object
) -> Iterator[BesideMessage]:
    """Run a finished run again with some cubes forced: the states, the last one with both `sides`
    and the log-probability of the first answer, in nats, `before` and `after` (None: not known).
    """

    def vary(base: Finished) -> dict[str, Any]:
        chosen = cubes if isinstance(cubes, list) else []
        if not chosen or not all(type(cube) is int for cube in chosen):
            raise UserError("No cube is chosen; click one in the player.")
        return {"forced": dict.fromkeys(chosen, bool(on)), "scored": base.result.answer_ids}

    def describe(base: Finished, other: Finished) -> Comparison:
        return {
            "sides": sides(base, other, labels(base, other)),
            "before": base.result.logprob,
            "after": other.result.scored_logprob,
        }

    return run_beside(service, session_id, key, vary, describe)
