"""Work that reports how far it is, as a stream: reports first, what it returns at last."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Done = TypeVar("Done")
Report = Callable[[int, int], None]
STEPS = 50


def reported(work: Callable[[Report], Done]) -> Iterator[float | Done]:
    """Run `work(report)` in a thread; yield the shares it reports, then its result.

    At most STEPS shares are passed on. `work` must not raise.
    """
    messages: queue.SimpleQueue[tuple[bool, float | Done]] = queue.SimpleQueue()
    steps_told = 0

    def report(done: int, total: int) -> None:
        nonlocal steps_told
        steps = done * STEPS // max(total, 1)
        if steps > steps_told:
            steps_told = steps
            messages.put((False, done / total))

    threading.Thread(target=lambda: messages.put((True, work(report))), daemon=True).start()
    last = False
    while not last:
        last, value = messages.get()
        yield value
