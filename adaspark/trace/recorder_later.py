"""Tallies of a prompt's layers that are yet to be summed: the next layer does not wait for them."""

from __future__ import annotations

from collections.abc import Iterator

from adaspark.method.tally import Later, Tally

WAITING_TALLY_BYTES = 2**27
"""Bounds what waits to be summed: a prompt of up to 8K tokens, which is read as fast as its kernels
are launched, waits as a whole; a longer one keeps its device busy meanwhile."""


class LaterTallies:
    """By layer, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Later, bool]] = []

    def add(self, layer: int, later: Later, words_alone: bool) -> None:
        """One more, and whether it is its words alone that count."""
        self._waiting.append((layer, later, words_alone))

    @property
    def nbytes(self) -> int:
        """Of what is kept of them."""
        return sum(later.nbytes for _, later, _ in self._waiting)

    @property
    def are_many(self) -> bool:
        """Whether they are to be summed now."""
        return self.nbytes > WAITING_TALLY_BYTES

    def taken(self) -> Iterator[tuple[int, Tally, bool]]:
        """Each as it was added, but summed; none is left."""
        waiting, self._waiting = self._waiting, []
        for layer, later, words_alone in waiting:
            yield layer, later.tally, words_alone

    def forked(self) -> LaterTallies:
        """The same, to be added to and taken apart from these."""
        made = LaterTallies()
        made._waiting = list(self._waiting)
        return made
