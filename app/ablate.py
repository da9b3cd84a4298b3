"""Ablation: one cube is forced on or off for every query; what changes in the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from adaspark.errors import UserError
from adaspark.request import Options
from app.beside import run_beside, sides
from app.labels import labels
from app.messages import BesideMessage, Comparison
from app.results import Finished
from app.service import Service


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
