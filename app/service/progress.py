"""Work as a stream: how far it is, again and again, then what it returns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from adaspark.model.streaming import Stopped, streamed

Done = TypeVar("Done")
Report = Callable[[int, int], None]
STEPS = 50


def reported(work: Callable[[Report], Done]) -> Iterator[float | Done]:
    """Run `work(report)` in a thread; yield the shares it reports, then its result.

    At most STEPS shares are passed on. What `work` raises is raised here. If the consumer goes
    away, the work ends at its next report.
    """

    def run(emit: Callable[[float | Done], None], gone: threading.Event) -> None:
        steps_passed_on = 0

        def report(done: int, total: int) -> None:
            nonlocal steps_passed_on
            if gone.is_set():
                raise Stopped
            steps = done * STEPS // max(total, 1)
            if steps > steps_passed_on:
                steps_passed_on = steps
                emit(done / total)

        emit(work(report))

    return streamed(run)
