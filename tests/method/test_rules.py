"""The rules that AdaSpark is compared with: against their slow twins, and what each must keep."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import rounding
import torch
from geometry import ODD, Scene, allowed_mask, scenes, tensors
from hypothesis import given, settings
from hypothesis import strategies as st
from models import prompt, tiny_model

from adaspark.errors import UserError
from adaspark.kernels.backend import sparse_attention, sparse_ffn
from adaspark.method import ffn, reference
from adaspark.method.attention import Choice
from adaspark.method.config import AdaSparkConfig
from adaspark.method.layout import CubeLayout
from adaspark.method.rules import CUBE_RULES, OWN_CUBE_RULES, TOKEN_RULES, Rule, add_cube_rule
from adaspark.method.segment import Segment
from adaspark.method.selection import keep_cubes, keep_tokens
from adaspark.model.qwen import record, sparsify
from adaspark.trace.cost import flops

SHARING = [rule for rule in CUBE_RULES if rule != "top_p"]
shares = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.7, 1.0])
masks = st.lists(st.booleans(), min_size=1, max_size=30)
SCALE = 8**-0.5


@given(masks, shares, st.sampled_from(SHARING), st.integers(0, 10**6))
def test_every_rule_is_its_slow_twin_and_keeps_the_share_rounded_up(
    mask: list[bool], share: float, name: str, row: int
) -> None:
    candidates = [i for i, is_one in enumerate(mask) if is_one]
    mass = torch.rand(len(mask), generator=torch.Generator().manual_seed(row))
    mass = (mass * 8).round() / 8  # ties
    kept = keep_cubes(
        mass[None], torch.tensor(mask), Rule(name, share), positions=torch.tensor([row])
    )
    found = set(kept[0].nonzero().flatten().tolist())
    assert found == reference.keep(mass.tolist(), candidates, Rule(name, share), row)
    assert len(found) == math.ceil(share * len(candidates) - 1e-9)


def test_a_tenth_of_thirty_is_three() -> None:
    kept = keep_cubes(torch.rand(1, 30), torch.ones(30, dtype=torch.bool), Rule("top_k", 0.1))
    assert kept.sum() == 3


@given(masks, shares, st.integers(0, 10**6))
def test_an_own_rule_keeps_the_heaviest_of_its_weights(
    mask: list[bool], share: float, seed: int
) -> None:
    candidates = torch.tensor([mask])
    mass = torch.rand(1, len(mask), generator=torch.Generator().manual_seed(seed)) * candidates
    add_cube_rule("heaviest", lambda mass, candidates: mass)
    add_cube_rule("lightest", lambda mass, candidates: -mass)
    try:
        config = AdaSparkConfig(attn_rule="heaviest", attn_keep=share)
        kept = keep_cubes(mass, candidates, config.attention_in(0))
        assert torch.equal(kept, keep_cubes(mass, candidates, Rule("top_k", share)))
        light = keep_cubes(mass, candidates, Rule("lightest", share))
        assert light.sum() == kept.sum() and not (light & ~candidates).any()
        left = candidates & ~light
        assert not left.any() or not light.any() or mass[light].max() <= mass[left].min()
    finally:
        OWN_CUBE_RULES.clear()


@pytest.mark.parametrize("name", ["top_p", "recent", "two words", ""])
def test_an_own_rule_needs_a_name_of_its_own(name: str) -> None:
    with pytest.raises(UserError, match="name of its own"):
        add_cube_rule(name, lambda mass, candidates: mass)
    with pytest.raises(UserError, match="attn_rule must be one of"):
        AdaSparkConfig(attn_rule="never_added", attn_keep=0.5)


def test_what_each_rule_prefers() -> None:
    mass = torch.tensor([[0.1, 0.4, 0.0, 0.2, 0.3, 0.0, 0.0, 0.0]])
    candidates = torch.tensor([True] * 6 + [False] * 2)

    def kept(name: str, share: float) -> list[int]:
        rule = Rule(name, share)
        return keep_cubes(mass, candidates, rule)[0].nonzero().flatten().tolist()

    assert kept("top_k", 0.5) == [1, 3, 4]
    assert kept("recent", 0.5) == [3, 4, 5]
    assert kept("uniform", 0.5) == [1, 3, 5]
    assert kept("uniform", 1 / 3) == [2, 5]


def test_random_depends_on_the_query_and_favours_no_cube() -> None:
    rows, cubes = 4000, 10
    candidates = torch.ones(cubes, dtype=torch.bool)
    rule, positions = Rule("random", 0.3), torch.arange(rows)
    mass = torch.zeros(rows, cubes)
    kept = keep_cubes(mass, candidates, rule, positions=positions)
    again = keep_cubes(mass.expand(2, -1, -1), candidates, rule, positions=positions)
    assert torch.equal(again[0], kept) and torch.equal(again[1], kept)
    assert (kept.sum(-1) == 3).all() and len({*map(tuple, kept.tolist())}) == math.comb(10, 3)
    share = kept.float().mean(0)
    assert (share - 0.3).abs().max() < 5 * math.sqrt(0.3 * 0.7 / rows)


@given(scenes(most_tokens=40), st.sampled_from(SHARING), shares)
@settings(max_examples=25)
def test_attention_by_any_rule_equals_the_reference(scene: Scene, name: str, share: float) -> None:
    sequence = scene.build()
    qkv = tensors(sequence, heads=4, groups=2)
    choices = []
    for function in (sparse_attention, reference.sparse_attention):
        heard: list[tuple[Segment, Choice]] = []

        def observe(*told: Any, heard: list[Any] = heard) -> None:
            heard.append(told)

        output = function(*qkv, sequence, rule=Rule(name, share), scale=SCALE, observe=observe)
        mask = allowed_mask(sequence, heard, sequence.length)
        rounding.check_attention(output, qkv, mask, scale=SCALE)
        choices.append([choice.kept for _, choice in heard])
    assert all(torch.equal(a, b) for a, b in zip(*choices, strict=True))


@pytest.mark.parametrize("skipped", ["mean", "bypass"])
@pytest.mark.parametrize("name", TOKEN_RULES)
@pytest.mark.parametrize("shape", ["ragged", "two videos, text between"])
def test_the_ffn_by_any_rule_equals_the_reference(shape: str, name: str, skipped: str) -> None:
    sequence = ODD[shape].build()
    hidden = torch.randn(sequence.length, 6, generator=torch.Generator().manual_seed(0))
    inputs = (hidden, hidden.norm(dim=-1), sequence, torch.tanh)
    mine = sparse_ffn(*inputs, rule=Rule(name, 0.4), skipped=skipped)
    slow = reference.sparse_ffn(*inputs, rule=Rule(name, 0.4), skipped=skipped)
    assert torch.equal(mine[1], slow[1])
    torch.testing.assert_close(mine[0], slow[0])


@pytest.mark.parametrize("name", TOKEN_RULES)
@pytest.mark.parametrize("amount", [0.0, 0.3, 1.0])
def test_every_cube_keeps_a_token(name: str, amount: float) -> None:
    layout = CubeLayout([(3, 3, 5)], (2, 2, 2))
    weights = ffn.importance(torch.rand(45, generator=torch.Generator().manual_seed(1)), layout)
    kept = ffn.choose_tokens(weights, layout, rule=Rule(name, amount))
    counts = torch.bincount(layout.cube_from_token[kept], minlength=layout.cubes)
    assert (counts >= 1).all() and (amount < 1 or kept.all())
    if name != "top_p":
        expected = [max(1, math.ceil(amount * n - 1e-9)) for n in layout.cube_sizes.tolist()]
        assert counts.tolist() == expected


def test_a_batch_chooses_as_its_rows_do() -> None:
    layout = CubeLayout([(3, 3, 5)], (2, 2, 2))
    norms = torch.rand(4, 45, generator=torch.Generator().manual_seed(2))
    for name in TOKEN_RULES:
        rule = Rule(name, 0.4)
        together = ffn.choose_tokens(ffn.importance(norms, layout), layout, rule=rule)
        for row, kept in zip(norms, together, strict=True):
            alone = ffn.choose_tokens(ffn.importance(row, layout), layout, rule=rule)
            assert torch.equal(kept, alone)


def test_no_tokens_keep_nothing() -> None:
    empty = keep_tokens(torch.zeros(0, 0), torch.zeros(0, 0, dtype=torch.bool), Rule("top_k", 0.5))
    assert empty.shape == (0, 0)


@pytest.mark.parametrize("name", SHARING)
def test_a_model_that_keeps_all_by_any_rule_is_dense(name: str) -> None:
    inputs, stock = prompt([(3, 3, 5)]), tiny_model(layers=2)
    ffn_rule = name if name in TOKEN_RULES else "top_k"
    config = AdaSparkConfig(
        (2, 2, 2), attn_rule=name, attn_keep=1.0, ffn_rule=ffn_rule, ffn_keep=1.0
    )
    assert config.is_dense
    with torch.no_grad():
        expected = stock(**inputs).logits
        assert torch.equal(sparsify(copy.deepcopy(stock), config)(**inputs).logits, expected)


@pytest.mark.parametrize("name", SHARING)
def test_a_model_runs_and_records_any_rule(name: str) -> None:
    config = AdaSparkConfig((2, 2, 2), attn_rule=name, attn_keep=0.5, ffn_skipped="bypass")
    model = sparsify(tiny_model(layers=2), config)
    with torch.no_grad(), record(model) as trace:
        model(**prompt([(4, 4, 4)]))
    kept = trace.word_mask()[:, -1]
    assert (kept.sum(-1) == math.ceil(0.5 * len(trace.bounds))).all()
    assert trace.meta.config == config


def test_rules_that_look_at_nothing_choose_for_nothing() -> None:
    def choosing(**settings: object) -> float:
        model = sparsify(tiny_model(layers=2), AdaSparkConfig((2, 2, 2), **settings))  # type: ignore[arg-type]
        with torch.no_grad(), record(model) as trace:
            model(**prompt([(4, 4, 4)]))
        return flops(trace).sparse.choosing

    cubes = choosing(ffn_rule="random", ffn_keep=0.5)
    tokens = choosing(attn_rule="recent", attn_keep=0.5)
    assert cubes > 0 and tokens > 0 and choosing() == cubes + tokens
    assert choosing(attn_rule="uniform", attn_keep=0.5, ffn_rule="uniform", ffn_keep=0.5) == 0
