"""What finished runs hold of memory: what is counted of them, and a few views."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trace_factory import make_trace

from adaspark.method.config import AdaSparkConfig
from adaspark.model.events import Result
from adaspark.model.request import Options
from app.service.results import MOST_VIEWS, Finished, Results
from app.service.sessions import Video

OPTIONS = Options(AdaSparkConfig((1, 2, 2), 0.9, 0.7))
RUNS = 12


@pytest.fixture
def results() -> Results:
    return Results(2**30)


def added(results: Results, **options: Any) -> Finished:
    shape: dict[str, Any] = {"grids": [(16, 8, 8)], "cube": (1, 2, 2), "layers": 1}
    trace = make_trace(**shape, question=("what?",), answer=(" red",))
    trace.meta.config = OPTIONS.config
    return results.add(Video(Path("a.mp4"), "a"), "", Result("red", trace, {}), OPTIONS, **options)


def array_bytes(held: object, seen: set[int]) -> int:
    """Bytes of the arrays that something holds, each counted once."""
    if id(held) in seen:
        return 0
    seen.add(id(held))
    if isinstance(held, np.ndarray):
        return held.nbytes if held.base is None else array_bytes(held.base, seen)
    if isinstance(held, dict):
        return sum(array_bytes(each, seen) for each in held.values())
    if isinstance(held, list | tuple):
        return sum(array_bytes(each, seen) for each in held)
    return array_bytes(vars(held), seen) if hasattr(held, "__dict__") else 0


def test_results_hold_what_is_counted_of_them_and_no_more(results: Results) -> None:
    """A view's tables take more room than its trace: they would pass the limit several times."""
    made = [added(results) for _ in range(RUNS)]
    tables = array_bytes(made[-1].view, set()) - array_bytes(made[-1].result, set())
    assert tables > results.held_bytes / RUNS, "else nothing is shown here"
    held = array_bytes(made, set())
    assert held < results.held_bytes + (MOST_VIEWS + 1) * tables
    assert held > results.held_bytes / 2


@pytest.mark.few
@pytest.mark.parametrize("permanent", [False, True])
def test_only_the_views_that_were_read_last_are_kept(results: Results, permanent: bool) -> None:
    made = [added(results, permanent=permanent) for _ in range(RUNS)]
    views = [weakref.ref(finished.view) for finished in made]
    gc.collect()
    alive = [view() is not None for view in views]
    assert alive == [False] * (RUNS - MOST_VIEWS) + [True] * MOST_VIEWS
    assert made[-1].view is made[-1].view, "what was read last is not computed anew"
    assert made[0].view.trace is made[0].result.trace


def test_nothing_is_held_of_a_result_that_is_gone() -> None:
    def traces(limit: int, dropped: bool) -> list[bool]:
        results = Results(limit)
        made = [added(results) for _ in range(3)]
        if dropped:
            results.drop(made[-1].key)
        found = [weakref.ref(finished.result.trace) for finished in made]
        made.clear()
        gc.collect()
        return [trace() is not None for trace in found]

    assert traces(2**30, dropped=False) == [True, True, True]
    assert traces(2**30, dropped=True) == [True, True, False]
    assert traces(1, dropped=False) == [False, False, True]
