"""Work in a thread, its events in a generator."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Event = TypeVar("Event")
Item = TypeVar("Item")


class Stopped(Exception):
    """The request was stopped from outside."""


def streamed(work: Callable[[Callable[[Event], None], threading.Event], None]) -> Iterator[Event]:
    """Run `work(emit, gone)` in a thread and yield what it emits; its error is raised here.

    `gone` is set when the consumer goes away; `work` may raise Stopped to end without a word.
    """
    events: queue.Queue[tuple[Event] | BaseException | None] = queue.Queue()
    gone = threading.Event()

    def run() -> None:
        try:
            work(lambda event: events.put((event,)), gone)
        except Stopped:
            pass
        except BaseException as error:
            events.put(error)
        events.put(None)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    try:
        while (event := events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event[0]
    finally:
        gone.set()
        thread.join()


def ahead(items: Iterable[Item], *, depth: int = 2) -> Iterator[Item]:
    """Yield `items`, which a thread makes up to `depth` before they are asked for.

    Its error is raised here. Where the consumer goes away, the thread ends after the item at hand.
    """
    made: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue()
    room, gone = threading.Semaphore(depth), threading.Event()

    def run() -> None:
        try:
            for item in items:
                made.put((item,))
                room.acquire()
                if gone.is_set():
                    return
        except BaseException as error:
            made.put(error)
        made.put(None)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            room.release()
            yield item[0]
    finally:
        gone.set()
        room.release()
        thread.join()
