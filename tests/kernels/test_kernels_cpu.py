"""The compiled kernels: their vectors, their choice, and every shape that they cut to pieces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import rounding
import torch
from geometry import ODD, Scene, allowed_mask, tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from adaspark.kernels.backend import sparse_attention
from adaspark.kernels.cpu import attention as cpu_attention
from adaspark.kernels.cpu import loading as cpu_loading
from adaspark.kernels.cpu import simd as cpu_simd
from adaspark.kernels.cpu import state as cpu_state
from adaspark.method import attention, reference
from adaspark.method.attention import Choice
from adaspark.method.rules import Rule, top_p
from adaspark.method.segment import Segment
from adaspark.method.selection import entropy, nucleus
from adaspark.method.sequence import SequenceMap

Recorded = list[tuple[Segment, Choice]]
LONG = Scene(((8, 6, 7),), (5, 40), (2, 2, 2))


def run(
    function: Callable[..., torch.Tensor],
    sequence: SequenceMap,
    qkv: tuple[torch.Tensor, ...],
    rule: Rule,
) -> tuple[torch.Tensor, Recorded]:
    recorded: Recorded = []
    output = function(
        *qkv,
        sequence,
        rule=rule,
        scale=qkv[0].shape[-1] ** -0.5,
        observe=lambda *choice: recorded.append(choice),
    )
    return output, recorded


@given(st.integers(0, 20), st.integers(1, 6), st.integers(0, 9), st.integers(0, 99))
@settings(max_examples=30)
def test_products_of_any_shape(rows: int, registers: int, depth: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    columns = registers * cpu_simd.LANES
    a, b, c = (
        random.standard_normal(shape, np.float32)
        for shape in ((rows + 3, depth + 1), (depth + 2, columns), (rows + 1, columns))
    )
    a_rows = random.integers(0, rows + 3, rows) * (depth + 1)
    c_rows = random.permutation(rows + 1)[:rows] * columns
    places = c_rows[:, None] + np.arange(columns)
    left, right = a.reshape(-1)[a_rows[:, None] + np.arange(depth)], b[1 : depth + 1]
    exact, room = c.astype(np.float64), np.zeros(c.shape)
    exact.reshape(-1)[places] += left.astype(np.float64) @ right
    sizes = abs(c.reshape(-1)[places]) + abs(left) @ abs(right)
    room.reshape(-1)[places] = rounding.UNIT * (depth + 1) * sizes
    flat = (a.reshape(-1), a_rows, b.reshape(-1), columns, columns, depth, c.reshape(-1), c_rows)
    cpu_state.multiply(*flat, rows, columns)
    rounding.check(*map(torch.from_numpy, (c, exact, room)))


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("heads, groups, width", [(7, 1, 64), (4, 2, 128), (3, 3, 20), (28, 4, 16)])
@pytest.mark.parametrize(
    "scene",
    [
        LONG,
        Scene(((4, 9, 9),), (70, 3), (4, 8, 8)),  # a cube of several panels, and so is the text
        Scene(((6, 5, 5),), (2, 33), (1, 1, 3)),  # many cubes in a register
        Scene(((3, 4, 5), (4, 6, 3)), (9, 5, 30), (3, 4, 2)),
    ],
    ids=["small cubes", "large cubes", "slivers", "two videos"],
)
def test_every_shape_equals_tiles(scene: Scene, heads: int, groups: int, width: int) -> None:
    sequence = scene.build()
    qkv = tensors(sequence, heads=heads, groups=groups, width=width)
    mine, recorded = run(cpu_attention.sparse_attention, sequence, qkv, top_p(0.6))
    expected, theirs = run(attention.by_tiles, sequence, qkv, top_p(0.6))
    rows = sum(choice.kept.shape[:2].numel() for _, choice in recorded)
    wrong = sum(
        int((a.kept != b.kept).any(-1).sum())
        for (_, a), (_, b) in zip(recorded, theirs, strict=True)
    )
    assert wrong <= rows // 1000  # decided within the last bits of the threshold
    for output, choices in ((mine, recorded), (expected, theirs)):
        mask = allowed_mask(sequence, choices, sequence.length)
        rounding.check_attention(output, qkv, mask, scale=width**-0.5)


@pytest.mark.parametrize("p", [0.0, 1e-6, 0.03, 0.5, 0.9, 0.999])
def test_the_nucleus_is_that_of_the_masses_reported(p: float) -> None:
    """The set from the kernel's own masses, except where those decide within 1e-5."""
    sequence = Scene(((12, 8, 8),), (2, 40), (1, 2, 1)).build()
    _, recorded = run(
        cpu_attention.sparse_attention, sequence, tensors(sequence, heads=4, groups=2), top_p(p)
    )
    rows = close = 0
    for segment, choice in recorded:
        torch.testing.assert_close(
            choice.probs.sum(-1), segment.candidates.any(-1).float().expand(4, -1)
        )
        assert choice.entropy is not None
        torch.testing.assert_close(choice.entropy, entropy(choice.probs), atol=2e-5, rtol=1e-4)
        expected = nucleus(choice.probs, p, candidates=segment.candidates)
        sums = choice.probs.double().sort(-1, descending=True).values.cumsum(-1)
        if not sums.shape[-1]:
            continue
        undecided = (sums - p).abs().amin(-1) < 1e-5
        differs = (choice.kept != expected).any(-1)
        assert not (differs & ~undecided).any()
        rows, close = rows + differs.numel(), close + int(differs.sum())
    assert close <= rows // 100


def test_of_equal_masses_the_first_are_kept() -> None:
    sequence = Scene(((6, 4, 4),), (0, 32), (1, 2, 2)).build()
    queries, keys, values = tensors(sequence, heads=2, groups=1)
    _, recorded = run(
        cpu_attention.sparse_attention, sequence, (queries * 0, keys, values), top_p(0.5)
    )
    for segment, choice in recorded:
        count = segment.candidates.sum(-1)
        assert torch.equal(choice.kept.sum(-1), ((count + 1) // 2).expand(2, -1))
        rank = segment.candidates.cumsum(-1)
        assert torch.equal(choice.kept[0], segment.candidates & (rank <= (count[:, None] + 1) // 2))


@pytest.mark.parametrize(
    "rule",
    [
        Rule("uniform", 0.4),
        Rule("top_k", 0.3),
        Rule("recent", 0.2),
        Rule("top_p", 0.4, forced=((1, True), (5, False))),
        top_p(1),
    ],
)
def test_other_rules_are_applied(rule: Rule) -> None:
    sequence = LONG.build()
    qkv = tensors(sequence, heads=4, groups=2)
    mine, recorded = run(cpu_attention.sparse_attention, sequence, qkv, rule)
    expected, theirs = run(attention.by_tiles, sequence, qkv, rule)
    mask = allowed_mask(sequence, recorded, sequence.length)
    for output in (mine, expected):
        rounding.check_attention(output, qkv, mask, scale=8**-0.5)
    for (_, choice), (_, other) in zip(recorded, theirs, strict=True):
        assert torch.equal(choice.kept, other.kept) and torch.equal(choice.probs, other.probs)


@pytest.fixture
def two_threads() -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("rule", [top_p(0.7), Rule("uniform", 0.4)])
def test_who_listens_threads_and_memory_change_no_bit(rule: Rule) -> None:
    sequence = LONG.build()
    qkv = tensors(sequence, heads=4, groups=2)
    silent = cpu_attention.sparse_attention(*qkv, sequence, rule=rule, scale=8**-0.5)
    observed, recorded = run(cpu_attention.sparse_attention, sequence, qkv, rule)
    torch.set_num_threads(1)
    by_segment = partial(cpu_attention.sparse_attention, choice_bytes=1)
    pieces, again = run(by_segment, sequence, qkv, rule)
    assert torch.equal(silent, observed) and torch.equal(observed, pieces)
    for (_, choice), (_, other) in zip(recorded, again, strict=True):
        assert torch.equal(choice.probs, other.probs) and torch.equal(choice.kept, other.kept)
        assert choice.executed_pairs == other.executed_pairs


def test_rows_compute_the_panels_they_want_and_no_more() -> None:
    """Cubes of 64 tokens are panels of their own: products are counted by hand."""
    sequence = Scene(((12, 8, 8),), (0, 0), (4, 4, 4)).build()
    _, recorded = run(
        cpu_attention.sparse_attention, sequence, tensors(sequence, heads=4, groups=2), top_p(0.5)
    )
    for segment, choice in recorded:
        attended = choice.kept | segment.own_mask
        assert choice.executed_pairs == 64 * int(attended.sum())


def test_bf16_is_computed_in_fp32_and_rounded_once() -> None:
    sequence = LONG.build()
    qkv = tensors(sequence, heads=4, groups=2, dtype=torch.bfloat16)
    mine, _ = run(cpu_attention.sparse_attention, sequence, qkv, top_p(0.7))
    exact, _ = run(
        cpu_attention.sparse_attention, sequence, tuple(t.float() for t in qkv), top_p(0.7)
    )
    assert mine.dtype == torch.bfloat16 and torch.equal(mine, exact.bfloat16())


def test_heads_may_lie_innermost() -> None:
    sequence = LONG.build()
    qkv = tensors(sequence, heads=4, groups=2)
    turned = tuple(t.transpose(0, 1).contiguous().transpose(0, 1) for t in qkv)
    expected, _ = run(cpu_attention.sparse_attention, sequence, qkv, top_p(0.7))
    found, _ = run(cpu_attention.sparse_attention, sequence, turned, top_p(0.7))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("last", [1, 17, 60])
def test_the_last_queries_alone_read_what_they_read_among_all(last: int) -> None:
    sequence = LONG.build()
    queries, keys, values = tensors(sequence, heads=4, groups=2)
    _, whole = run(cpu_attention.sparse_attention, sequence, (queries, keys, values), top_p(0.6))
    asked = queries[:, -last:], keys, values
    part, recorded = run(cpu_attention.sparse_attention, sequence, asked, top_p(0.6))
    mask = allowed_mask(sequence, recorded, last)
    assert torch.equal(mask, allowed_mask(sequence, whole, last))
    rounding.check_attention(part, asked, mask, scale=8**-0.5)


def test_a_nan_stays_where_it_is_seen() -> None:
    sequence = ODD["ragged"].build()
    queries, keys, values = tensors(sequence, heads=2, groups=1)
    queries[0, 50] = torch.nan
    output, _ = run(cpu_attention.sparse_attention, sequence, (queries, keys, values), top_p(0.6))
    assert output[0, 50].isnan().all()
    output[0, 50] = 0
    assert output.isfinite().all()


def test_decoding_gradients_and_double_precision_are_left_to_pytorch() -> None:
    queries, keys, values = tensors(LONG.build(), heads=4, groups=2)
    assert cpu_loading.for_attention(queries, keys, values) is cpu_attention
    few = queries[:, -cpu_loading.MIN_QUERIES + 1 :]
    assert cpu_loading.for_attention(few, keys, values) is None
    assert cpu_loading.for_attention(queries.double(), keys.double(), values.double()) is None
    assert cpu_loading.for_attention(queries, keys.requires_grad_(), values) is None
    with torch.no_grad():
        assert cpu_loading.for_attention(queries, keys, values) is cpu_attention


def test_without_numba_pytorch_computes_and_the_reason_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    cpu_loading.load.cache_clear()
    try:
        loaded = cpu_loading.load()
        assert loaded.cpu is None and "numba" in loaded.why and "\n" not in loaded.why
        sequence = LONG.build()
        qkv = tensors(sequence, heads=4, groups=2)
        output, _ = run(sparse_attention, sequence, qkv, top_p(0.6))
        expected, _ = run(attention.by_tiles, sequence, qkv, top_p(0.6))
        assert torch.equal(output, expected)
    finally:
        cpu_loading.load.cache_clear()


def test_the_cache_of_compiled_code_goes_by_the_sources_and_yields_to_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpu_state.config, "CACHE_DIR", "")
    with cpu_state.cache_folder():
        assert "__pycache__" in cpu_state.config.CACHE_DIR
    assert cpu_state.config.CACHE_DIR == ""
    monkeypatch.setattr(cpu_state.config, "CACHE_DIR", "/elsewhere")
    with cpu_state.cache_folder():
        assert cpu_state.config.CACHE_DIR == "/elsewhere"


def test_the_reference_agrees_on_a_long_clip() -> None:
    sequence = Scene(((4, 4, 4),), (3, 20), (2, 2, 2)).build()
    qkv = tensors(sequence, heads=4, groups=2, width=16)
    mine, recorded = run(cpu_attention.sparse_attention, sequence, qkv, top_p(0.7))
    _, slow = run(reference.sparse_attention, sequence, qkv, top_p(0.7))
    mask = allowed_mask(sequence, recorded, sequence.length)
    assert torch.equal(mask, allowed_mask(sequence, slow, sequence.length))
    rounding.check_attention(mine, qkv, mask, scale=0.25)
