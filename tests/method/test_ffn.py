"""AdaS-FFN: against the slow reference, and what it may never do."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from geometry import ODD, Scene, scenes
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from adaspark.kernels.backend import sparse_ffn
from adaspark.method import ffn, reference
from adaspark.method.layout import CubeLayout
from adaspark.method.rules import top_p
from adaspark.method.sequence import SequenceMap

WIDTH = 6


def branch(rows: Tensor) -> Tensor:
    """A nonlinear map of each row by itself."""
    mixing = torch.linspace(-1, 1, WIDTH * WIDTH, dtype=rows.dtype).reshape(WIDTH, WIDTH)
    return torch.tanh(rows @ mixing) * rows


def inputs(sequence: SequenceMap, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Hidden states [N, h] whose norms differ as trained ones do."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.rand(sequence.length, 1, generator=generator) ** 3 * 9 + 0.1
    return (torch.randn(sequence.length, WIDTH, generator=generator) * sizes).to(dtype)


def norms_of(hidden: Tensor) -> Tensor:
    return hidden.float().norm(dim=-1)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("p", [0.0, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("name", ODD)
def test_it_equals_the_reference(name: str, p: float) -> None:
    scene = ODD[name]
    sequence = scene.build()
    hidden = inputs(sequence)
    mine = sparse_ffn(hidden, norms_of(hidden), sequence, branch, rule=top_p(p))
    slow = reference.sparse_ffn(hidden, norms_of(hidden), sequence, branch, rule=top_p(p))
    assert torch.equal(mine[1], slow[1])
    torch.testing.assert_close(mine[2], slow[2])
    torch.testing.assert_close(mine[0][scene.padding :], slow[0][scene.padding :])
    assert mine[0][: scene.padding].eq(0).all()


@given(scenes(), st.floats(0, 1), st.integers(0, 99))
def test_it_equals_the_reference_in_any_scene(scene: Scene, p: float, seed: int) -> None:
    sequence = scene.build()
    hidden = inputs(sequence, seed=seed)
    output, kept, weights = sparse_ffn(hidden, norms_of(hidden), sequence, branch, rule=top_p(p))
    slow = reference.sparse_ffn(hidden, norms_of(hidden), sequence, branch, rule=top_p(p))
    for cube in range(sequence.layout.cubes):
        mine = sequence.layout.cube_from_token == cube
        if not torch.equal(kept[mine], slow[1][mine]):  # then the threshold lies on a sum
            sums = weights[mine].double().sort(descending=True).values.cumsum(0)
            assert (sums - p).abs().min() < 1e-5
            return
    torch.testing.assert_close(output[scene.padding :], slow[0][scene.padding :])


def test_bf16_is_as_near_to_the_truth_as_the_plain_branch() -> None:
    sequence = ODD["ragged"].build()
    hidden = inputs(sequence, dtype=torch.bfloat16)
    norms = norms_of(hidden)
    output, kept, _ = sparse_ffn(hidden, norms, sequence, branch, rule=top_p(0.6))
    exact, same, _ = reference.sparse_ffn(hidden.double(), norms, sequence, branch, rule=top_p(0.6))
    plain, _, _ = reference.sparse_ffn(hidden, norms, sequence, branch, rule=top_p(0.6))
    assert output.dtype == torch.bfloat16 and torch.equal(kept, same)
    assert (output - exact).norm() <= 2 * (plain - exact).norm()


def test_importance_is_the_share_of_the_cube_s_norm() -> None:
    layout = CubeLayout([(1, 1, 5)], (1, 1, 3))
    weights = ffn.importance(torch.tensor([1.0, 2.0, 5.0, 3.0, 1.0]), layout)
    torch.testing.assert_close(weights, torch.tensor([0.125, 0.25, 0.625, 0.75, 0.25]))


def test_a_cube_of_zeros_shares_evenly() -> None:
    layout = CubeLayout([(1, 2, 2)], (1, 2, 2))
    assert ffn.importance(torch.zeros(4), layout).tolist() == [0.25] * 4


def test_kept_sets_are_minimal_in_each_cube_and_never_empty() -> None:
    layout = CubeLayout([(5, 3, 7), (2, 4, 4)], (2, 2, 3))
    norms = torch.rand(layout.tokens, generator=torch.Generator().manual_seed(0))
    weights = ffn.importance(norms, layout)
    for p in (0.0, 0.2, 0.5, 0.9):
        kept = ffn.choose_tokens(weights, layout, rule=top_p(p))
        for cube in range(layout.cubes):
            held = weights[(layout.cube_from_token == cube) & kept]
            assert held.sum() >= p - 1e-6
            assert len(held) == 1 or held.sum() - held.min() < p + 1e-6


def test_zero_keeps_the_most_important_token_of_each_cube_the_first_of_equals() -> None:
    layout = CubeLayout([(1, 1, 6)], (1, 1, 3))
    kept = ffn.choose_tokens(torch.tensor([0.2, 0.4, 0.4, 0.5, 0.3, 0.2]), layout, rule=top_p(0.0))
    assert kept.nonzero().flatten().tolist() == [1, 3]


def test_one_keeps_every_token() -> None:
    layout = CubeLayout([(2, 3, 3)], (2, 2, 2))
    weights = ffn.importance(torch.zeros(18), layout)
    assert ffn.choose_tokens(weights, layout, rule=top_p(1.0)).all()


def test_density_never_rises_when_the_threshold_falls() -> None:
    layout = CubeLayout([(5, 3, 7)], (2, 2, 3))
    weights = ffn.importance(torch.rand(105, generator=torch.Generator().manual_seed(1)), layout)
    kept = [
        ffn.choose_tokens(weights, layout, rule=top_p(p))
        for p in (1.0, 0.9, 0.7, 0.5, 0.2, 0.01, 0.0)
    ]
    assert all(not (less & ~more).any() for more, less in pairwise(kept))
    assert kept[-1].sum() == layout.cubes


def test_only_text_and_chosen_tokens_are_computed() -> None:
    sequence = ODD["padded"].build()
    hidden = inputs(sequence)
    shown: list[Tensor] = []

    def watched(rows: Tensor) -> Tensor:
        shown.append(rows)
        return branch(rows)

    _, kept, _ = sparse_ffn(hidden, norms_of(hidden), sequence, watched, rule=top_p(0.4))
    (rows,) = shown
    chosen = sequence.video_positions[kept]
    assert torch.equal(rows, hidden[torch.cat([sequence.text_positions, chosen])])
    assert 0 < len(chosen) < len(sequence.video_positions)


def test_skipped_tokens_move_by_the_mean_of_their_own_cube_only() -> None:
    sequence = Scene(((1, 1, 6),), (0, 1), (1, 1, 3)).build()
    hidden = torch.ones(7, WIDTH)
    norms = torch.tensor([9.0, 1, 1, 1, 9, 1, 1])
    values = torch.arange(7.0)[:, None].expand(7, WIDTH)
    places = torch.tensor([6, 0, 4])  # text first, then the chosen ones
    output, kept, _ = sparse_ffn(hidden, norms, sequence, lambda _: values[places], rule=top_p(0.5))
    assert kept.tolist() == [True, False, False, False, True, False]
    assert output[:, 0].tolist() == [0, 0, 0, 4, 4, 4, 6]


def test_gradients_reach_the_branch_and_its_input() -> None:
    sequence = ODD["ragged"].build()
    hidden = inputs(sequence)
    results = []
    for function in (sparse_ffn, reference.sparse_ffn):
        leaf = hidden.clone().requires_grad_()
        output, _, _ = function(leaf, norms_of(hidden), sequence, branch, rule=top_p(0.5))
        output.square().sum().backward()
        assert leaf.grad is not None
        results.append(leaf.grad)
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-2)
