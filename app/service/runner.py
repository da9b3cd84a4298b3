"""Runs on their way through the engine: their turn, their time, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from adaspark.errors import UserError
from app.service.admission import AdmissionQueue, Waiting
from app.service.kept_caches import KeptCaches
from app.service.queue import Run

if TYPE_CHECKING:
    from adaspark.model.conversation import Conversation
    from adaspark.trace.trace import Trace
    from app.web.limits import ServerLimits

Event = TypeVar("Event")
LATE = (
    "This run took longer than {:,} s, the most that this server allows; ask for fewer frames or "
    "words."
)


class Observer(Protocol):
    """Told how runs end."""

    def answered(self, trace: Trace, seconds: Mapping[str, float], stopped: bool) -> None:
        """A run has an answer; `seconds` by phase."""

    def failed(self, kind: str) -> None:
        """A run has none: it was `refused`, or it `failed`."""


class _Silent:
    def answered(self, trace: Trace, seconds: Mapping[str, float], stopped: bool) -> None:
        pass

    def failed(self, kind: str) -> None:
        pass


class Runner:
    """Takes runs to their answers within a server's limits. Safe to call from many threads.

    `warm_up` is a run that gives way to any other, `ended` how many have ended.
    """

    def __init__(self, limits: ServerLimits, *, at_once: int) -> None:
        self.observer: Observer = _Silent()
        self.admission = AdmissionQueue(limits.waiting_runs, at_once=at_once)
        self.kept = KeptCaches(limits.kept_caches_mb * 2**20)
        self.warm_up = Run()
        self.ended = 0
        self._run_secs = limits.run_secs

    def events(
        self, run: Run, begin: Callable[[], Iterator[Event]], conversation: Conversation | None
    ) -> Iterator[Event | Waiting]:
        """The events of what `begin` begins, after the run's places if other runs are ahead. What a
        `conversation` holds after it is bounded.

        Raises UserError, also if the run takes longer than this server allows.
        """
        self.warm_up.cancel()
        try:
            with self.admission.enter(run.stop) as places:
                yield from places
                if run.stop.is_set():
                    return
                with run.within(self._run_secs):
                    for event in begin():
                        if not run.is_late:
                            yield event
            if run.is_late:
                raise UserError(LATE.format(self._run_secs))
        except Exception as error:
            self.observer.failed("refused" if isinstance(error, UserError) else "failed")
            raise
        finally:
            self.ended += 1
            if conversation is not None:
                self.kept.used(conversation)

    def close(self, grace_secs: float) -> bool:
        """Take no more runs; whether those under way have ended within the grace."""
        self.warm_up.cancel()
        return self.admission.close(grace_secs)
