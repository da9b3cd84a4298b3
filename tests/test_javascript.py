"""The scripts' own tests, in Node; and what both languages compute, computed by both."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trace_factory import make_trace

from adaspark.trace.trace import Trace
from tests.js.check import OLDEST_NODE, node_version
from viz.data import statistics
from viz.data.packing import unpacked
from viz.data.scene import scene
from viz.data.statistics import TraceView
from viz.video import difference
from viz.video.encode import slice_at

FOLDER = Path(__file__).parent / "js"
VERSION = node_version()
OLDEST = ".".join(map(str, OLDEST_NODE))
pytestmark = pytest.mark.skipif(
    VERSION is None or VERSION < OLDEST_NODE,
    reason=f"JavaScript is tested where Node {OLDEST} or later is installed",
)
SIDES = ["none", "a", "b", "both"]
"""By the numbers of viz/video/difference.py."""


def node(*arguments: str, given: str = "") -> str:
    done = subprocess.run(
        ["node", *arguments], input=given, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.test.mjs")), ids=lambda path: path.name)
def test_units(path: Path) -> None:
    assert "# fail 0" in node("--test", "--test-reporter=tap", str(path))


def run_of(seed: int, **changes: Any) -> Trace:
    options: dict[str, Any] = {"grids": ((8, 6, 8),), "cube": (2, 3, 4), "layers": 3}
    return make_trace(**{**options, **changes}, seed=seed)


def same(a: Trace, b: Trace, times: list[float]) -> Any:
    """What the viewer's scripts make of two runs, and of one's times."""
    given = {"a": scene(a), "b": scene(b), "times": times}
    return json.loads(node(str(FOLDER / "same.mjs"), given=json.dumps(given)))


@pytest.fixture(scope="module", params=[{}, {"cube": (4, 2, 2)}, {"attn_top_p": 0.4}])
def runs(request: pytest.FixtureRequest) -> tuple[Trace, Trace, Any]:
    a, b = run_of(1), run_of(2, **request.param)
    starts = TraceView(a).slice_starts
    near = [0.0, 99.0, *(starts - 0.003), *(starts - 0.001), *(starts + 0.001)]
    return a, b, same(a, b, [float(time) for time in near])


def test_a_cube_counts_as_kept_in_both(runs: tuple[Trace, Trace, Any]) -> None:
    packed = scene(runs[0])["kept"]
    table = unpacked(packed).astype(np.float32) / (2 ** int(packed["dtype"][1:]) - 1)
    by_python = [[statistics.counts_as_kept(row).tolist() for row in rows] for rows in table]
    assert runs[2]["kept"] == by_python
    assert {each for rows in by_python for row in rows for each in row} == {True, False}


def test_a_time_falls_in_one_slice_in_both(runs: tuple[Trace, Trace, Any]) -> None:
    starts = TraceView(runs[0]).slice_starts
    near = [0.0, 99.0, *(starts - 0.003), *(starts - 0.001), *(starts + 0.001)]
    assert runs[2]["slices"] == [slice_at(starts, float(time)) for time in near]


@pytest.mark.parametrize("compared", ["cubes", "ffn"])
def test_two_runs_differ_alike_in_both(
    runs: tuple[Trace, Trace, Any], compared: difference.Compared
) -> None:
    a, b, found = runs
    assert found["comparable"] and difference.comparable(a, b)
    for layer, sides in enumerate(found[compared]):
        by_python = difference.sides(a, b, layer, kind="question", compared=compared)
        assert sides == [SIDES[side] for side in by_python]
