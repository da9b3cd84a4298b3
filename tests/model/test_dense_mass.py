"""What dense attention gives each cube: recorded in runs that keep everything, and true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import prompt, tiny_model

from adaspark import record, sparsify
from adaspark.method.config import DENSE, AdaSparkConfig
from adaspark.trace.recorder_mass import MASS_BYTES, DenseMass
from adaspark.trace.trace import Trace

GRIDS = [(4, 3, 5)]
CUBE = (2, 2, 2)


@torch.no_grad()
def attention_of_stock() -> np.ndarray[Any, Any]:
    """[L, H, N, N], computed by transformers' own eager code."""
    model = tiny_model()
    model.set_attn_implementation("eager")
    found = model(**prompt(GRIDS), output_attentions=True).attentions
    return torch.stack([layer[0] for layer in found]).numpy()


def recorded(config: AdaSparkConfig) -> Trace:
    model = sparsify(tiny_model(), config)
    with torch.no_grad(), record(model) as trace:
        model(**prompt(GRIDS))
    return trace


def test_it_is_the_attention_of_the_stock_model_by_cube() -> None:
    trace = recorded(AdaSparkConfig(CUBE, 1.0, 1.0))
    is_video = (prompt(GRIDS)["mm_token_type_ids"][0] == 2).numpy()
    after = [i for i, word in enumerate(trace.words) if word.position > is_video.nonzero()[0][-1]]
    rows = [trace.words[i].position for i in after]
    video = attention_of_stock()[:, :, rows][..., is_video]  # [L, H, n, V]
    cubes = np.eye(len(trace.bounds))[trace.cube_from_token]
    expected = video @ cubes / video.sum(-1, keepdims=True)
    for layer in range(len(expected)):
        found = trace.dense_mass_in(layer, after)
        np.testing.assert_allclose(found, expected[layer].swapaxes(0, 1), atol=1e-3)
    before = [i for i in range(len(trace.words)) if i not in after]
    assert before and not trace.dense_mass[:, before].any()  # they see no video


def test_a_run_that_drops_cubes_has_none_and_says_so() -> None:
    trace = recorded(AdaSparkConfig(CUBE, 0.5, 0.5))
    assert not trace.dense_mass.size
    assert np.isnan(trace.dense_mass_in(0, [0])).all()


def test_of_cubes_that_are_listed_alone_the_others_share_the_rest(tmp_path: Path) -> None:
    trace = recorded(AdaSparkConfig(CUBE, 1.0, 1.0))
    rows = [len(trace.words) - 1]
    whole = trace.dense_mass_in(0, rows)
    listed = np.argsort(-trace.word_probs.astype(float), -1)[..., :3].astype(np.int32)
    trace.word_cubes = listed
    trace.dense_mass = np.take_along_axis(trace.dense_mass, listed, -1)
    trace.save(tmp_path / "run.npz")
    found = Trace.load(tmp_path / "run.npz").dense_mass_in(0, rows)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-2)
    at = listed[0, rows]
    both = (np.take_along_axis(table, at, -1) for table in (found, whole))
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_run_too_long_for_it_keeps_none_of_it(parts: int) -> None:
    mass, held = DenseMass(), MASS_BYTES // (2 * 64)
    for part in range(2):
        mass.add(part, np.arange(1), torch.ones(8, 1, 8).expand(8, 1, 8))
    assert mass.table((2, 1, 8, 8), np.zeros((0, 0, 0, 0), np.int32)).size
    for _ in range(parts):
        mass.add(0, np.arange(1), torch.empty(8, held, 8, device="meta"))
    assert not mass.table((2, 1, 8, 8), np.zeros((0, 0, 0, 0), np.int32)).size


def test_words_that_were_taken_back_are_gone() -> None:
    mass = DenseMass()
    mass.add(0, np.array([0, 2]), torch.ones(1, 2, 3))
    table = mass.table((1, 2, 1, 3), np.zeros((0, 0, 0, 0), np.int32))
    assert (table[0, 0] == 1).all() and np.isnan(table[0, 1]).all()


def test_answers_are_recorded_too() -> None:
    model = sparsify(tiny_model(), DENSE)
    with torch.no_grad(), record(model) as trace:
        model.generate(**prompt(GRIDS), max_new_tokens=3, do_sample=False)
    said = [i for i, word in enumerate(trace.words) if word.kind == "answer"]
    sums = trace.dense_mass.astype(float).sum(-1)
    assert said
    np.testing.assert_allclose(sums[:, said], 1, atol=1e-2)
