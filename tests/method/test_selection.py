"""The nucleus rule, the softmax it stands on, and entropy: against the slow twin and by law."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaspark.method import reference
from adaspark.method.selection import (
    entropy,
    masked_softmax,
    normalised,
    normalised_entropy,
    nucleus,
)

# Whole weights have many ties, and sums of sixty-fourths are exact in fp32.
weights = st.lists(st.integers(0, 8), min_size=1, max_size=24).filter(lambda w: sum(w) > 0)
thresholds = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.625, 0.75, 0.9, 0.99, 1.0])


def exact_mass(counts: list[int]) -> list[float]:
    """Masses k/64 that sum to one: exact in fp32, so equality at the threshold is decided."""
    scaled = [count * 64 // sum(counts) for count in counts]
    scaled[scaled.index(max(scaled))] += 64 - sum(scaled)
    return [count / 64 for count in scaled]


@given(weights, thresholds, st.data())
def test_nucleus_is_the_reference_on_exact_masses_with_ties(
    counts: list[int], p: float, data: st.DataObject
) -> None:
    candidates = data.draw(
        st.sets(st.sampled_from(range(len(counts)))).filter(lambda c: sum(counts[i] for i in c) > 0)
    )
    masked = [count if i in candidates else 0 for i, count in enumerate(counts)]
    mass = exact_mass(masked)
    mask = torch.tensor([i in candidates for i in range(len(mass))])
    kept = nucleus(torch.tensor([mass]), p, candidates=mask)[0]
    assert set(kept.nonzero().flatten().tolist()) == reference.nucleus(mass, p, sorted(candidates))


@given(weights, st.floats(0.001, 0.999))
def test_nucleus_is_minimal(counts: list[int], p: float) -> None:
    mass = torch.tensor(counts, dtype=torch.float32) / sum(counts)
    kept = nucleus(mass[None], p)[0]
    held = mass[kept].double()
    assert held.sum() >= p - 1e-6
    assert held.sum() - held.min() < p + 1e-6
    dropped = mass[~kept]
    assert not len(dropped) or dropped.max() <= held.min()


@given(weights, st.floats(0, 1), st.floats(0, 1))
def test_a_lower_threshold_keeps_a_subset(counts: list[int], p: float, q: float) -> None:
    mass = torch.tensor([counts], dtype=torch.float32) / sum(counts)
    low, high = sorted((p, q))
    assert not (nucleus(mass, low) & ~nucleus(mass, high)).any()


def test_ties_go_to_the_lower_index_and_the_crossing_entry_is_kept() -> None:
    mass = torch.full((1, 4), 0.25)
    assert nucleus(mass, 0.5).tolist() == [[True, True, False, False]]
    assert nucleus(mass, 0.51).tolist() == [[True, True, True, False]]
    mass = torch.tensor([[0.25, 0.5, 0.25]])
    assert nucleus(mass, 0.6).tolist() == [[True, True, False]]


def test_one_keeps_every_candidate_and_zero_none() -> None:
    mass = torch.tensor([[1.0, 0.0, 0.0]])
    candidates = torch.tensor([True, True, False])
    assert nucleus(mass, 1.0, candidates=candidates).tolist() == [[True, True, False]]
    assert not nucleus(mass, 0.0, candidates=candidates).any()


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_a_row_without_candidates_keeps_nothing(p: float) -> None:
    none = torch.zeros(2, 5, dtype=torch.bool)
    mass = masked_softmax(torch.randn(3, 2, 5), none)
    assert mass.eq(0).all() and not nucleus(mass, p, candidates=none).any()
    assert nucleus(torch.zeros(3, 2, 0), p).shape == (3, 2, 0)


def test_masked_softmax_is_softmax_over_the_candidates() -> None:
    scores = torch.randn(4, 9, generator=torch.Generator().manual_seed(0)) * 30
    candidates = torch.arange(9) % 2 == 0
    mass = masked_softmax(scores, candidates)
    torch.testing.assert_close(mass[:, candidates], scores[:, candidates].softmax(-1))
    assert mass[:, ~candidates].eq(0).all()


def test_entropy_of_even_and_certain_rows() -> None:
    rows = torch.tensor([[0.25] * 4, [1.0, 0, 0, 0], [0.5, 0.5, 0, 0]])
    torch.testing.assert_close(entropy(rows), torch.tensor([math.log(4), 0.0, math.log(2)]))
    torch.testing.assert_close(
        normalised_entropy(rows, torch.tensor(4)), torch.tensor([1.0, 0.0, 0.5])
    )


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_entropies_are_normalised_alike_by_one_count_and_by_many(count: int) -> None:
    nats = torch.linspace(0, 2, 5)
    wanted = normalised(nats, torch.full((5,), count))
    torch.testing.assert_close(normalised(nats, count), wanted, equal_nan=True)


def test_entropy_of_fewer_than_two_choices_is_undefined() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.5, 0.5]])
    spread = normalised_entropy(rows, torch.tensor([1, 0, 2]))
    assert spread.isnan().tolist() == [True, True, False]
