"""The film of two runs: every pixel's colour says which of them keeps what lies there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from coded_clip import number_of, write_coded_clip
from trace_factory import make_trace, pruned_trace

from adaspark.trace.trace import Trace
from viz.data.statistics import TraceView
from viz.video import difference
from viz.video.difference import BOTH, NEITHER, ONLY_A, ONLY_B

GRID = (6, 4, 8)
SHAPE: dict[str, Any] = {"grids": (GRID,), "cube": (2, 2, 2), "layers": 2, "fps": 8.0}
LAYER = 1


@pytest.fixture(scope="module")
def a() -> Trace:
    return make_trace(**SHAPE, seed=1)


@pytest.fixture(scope="module")
def b() -> Trace:
    return make_trace(**SHAPE, attn_top_p=0.6, ffn_top_p=0.4, seed=2)


def tokens_kept(trace: Trace, kind: str = "question") -> np.ndarray:
    """Token by token, whether its cube counts as kept: read from the shares one by one."""
    row = TraceView(trace).kept(kind)[LAYER]
    threshold = min(row.mean(), 0.5) - 0.002
    return np.array([row[cube] > 0 and row[cube] >= threshold for cube in trace.cube_from_token])


@pytest.mark.parametrize("kind", ["question", "answer"])
def test_each_token_is_on_the_side_of_those_that_keep_its_cube(
    a: Trace, b: Trace, kind: str
) -> None:
    found = difference.sides(a, b, LAYER, kind=kind, compared="cubes")
    for side, mine, theirs in zip(found, tokens_kept(a, kind), tokens_kept(b, kind), strict=True):
        assert side == {(1, 1): BOTH, (1, 0): ONLY_A, (0, 1): ONLY_B, (0, 0): NEITHER}[mine, theirs]


def test_ffn_tokens_are_compared_by_their_masks(a: Trace, b: Trace) -> None:
    found = difference.sides(a, b, LAYER, kind="question", compared="ffn")
    assert np.array_equal(found & ONLY_A > 0, a.ffn_mask()[LAYER])
    assert np.array_equal(found & ONLY_B > 0, b.ffn_mask()[LAYER])


def test_a_pruned_token_is_kept_by_nobody(a: Trace) -> None:
    kept = [3, 50, 191]
    pruned = pruned_trace(GRID, kept, layers=2)
    for compared, mine in (("cubes", tokens_kept(a)), ("ffn", a.ffn_mask()[LAYER])):
        found = difference.sides(a, pruned, LAYER, kind="question", compared=compared)  # type: ignore[arg-type]
        assert np.flatnonzero(found & ONLY_B).tolist() == kept
        assert np.array_equal(found & ONLY_A > 0, mine)


def test_only_runs_of_the_same_slices_and_layers_are_comparable(a: Trace, tmp_path: Path) -> None:
    assert difference.comparable(a, make_trace(**{**SHAPE, "cube": (1, 4, 4)}))
    assert difference.comparable(a, pruned_trace(GRID, [0], layers=2))
    for other in (
        make_trace(**{**SHAPE, "grids": ((3, 4, 8),)}),
        make_trace(**{**SHAPE, "layers": 3}),
        pruned_trace((6, 4, 7), [0], layers=2),
    ):
        assert not difference.comparable(a, other)
        with pytest.raises(ValueError, match="theirs differ"):
            difference.write_difference(a, other, "x.mp4", tmp_path / "y.mp4", layer=0)


@pytest.mark.parametrize("compared", ["cubes", "ffn"])
def test_the_film_keeps_its_times_and_colours_each_cell(
    a: Trace, b: Trace, tmp_path: Path, compared: Any
) -> None:
    clip = write_coded_clip(tmp_path / "in.mp4", frames=12, fps=8, width=320, height=160)
    out = tmp_path / "out.mp4"
    labels = ("AdaSpark", "a name that is far too long for a film of three hundred pixels or so")
    difference.write_difference(a, b, clip, out, layer=LAYER, compared=compared, labels=labels)
    with av.open(str(clip)) as before, av.open(str(out)) as after:
        times = [frame.time for frame in before.decode(video=0)]
        frames = list(after.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx(times)
    found = difference.sides(a, b, LAYER, kind="question", compared=compared).reshape(GRID)
    seen = set()
    for number, frame in enumerate(frames):
        pixels = frame.to_ndarray(format="rgb24").astype(float)
        assert pixels.shape[1] == 1440 and pixels.shape[0] > 720, "the legend stands below"
        for row, column in np.ndindex(GRID[1:]):
            # The middle of a cell's right half: letters stand on the left.
            y, x = row * 180 + 108, column * 180 + 126
            red, _, blue = pixels[y - 27 : y + 28, x - 27 : x + 28].mean((0, 1))
            side = int(found[number // 2, row, column])
            grey = abs(red - blue) < 30
            assert grey == (side in (BOTH, NEITHER)) and (grey or (red < blue) == (side == ONLY_A))
            if side == BOTH:
                assert number_of(pixels[y, x].mean()) == number
            seen.add(side)
    assert seen == {BOTH, ONLY_A, ONLY_B, NEITHER}


def test_a_legend_in_another_language_stands_in_the_place_of_the_english_one(
    a: Trace, b: Trace, tmp_path: Path
) -> None:
    clip = write_coded_clip(tmp_path / "in.mp4", frames=4, fps=8, width=320, height=160)

    def drawn(own_legend: list[str]) -> np.ndarray:
        out = tmp_path / "out.mp4"
        difference.write_difference(a, b, clip, out, layer=LAYER, own_legend=own_legend)
        with av.open(str(out)) as opened:
            return next(opened.decode(video=0)).to_ndarray(format="rgb24").astype(float)

    english, own = drawn([]), drawn(["nur A", "nur B", "beide", "Schicht 1"])
    assert english.shape == own.shape
    assert np.abs(english[:700] - own[:700]).mean() < 1
    assert np.abs(english[740:] - own[740:]).mean() > 5
    with pytest.raises(ValueError, match="zip"):
        drawn(["one line"])
