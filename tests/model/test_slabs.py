"""A long prompt is read slab by slab: what it gives, and what is recorded, is one prefill's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from adaspark.method.config import Cube
from adaspark.mini.training.stages import STAGES
from adaspark.model import checkpoint, slabs
from adaspark.model.features import Features
from adaspark.model.generation import Written, generate
from adaspark.model.mrope import TEXT, VIDEO
from adaspark.model.qwen import sparsify
from adaspark.model.slabs import part_ends, part_tokens
from adaspark.model.trained import BUNDLED_FRAMES, trained_note
from adaspark.trace import recorder_table

CPU = torch.device("cpu")
GRID = (21, 3, 5)


@pytest.fixture(scope="module")
def loaded() -> Any:
    return checkpoint.load()


@pytest.fixture(scope="module")
def features(loaded: Any) -> Features:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(GRID[0] * 15, 256, generator=generator) / 10
    return Features(rows, GRID, [n / 2 for n in range(2 * GRID[0])])


def asked(loaded: Any, features: Features, told: list[tuple[str, int, int]]) -> Written:
    return generate(
        loaded,
        features,
        "what color is the circle ?",
        seconds_per_slice=1.0,
        max_new_tokens=3,
        report=lambda *phase: told.append(phase),
        on_text=lambda text: None,
        scored=(7, 8),
    )


@pytest.mark.few(2)
@pytest.mark.parametrize("cube", [(1, 2, 2), (2, 2, 2), (4, 4, 4)])
@pytest.mark.parametrize("sampled", [False, True], ids=["whole-table", "sampled-table"])
def test_slabs_are_one_prefill_in_words_and_in_the_trace(
    loaded: Any,
    features: Features,
    cube: Cube,
    sampled: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if sampled:
        monkeypatch.setattr(recorder_table, "QUERY_TABLE_BYTES", 6 * 126 * 5)
    sparsify(loaded.model, replace(loaded.config, cube=cube))
    told: list[tuple[str, int, int]] = []
    whole = asked(loaded, features, [])
    monkeypatch.setattr(slabs, "PART_BYTES", {"cpu": 1})
    monkeypatch.setattr(slabs, "FEWEST_TOKENS", 100)
    parts = asked(loaded, features, told)
    prefilled = [phase for phase in told if phase[0] == "prefill"]
    assert len(prefilled) > 6 and prefilled[-1][1] == prefilled[-1][2] == len(prefilled)
    assert parts.text == whole.text
    assert parts.scored_logprob == pytest.approx(whole.scored_logprob, abs=1e-3)
    mine, theirs = parts.trace, whole.trace
    for name in ("ffn_kept", "kept_share", "query_cubes", "bounds", "word_kept", "causal_pairs"):
        assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name
    for name in ("word_probs", "cube_entropy", "ffn_importance"):
        found, wanted = (getattr(t, name).astype(float) for t in (mine, theirs))
        np.testing.assert_allclose(found, wanted, atol=2e-3, rtol=2e-3)
    assert [word.kind for word in mine.words] == [word.kind for word in theirs.words]
    assert mine.meta.grids == theirs.meta.grids and mine.meta.counts == theirs.meta.counts
    assert mine.meta.sampled_query_cubes == sampled or cube != (1, 2, 2)


def test_parts_hold_whole_slabs_and_the_last_one_all_text_after_the_video() -> None:
    types = torch.tensor([TEXT] * 4 + [VIDEO] * 315 + [TEXT] * 9)
    assert part_ends(types, GRID, 2, 70) == [64, 124, 184, 244, 304, 328]
    assert part_ends(types, GRID, 8, 70) == [124, 244, 328]  # a slab alone passes the bound
    assert part_ends(types, GRID, 30, 70) == [328]
    assert part_ends(types, GRID, 2, 70, in_one=True) == [328]
    assert part_ends(types[:60], (3, 3, 5), 2, 70) == [60]


def test_parts_are_as_large_as_what_they_take_allows() -> None:
    assert part_tokens(CPU, 4736, 1344, is_dense=False) > 4736  # the longest that a page shows
    hour = [part_tokens(CPU, 28_800, 1344, is_dense=is_dense) for is_dense in (False, True)]
    assert 4096 < hour[0] < 28_800 and hour[1] == slabs.FEWEST_TOKENS
    assert part_tokens(CPU, 28_800, 18_944, is_dense=False) == slabs.FEWEST_TOKENS
    assert part_tokens(torch.device("cuda"), 28_800, 18_944, is_dense=True) == 28_800


def test_more_frames_than_the_bundled_model_was_trained_on_are_said() -> None:
    (told,) = trained_note(is_bundled=True, frames=3600)
    assert "at most 256 frames and is shown 3,600" in told and "may be wrong" in told
    assert not trained_note(is_bundled=True, frames=256)
    assert not trained_note(is_bundled=False, frames=3600)
    longest = max(clips.frames for stage in STAGES for clips in stage.clips)
    assert longest == BUNDLED_FRAMES
