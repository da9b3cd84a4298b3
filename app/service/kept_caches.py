"""What conversations hold together, bounded: the longest unused ones are freed first."""

from __future__ import annotations

import threading

from adaspark.model.conversation import Conversation


class KeptCaches:
    """The clips that are held in a model's cache for the next question, `limit_bytes` in all;
    thread-safe.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._by_age: list[Conversation] = []
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Bytes that are held now."""
        with self._lock:
            return sum(conversation.nbytes for conversation in self._by_age)

    def used(self, conversation: Conversation) -> None:
        """It has answered a question, and holds what it may: nothing if that alone is too much."""
        with self._lock:
            others = [c for c in self._by_age if c is not conversation and c.nbytes]
            self._by_age = [*others, conversation]
            held = sum(c.nbytes for c in self._by_age)
            while held > self._limit and self._by_age:
                oldest = self._by_age.pop(0)
                held -= oldest.nbytes
                oldest.release()
