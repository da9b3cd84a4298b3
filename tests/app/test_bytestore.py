"""A store of bounded bytes: what stays, what goes, what is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaspark.model.byte_store import ByteStore


@given(
    st.integers(0, 12),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 15) | st.none()), max_size=30),
)
def test_it_keeps_the_most_recently_used_that_fit(
    limit: int, steps: list[tuple[str, int | None]]
) -> None:
    """Against a list in the order of use; a size is a put, None a get."""
    dropped: list[str] = []
    store: ByteStore[str] = ByteStore(limit, on_drop=dropped.append)
    expected: list[tuple[str, int]] = []
    expected_dropped: list[str] = []
    for key, size in steps:
        known = dict(expected)
        rest = [entry for entry in expected if entry[0] != key]
        if size is not None:
            assert store.put(key, key, size) is None
            expected = [*rest, (key, max(size, 1))]
            while len(expected) > 1 and sum(held for _, held in expected) > max(limit, 1):
                expected_dropped.append(expected.pop(0)[0])
        else:
            assert store.get(key) == (key if key in known else None)
            expected = [*rest, (key, known[key])] if key in known else expected
    assert dropped == expected_dropped
    assert [store.get(key) for key, _ in expected] == [key for key, _ in expected]


@pytest.mark.parametrize("limit", [0, 10])
def test_the_newest_stays_even_where_it_alone_is_too_large(limit: int) -> None:
    dropped: list[str] = []
    store: ByteStore[str] = ByteStore(limit, on_drop=dropped.append)
    store.put("old", "old", 1)
    store.put("large", "large", 1000)
    assert dropped == ["old"] and store.get("large") == "large"
    store.put("new", "new", 1)
    assert dropped == ["old", "large"] and store.get("new") == "new"


def test_an_item_that_another_took_the_place_of_is_not_told() -> None:
    """A video that is kept again under its name must not be removed."""
    dropped: list[str] = []
    store: ByteStore[str] = ByteStore(10, on_drop=dropped.append)
    store.put("a", "first", 8)
    store.put("a", "second", 9)
    assert not dropped and store.get("a") == "second" and store.held_bytes == 9
