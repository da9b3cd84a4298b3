"""Ablation: one cube is forced on or off for every query; what changes in the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from adaspark.errors import UserError
from adaspark.model.request import Options
from app.service.messages import BesideMessage, Comparison
from app.service.results import Finished
from app.service.run_labels import labels
from app.service.service import Service
from app.service.side_by_side import run_beside, sides


def ablate(
    service: Service, session_id: str, key: object, cube: object, on: object
) -> Iterator[BesideMessage]:
    """Run a finished run again with a cube forced: the states, the last one with both `sides` and
    the log-probability of the first answer, in nats, `before` and `after` (None: not known).
    """

    def vary(base: Finished) -> Options:
        if not isinstance(cube, int) or isinstance(cube, bool):
            raise UserError("No cube is chosen; click one in the player.")
        ids = base.result.answer_ids
        return replace(base.options, forced={cube: bool(on)}, scored=ids)

    def describe(base: Finished, other: Finished) -> Comparison:
        return {
            "sides": sides(base, other, labels(base, other)),
            "before": base.result.logprob,
            "after": other.result.scored_logprob,
        }

    return run_beside(service, session_id, key, vary, describe)
