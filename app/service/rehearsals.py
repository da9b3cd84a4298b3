"""Kernels for what visitors may ask next, compiled between their runs."""

from __future__ import annotations

import logging
from typing import Any

from app.service.admission import AdmissionQueue
from app.service.messages import CompilingFacts

log = logging.getLogger(__name__)


class Rehearsals:
    """Compiles on a GPU, a setting at a time, while nobody waits for an answer.

    `done` of `total` settings are compiled; 0 of 0 where nothing is to be.
    """

    def __init__(self, admission: AdmissionQueue) -> None:
        self._admission = admission
        self.done = self.total = 0

    def facts(self) -> CompilingFacts:
        """How far it is, to be said beside what is known of the engine; nothing once it is over."""
        return {"compiling": f"{self.done} / {self.total}"} if self.done < self.total else {}

    def run(self, engine: Any) -> None:
        """Rehearse with a loaded engine, until all is done or the server closes."""
        if not engine.device.startswith("cuda"):
            return
        from adaspark.ask.ahead import rehearsals

        planned = list(rehearsals(engine))
        self.total = len(planned)
        for setting in planned:
            if not self._admission.wait_until_idle():
                return
            try:
                engine.rehearse(*setting)
            except Exception:
                log.exception("Compiling ahead failed; kernels are compiled when they are needed.")
                break
            self.done += 1
        self.done = self.total
