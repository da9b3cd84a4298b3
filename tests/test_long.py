"""What `mark_further` leaves out still has every value of every parameter in what it keeps."""

from __future__ import annotations

from itertools import product

import pytest
from long import _each_once, mark_further


@pytest.mark.parametrize("sides", [(5,), (3, 4), (12, 5), (2, 3, 4)])
def test_each_value_is_tried_and_few_combinations(sides: tuple[int, ...]) -> None:
    rows = [set(enumerate(values)) for values in product(*map(range, sides))]
    kept = _each_once(rows)
    assert set().union(*(rows[at] for at in kept)) == set().union(*rows)
    assert len(set(kept)) == len(kept) <= sum(sides) - len(sides) + 1


def test_values_that_only_meet_in_pairs_are_all_tried() -> None:
    rows = [{("a", 0), ("b", 0)}, {("a", 0), ("b", 1)}, {("a", 1), ("b", 1)}]
    kept = _each_once(rows)
    assert set().union(*(rows[at] for at in kept)) == {("a", 0), ("a", 1), ("b", 0), ("b", 1)}


def test_what_is_left_to_make_test_all_is_marked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("a", "xyz")
        @pytest.mark.parametrize("b, c", [(1, 2), (1, 3), (4, 2)])
        def test_two(a, b, c): ...

        @pytest.mark.few(2)
        @pytest.mark.parametrize("n", range(10))
        def test_few(n): ...

        def test_one(): ...
        """
    )
    items, _ = pytester.inline_genitems("-m", "", "-W", "ignore")
    mark_further(items)
    names = [item.name for item in items if not item.get_closest_marker("long")]
    assert names == ["test_two[1-2-x]", "test_two[1-3-y]", "test_two[4-2-z]",
                     "test_few[0]", "test_few[5]", "test_one"]  # fmt: skip
