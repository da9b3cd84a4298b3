"""Parts of the GPU path: ties at the threshold, packed masks, key blocks, the FFN."""

from __future__ import annotations

from math import ceil, log

import interpreted
import pytest
import torch
import triton
import triton.language as tl
from geometry import ODD, scenes
from hypothesis import given, settings
from hypothesis import strategies as st
from long import some_of
from test_kernels_gpu import SMALL, on_device

from adaspark.kernels.gpu import attention as gpu_attention
from adaspark.kernels.gpu import bits, block_selection
from adaspark.kernels.gpu import ffn as gpu_ffn
from adaspark.kernels.gpu import nucleus as gpu_nucleus
from adaspark.kernels.gpu import rows as gpu_rows
from adaspark.kernels.gpu import tables as gpu_tables
from adaspark.method import ffn
from adaspark.method.rules import TOKEN_RULES, Rule, top_p
from adaspark.method.selection import nucleus
from adaspark.method.sequence import SequenceMap

DEVICE = interpreted.DEVICE


def chosen(sequence: SequenceMap, scores: torch.Tensor, p: float) -> list[torch.Tensor]:
    """Rows x cubes, a segment each, that the gate keeps where `scores` [R, C] are the logits."""
    blocks = gpu_tables.KeyBlocks.of(sequence)
    rows = gpu_rows.Rows.of(sequence.segments(0), 0)
    width = max(16, 1 << (scores.shape[1] - 1).bit_length())
    means = torch.eye(scores.shape[1], width, device=DEVICE)[None]
    queries = torch.zeros(1, sequence.length, width, device=DEVICE)
    queries[0, :, : scores.shape[1]] = scores
    words = block_selection.choose(queries, means[None], rows, p=p, scale=1.0)
    mask = bits.unpack(words, torch.arange(rows.count, device=DEVICE))[0]
    own = torch.cat([s.own_cube for s in rows.segments])[:, None]
    mask &= torch.arange(blocks.cubes, device=DEVICE) != own
    return list(mask.split([len(s.positions) for s in rows.segments]))


@pytest.mark.few
@some_of("p", [0.5, 0.999, 0.05, 0.75], always=2)
def test_ties_go_to_the_lower_cube(p: float) -> None:
    """Few levels that sum exactly: the kept set must be that of a stable sort, member by member."""
    sequence = on_device(SMALL)
    cubes = sequence.layout.cubes
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(0, 2, (sequence.length, cubes), generator=generator).to(DEVICE)
    scores = levels * 200.0 - 100.0  # a weight of one or of nothing
    kept = chosen(sequence, scores, p)
    for segment, mine in zip(sequence.segments(0), kept, strict=True):
        visible = scores[segment.positions, : segment.end_cube]
        visible = visible.masked_fill(~segment.candidates, -torch.inf)
        mass = visible.softmax(-1).nan_to_num(0.0)
        expected = nucleus(mass, p, candidates=segment.candidates)
        assert torch.equal(mine[:, : segment.end_cube], expected)
        assert not mine[:, segment.end_cube :].any()


def test_a_flat_gate_keeps_the_first_cubes() -> None:
    sequence = on_device(SMALL)
    cubes = sequence.layout.cubes
    kept = chosen(sequence, torch.zeros(sequence.length, cubes, device=DEVICE), 0.5)
    for segment, mine in zip(sequence.segments(0), kept, strict=True):
        count = segment.candidates.sum(-1)
        first = segment.candidates.cumsum(-1) <= (count[:, None] / 2).ceil()
        assert torch.equal(mine[:, : segment.end_cube], segment.candidates & first)


@pytest.mark.parametrize("p", [1e-30, 1e-6, 0.5, 0.99, 1 - 1e-7])
@pytest.mark.parametrize("cubes", [1, 16, 32768])
def test_the_search_starts_below_every_weight_that_may_cross(p: float, cubes: int) -> None:
    lowest = torch.tensor(block_selection.lowest_bits(p, cubes), dtype=torch.int32).view(
        torch.float32
    )
    assert float(lowest) > 0 and float(lowest) * cubes < 1 - p


@pytest.mark.few(2)
@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.05, 1.0, 8.0])
@some_of("p", [0.9, 1e-6, 0.3, 0.9999])
def test_the_search_ends_at_the_nucleus_however_even_the_weights(p: float, spread: float) -> None:
    """Weights from all alike to one that outweighs the others, against a sort in fp64."""
    sequence = on_device(SMALL)
    cubes = sequence.layout.cubes
    generator = torch.Generator().manual_seed(4)
    scores = spread * torch.randn(sequence.length, cubes, generator=generator)
    kept = chosen(sequence, scores.to(DEVICE), p)
    for segment, mine in zip(sequence.segments(0), kept, strict=True):
        visible = scores.to(DEVICE)[segment.positions, : segment.end_cube].double()
        mass = visible.masked_fill(~segment.candidates, -torch.inf).softmax(-1).nan_to_num(0.0)
        order = mass.sort(dim=-1, descending=True, stable=True)
        before = order.values.cumsum(-1) - order.values
        expected = torch.zeros_like(segment.candidates).scatter(
            -1, order.indices, (before < p) & (order.values > 0)
        )
        mine = mine[:, : segment.end_cube]
        differs = (mine != expected).any(-1)
        near = (before - p).abs().amin(-1) <= 1e-5 if segment.end_cube else differs
        # Weights that fp32 cannot tell apart may stand for each other.
        lighter = (mass * expected).sum(-1) - (mass * mine).sum(-1)
        alike = (mine.sum(-1) == expected.sum(-1)) & (lighter.abs() <= 1e-6)
        assert not (differs & ~near & ~alike).any()


@pytest.mark.few(6)
@some_of("p", [0.4, 0.9999, 1e-6, 0.9], always=2)
@pytest.mark.parametrize("kind", ["flat", "levels", "steep", "one", "hidden", "far"])
@pytest.mark.parametrize("near, pace", [(1e-9, 0.0), (0.05, 1.0), (0.05, 1e7), (1.0, 1e30)])
def test_the_nucleus_is_that_of_a_sort_wherever_the_search_begins(
    p: float, kind: str, near: float, pace: float
) -> None:
    """Exact sums: equal weights, powers of two, one weight alone, rows that may see nothing."""
    cubes, rows = 32, 4
    drawn = torch.randint(0, 6, (rows, cubes), generator=torch.Generator().manual_seed(5))
    scores = {
        "flat": torch.zeros(rows, cubes),
        "levels": drawn * log(2.0),
        "steep": torch.arange(cubes).flip(0).expand(rows, -1) * log(2.0) / 2,
        "one": torch.full((rows, cubes), -torch.inf).index_fill_(1, torch.tensor(7), 3.0),
        "hidden": (drawn * log(2.0)).masked_fill(drawn < 3, -torch.inf),
        "far": -80.0 * (drawn > 0),
    }[kind].float()
    if kind == "hidden":
        scores[1] = -torch.inf
    kept = torch.zeros(rows, cubes, dtype=torch.int32, device=DEVICE)
    lowest = block_selection.lowest_bits(p, cubes)
    exponents = (scores / log(2.0)).to(DEVICE)
    _kept_kernel[(1,)](exponents, kept, near, pace, p, lowest, R=rows, C=cubes)
    mass = scores.double().softmax(-1).nan_to_num(0.0)
    order = mass.sort(dim=-1, descending=True, stable=True)
    before = order.values.cumsum(-1) - order.values
    expected = (before < p - 1e-6) & (order.values > 0)
    close = ((before - p).abs() <= 1e-6) & (order.values > 0)
    mine = kept.bool().cpu().gather(-1, order.indices)
    assert torch.equal(mine & ~close, expected & ~close)


@triton.jit
def _kept_kernel(scores, kept, near, pace, p, lowest, R: tl.constexpr, C: tl.constexpr):
    at = tl.arange(0, R)[:, None] * C + tl.arange(0, C)[None, :]
    none = tl.zeros([R], tl.float32)
    found, least, _, _ = gpu_nucleus.nucleus(
        tl.load(scores + at), none + near, none + pace, p, lowest
    )
    tl.store(kept + at, (found >= least[:, None]).to(tl.int32))


@given(scenes())
@settings(max_examples=60)
def test_the_cubes_that_a_row_may_choose_from_are_the_first_ones(scene: object) -> None:
    """What the kernel relies on: cubes are numbered in the order of their first tokens."""
    sequence: SequenceMap = scene.build()  # type: ignore[attr-defined]
    first = gpu_tables.KeyBlocks.of(sequence).first_tokens
    for segment in sequence.segments(0):
        seen = torch.searchsorted(first, segment.video_before.int())
        prefix = torch.arange(segment.end_cube) < seen[:, None]
        assert torch.equal(prefix & ~segment.own_mask, segment.candidates)


@given(st.integers(1, 3), st.integers(1, 70), st.integers(0, 9), st.integers(0, 99))
def test_packing_can_be_undone(heads: int, rows: int, cubes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(heads, rows, cubes, generator=generator) < 0.5
    words = bits.pack(mask)
    assert words.shape == (heads, ceil(rows / 32), cubes) and words.dtype == torch.int32
    assert torch.equal(bits.unpack(words, torch.arange(rows)), mask)


@given(scenes())
@settings(max_examples=60)
def test_key_blocks_hold_every_key_once(scene: object) -> None:
    sequence: SequenceMap = scene.build()  # type: ignore[attr-defined]
    blocks = gpu_tables.KeyBlocks.of(sequence)
    layout = sequence.layout
    real = blocks.tokens != gpu_tables.NO_TOKEN
    assert blocks.slots % blocks.block == 0
    assert sorted(blocks.tokens[real].tolist()) == list(range(layout.tokens))
    cube = torch.arange(len(real)) // blocks.slots
    assert torch.equal(layout.cube_from_token[blocks.tokens[real].long()], cube[real])
    video = blocks.positions[: blocks.text_start][real]
    assert torch.equal(video, sequence.video_positions[blocks.tokens[real].long()])
    assert torch.equal(blocks.positions[blocks.text_start :], sequence.text_positions)
    assert blocks.ragged == bool((~real).any()) or not layout.cubes


@given(scenes(), st.integers(1, 4000), st.sampled_from([1, 4, 256]))
@settings(max_examples=60)
def test_parts_of_rows_hold_each_row_once_and_all_that_it_may_choose_from(
    scene: object, most: int, few: int
) -> None:
    sequence: SequenceMap = scene.build()  # type: ignore[attr-defined]
    rows = gpu_rows.Rows.of(sequence.segments(0), 0)
    ends = [segment.end_cube for segment in rows.segments for _ in segment.positions]
    parts = rows.parts(max_scores=most, merged_cubes=few)
    assert [part.start for part, _ in parts] == [0, *(part.stop for part, _ in parts[:-1])]
    assert parts[-1][0].stop == rows.count
    for part, cubes in parts:
        assert part.start % bits.WORD == 0 and cubes == max(ends[part])
        size = part.stop - part.start
        assert size <= bits.WORD or size * cubes <= most


@pytest.mark.parametrize("name", ODD)
def test_means_are_those_of_every_cube(name: str) -> None:
    sequence = on_device(ODD[name])
    keys = torch.randn(2, sequence.length, 8, generator=torch.Generator().manual_seed(0))
    means = gpu_attention.cube_means(keys.to(DEVICE), sequence).cpu()
    for cube in range(sequence.layout.cubes):
        at = sequence.video_positions[sequence.layout.cube_from_token == cube].cpu()
        torch.testing.assert_close(means[:, cube], keys[:, at].mean(1))


@pytest.mark.parametrize("skipped", ["mean", "bypass"])
@pytest.mark.parametrize("rule", [top_p(0.0), top_p(1.0), *(Rule(n, 0.4) for n in TOKEN_RULES)])
@pytest.mark.parametrize("name", ["ragged", "padded", "two videos, none between", "no video"])
def test_the_ffn_is_that_of_the_plain_path(name: str, rule: Rule, skipped: str) -> None:
    sequence = on_device(ODD[name])
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(sequence.length, 20, generator=generator).to(DEVICE)
    weight = torch.randn(20, 20, generator=generator).to(DEVICE)
    inputs = (hidden, hidden.norm(dim=-1), sequence, lambda rows: (rows @ weight).relu())
    output, kept, weights = gpu_ffn.sparse_ffn(*inputs, rule=rule, skipped=skipped)
    expected, chosen_there, importance = ffn.by_torch(*inputs, rule=rule, skipped=skipped)
    assert torch.equal(kept, chosen_there)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weights, importance)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_ffn_keeps_the_dtype_and_computes_only_a_bucket(dtype: torch.dtype) -> None:
    sequence = on_device(ODD["ragged"])
    hidden = torch.ones(sequence.length, 16, dtype=dtype, device=DEVICE)
    seen: list[int] = []

    def branch(rows: torch.Tensor) -> torch.Tensor:
        seen.append(len(rows))
        return rows * 3

    output, kept, _ = gpu_ffn.sparse_ffn(
        hidden, hidden.float().norm(dim=-1), sequence, branch, rule=Rule("top_k", 0.5)
    )
    computed = int(kept.sum()) + len(sequence.text_positions)
    assert output.dtype == dtype and output.eq(3).all()
    assert seen == [ceil(computed / gpu_ffn.BUCKET) * gpu_ffn.BUCKET]


def test_the_ffn_computes_some_rows_at_a_time() -> None:
    sequence = on_device(ODD["ragged"])
    hidden = torch.randn(sequence.length, 16, generator=torch.Generator().manual_seed(3)).to(DEVICE)
    seen: list[int] = []

    def branch(rows: torch.Tensor) -> torch.Tensor:
        seen.append(len(rows))
        return rows.tanh()

    inputs = (hidden, hidden.norm(dim=-1), sequence, branch)
    whole, _, _ = gpu_ffn.sparse_ffn(*inputs, rule=Rule("top_k", 0.5))
    parts, _, _ = gpu_ffn.sparse_ffn(*inputs, rule=Rule("top_k", 0.5), rows_at_once=50)
    assert torch.equal(parts, whole) and max(seen[1:]) == 50 and sum(seen[1:]) == seen[0]


def test_rows_are_computed_before_their_number_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that passed last time, less an eighth: too many or too few, the result is the same."""
    monkeypatch.setattr(gpu_ffn, "BUCKET", 1)
    monkeypatch.setattr(gpu_ffn, "MIN_FIRST", 1)
    sequence = on_device(ODD["ragged"])
    hidden = torch.randn(sequence.length, 16, generator=torch.Generator().manual_seed(4)).to(DEVICE)
    before, text = 0, len(sequence.text_positions)
    for p in (0.3, 0.9, 0.9, 0.1):
        asked: list[int] = []

        def branch(rows: torch.Tensor, asked: list[int] = asked) -> torch.Tensor:
            asked.append(len(rows))
            return rows.tanh()

        inputs = (hidden, hidden.norm(dim=-1), sequence)
        output, kept, _ = gpu_ffn.sparse_ffn(*inputs, branch, rule=top_p(p))
        expected, _, _ = ffn.by_torch(*inputs, torch.tanh, rule=top_p(p))
        torch.testing.assert_close(output, expected)
        passed = text + int(kept.sum())
        first = before * 7 // 8
        assert asked == [part for part in (first, passed - first) if part > 0]
        before = passed
