"""Figures are JSON, a row on a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adaspark.figures_json import text_of, write_figures

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    PLAIN | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert json.loads(text_of(value)) == value


def test_a_row_of_plain_values_is_a_line() -> None:
    figures = {"setting": {"commit": "é"}, "rows": [{"a": 1, "b": [2, 3]}, {"a": 4}], "none": []}
    assert text_of(figures).splitlines() == [
        "{",
        ' "setting": {"commit": "é"},',
        ' "rows": [',
        "  {",
        '   "a": 1,',
        '   "b": [2, 3]',
        "  },",
        '  {"a": 4}',
        " ],",
        ' "none": []',
        "}",
    ]


def test_a_figure_that_is_no_number_is_null(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    write_figures(path, {"speeds": [1.5, float("nan"), float("-inf")]})
    assert json.loads(path.read_text("utf-8")) == {"speeds": [1.5, None, None]}
