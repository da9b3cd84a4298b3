"""Tables of words that would be large: the likeliest cubes are listed, sums are of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import prompt, tiny_model

from adaspark import AdaSparkConfig, Trace, record, sparsify
from adaspark.trace import recorder, recorder_layers, word_rows
from viz.data.scene import scene
from viz.data.statistics import TraceView

LAYERS, HEADS, LISTED = 2, 4, 3
GRIDS = [(4, 4, 4), (2, 3, 3)]


@pytest.fixture(scope="module")
def model() -> Any:
    made = tiny_model(heads=HEADS, kv_heads=2, layers=LAYERS)
    made.generation_config.eos_token_id = None
    return sparsify(made, AdaSparkConfig((2, 2, 2), 0.6, 0.6))


def answered(model: Any) -> Trace:
    with record(model) as trace, torch.no_grad():
        model.generate(**prompt(GRIDS), max_new_tokens=3, do_sample=False)
    return trace


@pytest.fixture
def both(model: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Trace, Trace]:
    """The same run with whole tables, and with LISTED cubes of each row."""
    whole = answered(model)
    room = LAYERS * HEADS * LISTED * word_rows.LISTED_BYTES
    monkeypatch.setattr(word_rows, "WORD_BYTES", room)
    return whole, answered(model)


def test_the_likeliest_cubes_are_listed_and_the_header_says_so(
    both: tuple[Trace, Trace],
) -> None:
    whole, listed = both
    assert whole.meta.left_out is None and not whole.word_cubes.size and not whole.word_heads.size
    assert listed.word_probs.shape[-1] == LISTED < len(listed.bounds)
    left = listed.meta.left_out
    assert left is not None and left.cubes == LISTED
    ranked = -np.sort(-whole.word_probs, axis=-1)
    np.testing.assert_array_equal(-np.sort(-listed.word_probs, axis=-1), ranked[..., :LISTED])
    known = ranked.astype(np.float64).sum(-1) > 0  # text before the video sees no cube
    beyond = ranked[..., LISTED:].astype(np.float64).sum(-1)[known].mean()
    assert left.mass == pytest.approx(beyond, abs=1e-3)
    missed = whole.word_mask() & ~listed.word_mask()
    assert left.choices == missed.sum() > 0
    assert not (listed.word_mask() & ~whole.word_mask()).any()


def test_sums_and_entropies_are_those_of_all_cubes(both: tuple[Trace, Trace]) -> None:
    whole, listed = both
    rows = range(len(whole.words))
    for layer in range(LAYERS):
        shares = whole.word_share_in(layer, rows)
        np.testing.assert_array_equal(listed.word_share_in(layer, rows), shares)
        np.testing.assert_allclose(shares, whole.word_mask()[layer].mean(1))
        mass = listed.word_mass_in(layer, rows)
        assert mass.shape == whole.word_mass_in(layer, rows).shape
        sums = mass.sum(-1)
        np.testing.assert_allclose(sums[sums > 0], 1, atol=2e-3)
        # What is not listed is never likelier than what is.
        others = np.where(mass == mass.min(-1, keepdims=True), mass, 0).max(-1)
        assert (others <= listed.word_probs[layer].min(-1) + 1e-3).all()
    np.testing.assert_array_equal(listed.word_entropy, whole.word_entropy)
    np.testing.assert_array_equal(listed.word_effective, whole.word_effective)


def test_pictures_are_drawn_from_either(both: tuple[Trace, Trace], tmp_path: Path) -> None:
    whole, listed = both
    listed.save(tmp_path / "listed.npz")
    read = Trace.load(tmp_path / "listed.npz")
    assert read.meta == listed.meta and (read.word_cubes == listed.word_cubes).all()
    for kind in ("question", "answer"):
        np.testing.assert_array_equal(TraceView(read).kept(kind), TraceView(whole).kept(kind))
    assert scene(read)["kept"] == scene(whole)["kept"]


def test_words_are_reduced_as_they_come_where_there_are_many(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = answered(model)
    monkeypatch.setattr(recorder, "WAITING_WORD_BYTES", 1)
    monkeypatch.setattr(recorder_layers, "WAITING_ENTROPY_BYTES", 1)
    monkeypatch.setattr(recorder_layers, "WAITING_HOST_BYTES", 1)
    parts = answered(model)
    assert parts.meta == whole.meta
    for name in ("word_probs", "word_kept", "word_entropy", "cube_entropy", "kept_share"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name), name)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 40])
def test_bits_are_those_of_numpy(count: int) -> None:
    mask = torch.rand(3, 2, count, generator=torch.Generator().manual_seed(count)) < 0.5
    bits = word_rows.packed(mask)
    np.testing.assert_array_equal(bits.numpy(), np.packbits(mask.numpy(), axis=-1))
    assert torch.equal(word_rows.packed_by_torch(mask), bits)
    assert torch.equal(word_rows.unpacked(bits, count), mask)


def test_tables_stay_within_their_bounds() -> None:
    rows = 28 * 28
    assert word_rows.listed(396, rows) == 396  # 25K tokens in cubes of 64: whole
    for cubes, words in ((2048, 64), (32768, 64), (2048, 4096)):
        most = word_rows.listed(cubes, rows, words)
        assert 1 <= most < cubes
        assert most == 1 or word_rows.LISTED_BYTES * most * rows * words <= word_rows.TABLE_BYTES
