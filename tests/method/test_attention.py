"""AdaS-Attn: every CPU backend and the routed one against the slow reference and plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import rounding
import torch
from geometry import ODD, Scene, allowed_mask, scenes, tensors
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from adaspark.kernels.backend import sparse_attention
from adaspark.kernels.cpu import loading as cpu_loading
from adaspark.method import attention, reference
from adaspark.method.attention import Choice
from adaspark.method.rules import top_p
from adaspark.method.segment import Segment
from adaspark.method.sequence import SequenceMap

SCALE = 8**-0.5
HEADS = pytest.mark.parametrize("heads, groups", [(7, 1), (4, 2), (3, 3)])
Heard = list[tuple[Segment, Choice]]


Backend = Callable[..., Tensor]


def compiled(*args: Any, **kwargs: Any) -> Tensor:
    loaded = cpu_loading.load()
    assert loaded.cpu is not None, loaded.why
    return loaded.cpu.sparse_attention(*args, **kwargs)


BACKENDS = {
    "tiles": attention.by_tiles,
    "compiled": compiled,
    "routed": sparse_attention,
}


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each way of computing."""
    return BACKENDS[request.param]


def run(
    function: Callable[..., Tensor], sequence: SequenceMap, qkv: tuple[Tensor, ...], p: float
) -> tuple[Tensor, Heard]:
    heard: Heard = []
    observe = lambda segment, choice: heard.append((segment, choice))  # noqa: E731
    return function(*qkv, sequence, rule=top_p(p), scale=SCALE, observe=observe), heard


def plain(qkv: tuple[Tensor, ...], mask: Tensor) -> Tensor:
    """Masked softmax attention as transformers' eager one; rows that may read nothing are zero."""
    queries, keys, values = qkv
    share = queries.shape[0] // keys.shape[0]
    keys, values = (t.repeat_interleave(share, 0) for t in (keys, values))
    scores = (queries @ keys.mT * SCALE).masked_fill(~mask, -torch.inf)
    precise = torch.promote_types(scores.dtype, torch.float32)
    weights = scores.softmax(-1, dtype=precise).to(values.dtype)
    return weights.masked_fill(~mask, 0.0) @ values


def disagreements(mine: Heard, theirs: Heard, p: float) -> tuple[int, int]:
    """Rows that chose otherwise than the reference: (within 1e-5 of the threshold, beyond)."""
    close = far = 0
    for (segment, choice), (_, slow) in zip(mine, theirs, strict=True):
        torch.testing.assert_close(choice.probs, slow.probs, atol=2e-6, rtol=1e-4)
        rows = (choice.kept != slow.kept).any(-1).nonzero().tolist()
        for head, row in rows:
            mass = slow.probs[head, row].double().sort(descending=True).values
            sums = mass.cumsum(0)
            ties = mass.diff().abs()[: len(mass)].min() if len(mass) > 1 else torch.tensor(1.0)
            if min((sums - p).abs().min(), ties) < 1e-5:
                close += 1
            else:
                far += 1
        assert segment.candidates.shape[-1] == choice.kept.shape[-1]
    return close, far


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("name", ODD)
@HEADS
def test_every_backend_equals_plain_attention_given_its_choice(
    backend: Backend, name: str, heads: int, groups: int
) -> None:
    sequence = ODD[name].build()
    qkv = tensors(sequence, heads=heads, groups=groups)
    output, heard = run(backend, sequence, qkv, 0.6)
    mask = allowed_mask(sequence, heard, sequence.length)
    rounding.check_attention(output, qkv, mask, scale=SCALE)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.0, 0.7, 1.0])
def test_the_error_is_at_most_twice_that_of_plain_attention(
    backend: Backend, dtype: torch.dtype, p: float
) -> None:
    sequence = Scene(((5, 6, 7), (3, 4, 5)), (9, 4, 8), (2, 3, 3)).build()
    qkv = tensors(sequence, heads=14, groups=2, dtype=dtype)
    output, heard = run(backend, sequence, qkv, p)
    mask = allowed_mask(sequence, heard, sequence.length)
    exact = plain(tuple(t.double() for t in qkv), mask)
    mine = (output.double() - exact).square().mean().sqrt()
    theirs = (plain(qkv, mask).double() - exact).square().mean().sqrt()
    assert output.dtype == dtype and mine <= 2 * theirs, f"{mine:.2e} against {theirs:.2e}"


@pytest.mark.usefixtures("poisoned_memory")
@given(scenes(most_tokens=40), st.sampled_from([0.0, 0.3, 0.8, 1.0]), st.integers(0, 9))
@settings(max_examples=25)
def test_any_scene_equals_the_reference(scene: Scene, p: float, seed: int) -> None:
    sequence = scene.build()
    qkv = tensors(sequence, heads=4, groups=2, seed=seed)
    expected, slow = run(reference.sparse_attention, sequence, qkv, p)
    mask = allowed_mask(sequence, slow, sequence.length)
    rounding.check_attention(expected, qkv, mask, scale=SCALE)
    for backend in BACKENDS.values():
        output, heard = run(backend, sequence, qkv, p)
        _, far = disagreements(heard, slow, p)
        assert far == 0
        mask = allowed_mask(sequence, heard, sequence.length)
        rounding.check_attention(output, qkv, mask, scale=SCALE)


def test_the_choice_is_the_reference_s_except_at_the_threshold() -> None:
    rows = close = 0
    for seed in range(6):
        sequence = Scene(((5, 4, 6),), (3, 4), (2, 2, 2)).build()
        qkv = tensors(sequence, seed=seed)
        _, heard = run(sparse_attention, sequence, qkv, 0.8)
        _, slow = run(reference.sparse_attention, sequence, qkv, 0.8)
        found = disagreements(heard, slow, 0.8)
        assert found[1] == 0
        close += found[0]
        rows += sum(choice.kept.shape[:2].numel() for _, choice in heard)
    assert close <= rows // 1000, f"{close} of {rows} rows were decided within 1e-5"


@pytest.mark.parametrize("last", [1, 3, 6])
def test_the_last_queries_alone_read_what_they_read_among_all(backend: Backend, last: int) -> None:
    sequence = Scene(((4, 3, 5),), (3, 6), (2, 2, 2)).build()
    queries, keys, values = tensors(sequence)
    _, whole = run(backend, sequence, (queries, keys, values), 0.6)
    part, heard = run(backend, sequence, (queries[:, -last:], keys, values), 0.6)
    mask = allowed_mask(sequence, heard, last)
    assert torch.equal(mask, allowed_mask(sequence, whole, last))
    rounding.check_attention(part, (queries[:, -last:], keys, values), mask, scale=SCALE)


def test_known_means_replace_those_of_the_keys() -> None:
    sequence = ODD["ragged"].build()
    queries, keys, values = tensors(sequence)
    means = attention.cube_means(keys, sequence)
    expected = sparse_attention(queries, keys, values, sequence, rule=top_p(0.5), scale=SCALE)
    given = sparse_attention(
        queries, keys, values, sequence, rule=top_p(0.5), scale=SCALE, means=means
    )
    assert torch.equal(given, expected)
    other = sparse_attention(
        queries, keys, values, sequence, rule=top_p(0.5), scale=SCALE, means=-means
    )
    assert not torch.equal(other, expected)


def test_cube_means_are_the_means_of_each_cube_in_fp32() -> None:
    sequence = ODD["two videos, text between"].build()
    _, keys, _ = tensors(sequence, groups=3, dtype=torch.bfloat16)
    means = attention.cube_means(keys, sequence)
    assert means.dtype == torch.float32
    for cube in range(sequence.layout.cubes):
        places = sequence.video_positions[sequence.layout.cube_from_token == cube]
        torch.testing.assert_close(means[:, cube], keys[:, places].float().mean(1))


def test_zero_keeps_text_and_the_own_cube_and_one_keeps_all() -> None:
    sequence = ODD["ragged"].build()
    for p, wanted in ((0.0, False), (1.0, True)):
        _, heard = run(sparse_attention, sequence, tensors(sequence), p)
        for segment, choice in heard:
            assert torch.equal(choice.kept, segment.candidates.expand_as(choice.kept) & wanted)


def test_padding_reads_nothing_and_nobody_reads_it(backend: Backend) -> None:
    sequence = ODD["padded"].build()
    queries, keys, values = tensors(sequence)
    output, _ = run(backend, sequence, (queries, keys, values), 0.6)
    assert output[:, :5].eq(0).all() and output[:, 5:].ne(0).any(-1).all()
    keys[:, :5], values[:, :5] = torch.nan, torch.nan
    again, _ = run(backend, sequence, (queries, keys, values), 0.6)
    assert torch.equal(output, again)


def test_the_future_changes_nothing(backend: Backend) -> None:
    """A cube that is visible in part has the mean of its whole: keys after a query may move what it
    chooses, never the values that it reads.
    """
    sequence = Scene(((3, 4, 4),), (2, 3), (2, 2, 2)).build()
    queries, keys, values = tensors(sequence)
    before, _ = run(backend, sequence, (queries, keys, values), 0.5)
    for position in (10, 30, 51):
        later = values.clone()
        later[:, position + 1 :] += 100
        after, _ = run(backend, sequence, (queries, keys, later), 0.5)
        torch.testing.assert_close(after[:, : position + 1], before[:, : position + 1])


def test_large_scores_do_not_overflow(backend: Backend) -> None:
    sequence = ODD["two videos, text between"].build()
    queries, keys, values = tensors(sequence, heads=4, groups=2)
    large = queries * 1e3, keys * 1e3, values
    output, heard = run(backend, sequence, large, 0.6)
    mask = allowed_mask(sequence, heard, sequence.length)
    rounding.check_attention(output, large, mask, scale=SCALE)


def products(counted: FlopCounterMode) -> int:
    return int(counted.get_total_flops())


@pytest.mark.parametrize("name", ["ragged", "two videos, text between", "no text before", "padded"])
def test_executed_pairs_are_the_products_that_tiles_compute(name: str) -> None:
    """Two products of D multiply-adds a pair, beside those of choosing."""
    sequence = ODD[name].build()
    qkv = tensors(sequence, heads=4, groups=2)
    with FlopCounterMode(display=False) as counted:
        _, heard = run(attention.by_tiles, sequence, qkv, 0.5)
    executed = sum(choice.executed_pairs for _, choice in heard)
    chosen = sum(choice.probs.numel() for _, choice in heard)
    assert products(counted) == 4 * 8 * executed + 2 * 8 * chosen


@pytest.mark.parametrize("name", ODD)
def test_no_backend_computes_less_than_was_chosen(backend: Backend, name: str) -> None:
    sequence = ODD[name].build()
    _, heard = run(backend, sequence, tensors(sequence, heads=4, groups=2), 0.4)
    for segment, choice in heard:
        attended = choice.kept | segment.own_mask
        sizes = sequence.layout.cube_sizes[: segment.partial_cube].expand(len(attended[0]), -1)
        seen = torch.cat([sizes, segment.partly_visible_tokens], dim=1)
        needed = int((attended * seen).sum()) + 4 * int(segment.text_before.sum())
        assert needed <= choice.executed_pairs


def gradients(function: Callable[..., Tensor], sequence: SequenceMap, p: float) -> Iterator[Tensor]:
    qkv = [t.requires_grad_() for t in tensors(sequence, heads=4, groups=2)]
    function(*qkv, sequence, rule=top_p(p), scale=SCALE).square().sum().backward()
    for tensor in qkv:
        assert tensor.grad is not None
        yield tensor.grad


def test_gradients_are_those_of_plain_attention_given_the_choice() -> None:
    sequence = ODD["ragged"].build()
    qkv = tensors(sequence, heads=4, groups=2)
    _, heard = run(sparse_attention, sequence, qkv, 0.6)
    mask = allowed_mask(sequence, heard, sequence.length)
    leaves = [t.clone().requires_grad_() for t in qkv]
    plain(tuple(leaves), mask).square().sum().backward()
    mine = gradients(sparse_attention, sequence, 0.6)
    for found, leaf in zip(mine, leaves, strict=True):
        torch.testing.assert_close(found, leaf.grad, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("trained", [0, 1, 2])
def test_any_one_of_the_inputs_may_need_a_gradient(trained: int) -> None:
    sequence = ODD["ragged"].build()
    qkv = tensors(sequence, heads=4, groups=2)
    qkv[trained].requires_grad_()
    sparse_attention(*qkv, sequence, rule=top_p(0.5), scale=SCALE).sum().backward()
    assert qkv[trained].grad is not None and qkv[trained].grad.ne(0).any()


def test_density_never_rises_when_the_threshold_falls() -> None:
    sequence = Scene(((5, 4, 6),), (3, 4), (2, 2, 2)).build()
    qkv = tensors(sequence)
    kept = []
    for p in (1.0, 0.95, 0.9, 0.7, 0.5, 0.3, 0.1, 0.0):
        _, heard = run(sparse_attention, sequence, qkv, p)
        kept.append(sum(int(choice.kept.sum()) for _, choice in heard))
    assert all(less <= more for more, less in pairwise(kept)) and kept[-1] == 0
