"""How long a video will take is said from the runs before it."""

from __future__ import annotations

import pytest
from fake_engine import FakeEngine
from hypothesis import given
from hypothesis import strategies as st
from paths import ASSETS

from adaspark.method.config import AdaSparkConfig
from adaspark.model.events import Result
from adaspark.model.request import Options
from adaspark.trace.meta import Pruned
from app.media.uploads import _rounded
from app.service.time_estimates import TimeEstimates

CLIP = ASSETS / "samples" / "2_order.mp4"
CONFIG = AdaSparkConfig(cube=(2, 2, 2))


def observed(seconds: dict[str, float]) -> Result:
    engine = FakeEngine()
    result = engine._result(CLIP, "?", Options(CONFIG), [" one"] * 4)
    return Result(result.answer, result.trace, {**result.seconds, **seconds})


def test_nothing_is_said_of_the_time_before_something_was_measured() -> None:
    assert TimeEstimates().secs(100) is None


def test_a_pruned_run_tells_nothing_of_the_time() -> None:
    result, estimates = observed({"decode": 1.0, "vision": 2.0}), TimeEstimates()
    result.trace.meta.pruned = Pruned((1, 1, 1), [0])
    estimates.observe(result)
    assert estimates.secs(100) is None


def test_the_time_of_the_same_video_is_what_it_took() -> None:
    result = observed({"decode": 1.0, "vision": 2.0, "prefill": 4.0, "generate": 0.5})
    estimates = TimeEstimates()
    estimates.observe(result)
    assert estimates.secs(len(result.trace.cube_from_token)) == pytest.approx(7.5)


def test_a_run_on_kept_features_tells_nothing_of_encoding() -> None:
    cached = observed({"decode": 0.0, "vision": 0.0, "prefill": 2.0, "generate": 0.5})
    estimates = TimeEstimates()
    estimates.observe(cached)
    assert estimates.secs(100) is None
    estimates.observe(observed({"decode": 1.0, "vision": 2.0, "prefill": 4.0, "generate": 0.5}))
    estimates.observe(cached)
    assert estimates.secs(len(cached.trace.cube_from_token)) == pytest.approx(5.5)


def test_a_sparse_run_makes_a_long_video_cheaper_than_a_dense_one_of_the_same_time() -> None:
    """The same seconds over fewer pairs of tokens: these grow with the square."""
    said = []
    for density in (0.1, 1.0):
        result = observed({"decode": 1.0, "vision": 2.0, "prefill": 4.0, "generate": 0.0})
        pairs = result.trace.causal_pairs
        result.trace.computed_pairs = (density * pairs).astype(pairs.dtype)
        estimates = TimeEstimates()
        estimates.observe(result)
        tokens = len(result.trace.cube_from_token)
        assert estimates.secs(tokens) == pytest.approx(7.0)
        said.append(estimates.secs(100 * tokens))
    assert said[0] < said[1]


@given(st.integers(1000, 4096), st.integers(2, 8))
def test_a_longer_video_takes_about_as_many_times_longer_or_more(tokens: int, times: int) -> None:
    estimates = TimeEstimates()
    estimates.observe(observed({"decode": 1.0, "vision": 2.0, "prefill": 4.0, "generate": 0.0}))
    short, long = estimates.secs(tokens), estimates.secs(tokens * times)
    assert short is not None and long is not None and long > short * times * 0.95


@pytest.mark.parametrize(
    ("secs", "text"),
    [(0.01, "0.1 s"), (0.64, "0.6 s"), (9.0, "9.0 s"), (42.4, "42 s"), (180.0, "3 min")],
)
def test_an_estimate_has_few_digits(secs: float, text: str) -> None:
    assert _rounded(secs) == text
