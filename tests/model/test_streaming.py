"""Items made ahead of their consumer, by a thread that ends when the consumer does."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from waiting import PATIENCE_SECS

from adaspark.model.streaming import ahead


class Made:
    """Counts up to `last`; hears of each item made, and of its own end."""

    def __init__(self, last: int, fails: bool = False) -> None:
        self.count, self.threads = 0, set[int]()
        self.ended = threading.Event()
        self._last, self._fails = last, fails

    def __iter__(self) -> Iterator[int]:
        try:
            while self.count < self._last:
                self.count += 1
                self.threads.add(threading.get_ident())
                yield self.count
            if self._fails:
                raise ZeroDivisionError
        finally:
            self.ended.set()


def test_all_items_come_in_order_from_another_thread() -> None:
    made = Made(50)
    assert list(ahead(made)) == list(range(1, 51))
    assert len(made.threads) == 1 and threading.get_ident() not in made.threads


def test_an_error_comes_after_the_items_before_it() -> None:
    seen = []
    with pytest.raises(ZeroDivisionError):
        for item in ahead(Made(3, fails=True)):
            seen.append(item)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("depth", [1, 4])
def test_no_more_is_made_than_room_is_for_and_leaving_ends_the_thread(depth: int) -> None:
    made = Made(1000)
    items = ahead(made, depth=depth)
    assert [next(items), next(items)] == [1, 2]
    items.close()  # type: ignore[attr-defined]
    assert made.count <= 2 + depth + 1
    before = made.count
    del items
    assert made.ended.wait(PATIENCE_SECS) and made.count == before
