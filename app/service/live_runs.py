"""Runs that go on while their page cannot hear them, found again by an unguessable ticket."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from cachetools import LRUCache

MAX_RUNS = 256
Message = TypeVar("Message")


class LiveRun(Generic[Message]):
    """The states of one run, made in a thread of its own: who stops listening does not end it.

    Once it has ended and who follows it has heard that, or has left, only the last state is kept:
    each holds all that was written so far.
    """

    def __init__(self, states: Iterable[Message]) -> None:
        self._messages: list[Message] = []
        self._is_over = self._is_heard = False
        self._changed = threading.Condition()
        threading.Thread(target=self._work, args=(states,), daemon=True).start()

    def follow(self) -> Iterator[Message]:
        """Every state from the first on, as they come."""
        heard = 0
        try:
            while True:
                with self._changed:
                    while len(self._messages) == heard and not self._is_over:
                        self._changed.wait()
                    fresh, is_over = self._messages[heard:], self._is_over
                yield from fresh
                heard += len(fresh)
                if is_over:
                    return
        finally:
            with self._changed:
                self._is_heard = True
                self._shorten()

    def newest(self) -> tuple[Message | None, bool]:
        """The last state so far, and whether no other will follow."""
        with self._changed:
            return (self._messages[-1] if self._messages else None), self._is_over

    def _work(self, states: Iterable[Message]) -> None:
        try:
            for message in states:
                self._tell(message)
        finally:
            with self._changed:
                self._is_over = True
                self._shorten()
                self._changed.notify_all()

    def _shorten(self) -> None:
        if self._is_over and self._is_heard:
            del self._messages[:-1]

    def _tell(self, message: Message) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()


class LiveRuns(Generic[Message]):
    """The newest runs by their tickets; thread-safe."""

    def __init__(self, maximum: int = MAX_RUNS) -> None:
        self._from_ticket: LRUCache[str, LiveRun[Message]] = LRUCache(maximum)
        self._lock = threading.Lock()

    def start(self, ticket: str, states: Iterable[Message]) -> Iterator[Message]:
        """Begin a run and follow it; without a ticket nobody else can."""
        run = LiveRun(states)
        if ticket:
            with self._lock:
                self._from_ticket[ticket] = run
        return run.follow()

    def get(self, ticket: str) -> LiveRun[Message] | None:
        """The run of a ticket; None if it is unknown or was forgotten."""
        with self._lock:
            return self._from_ticket.get(ticket)
