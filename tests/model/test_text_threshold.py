"""Text queries with a threshold of their own: the laws hold, and no row of video is touched."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import rounding
import torch
from geometry import Scene, allowed_mask, scenes, tensors
from hypothesis import given, settings
from hypothesis import strategies as st
from models import prompt, text_after, tiny_model
from test_laws import CUBE, SHAPES, TWO_VIDEOS, answer, logits, traced
from torch import Tensor

from adaspark import AdaSparkConfig, record, sparsify
from adaspark.kernels.backend import sparse_attention, use_backend
from adaspark.kernels.cpu import attention as cpu_attention
from adaspark.method import attention, reference
from adaspark.method.attention import Choice
from adaspark.method.rules import CUBE_RULES, Rule
from adaspark.method.sequence import Segment
from adaspark.trace.cost import flops
from adaspark.trace.trace import Trace

P, FFN_P = 0.5, 0.5
APART = AdaSparkConfig(CUBE, P, FFN_P, text_top_p=0.9)
amounts = st.sampled_from([0.0, 0.3, 0.8, 1.0])
SCALE = 8**-0.5


def same_arrays(one: Trace, other: Trace) -> bool:
    names = (field.name for field in fields(Trace) if field.name != "meta")
    pairs = ((getattr(one, name), getattr(other, name)) for name in names)
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_threshold_written_out_changes_no_bit(dtype: torch.dtype) -> None:
    inputs, stock = prompt(TWO_VIDEOS), tiny_model(dtype=dtype)
    one = sparsify(copy.deepcopy(stock), AdaSparkConfig(CUBE, P, FFN_P))
    both = sparsify(stock, AdaSparkConfig(CUBE, P, FFN_P, text_top_p=P))
    assert torch.equal(logits(one, inputs), logits(both, inputs))
    assert answer(one, inputs) == answer(both, inputs)
    records = traced(one, inputs), traced(both, inputs)
    assert same_arrays(*records) and flops(records[0]) == flops(records[1])


@pytest.mark.parametrize("words", [0.0, 0.9, 1.0])
def test_rows_of_video_choose_as_they_do_without_it(words: float) -> None:
    """In the first layer, which no choice has touched yet; the words choose by their own."""
    model, inputs = tiny_model(layers=1), prompt([(5, 3, 7)])
    alone = traced(sparsify(model, AdaSparkConfig(CUBE, P, 1.0)), inputs)
    apart = traced(sparsify(model, AdaSparkConfig(CUBE, P, 1.0, text_top_p=words)), inputs)
    other = traced(sparsify(model, AdaSparkConfig(CUBE, words, 1.0)), inputs)
    assert np.array_equal(apart.kept_share, alone.kept_share)
    assert np.array_equal(apart.word_kept, other.word_kept)
    assert not np.array_equal(apart.word_kept, alone.word_kept)


@pytest.mark.parametrize("shape", SHAPES)
def test_law_1_all_three_at_one_are_the_stock_model(shape: str) -> None:
    inputs, stock = prompt(SHAPES[shape]), tiny_model()
    model = sparsify(copy.deepcopy(stock), AdaSparkConfig(CUBE, 1.0, 1.0, text_top_p=1.0))
    assert (logits(model, inputs) - logits(stock, inputs)).abs().max() <= 1e-4


@pytest.mark.parametrize("words", [0.3, 1.0])
def test_law_3_recording_changes_no_bit(words: float) -> None:
    model = sparsify(tiny_model(), replace(APART, text_top_p=words))
    inputs = prompt(TWO_VIDEOS)
    alone, written = logits(model, inputs), answer(model, inputs)
    with record(model):
        assert torch.equal(logits(model, inputs), alone)
    with record(model):
        assert answer(model, inputs) == written


@pytest.mark.parametrize("words", [0.2, 0.9])
def test_law_4_words_keep_the_fewest_that_reach_their_own(words: float) -> None:
    config = AdaSparkConfig(CUBE, P, FFN_P, text_top_p=words)
    trace = traced(sparsify(tiny_model(), config), prompt(TWO_VIDEOS))
    kept, mass = trace.word_mask(), trace.word_probs.astype(float)  # fp16: errors up to 1e-3
    held, least = (mass * kept).sum(-1), (mass + 2.0 * ~kept).min(-1)
    asked = mass.sum(-1) > 0.5
    assert asked.any() and (held[asked] >= words - 2e-3).all()
    assert (held[asked] - least[asked] < words + 2e-3).all()


@pytest.mark.few(3)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("words", [0.0, 1.0])
def test_law_5_the_model_equals_the_slow_reference(shape: str, words: float) -> None:
    inputs = prompt(SHAPES[shape])
    model = sparsify(tiny_model(layers=2), replace(APART, text_top_p=words))
    fast, written = logits(model, inputs), answer(model, inputs)
    with use_backend("reference"):
        torch.testing.assert_close(fast, logits(model, inputs), atol=1e-4, rtol=1e-4)
        assert answer(model, inputs) == written


def test_law_6_density_never_rises_when_it_falls() -> None:
    model, inputs = tiny_model(layers=1), prompt(TWO_VIDEOS)
    found = []
    for words in (1.0, 0.9, 0.6, 0.3, 0.0):
        sparsify(model, replace(APART, text_top_p=words))
        trace = traced(model, inputs)
        found.append((trace.attention_density, flops(trace).sparse.total))
    assert found[0] > found[-1]
    for more, less in pairwise(found):
        assert all(a >= b for a, b in zip(more, less, strict=True))


@pytest.mark.parametrize("words", [0.3, 1.0])
def test_law_7_prefill_then_decode_is_one_longer_prefill(words: float) -> None:
    inputs = prompt([(5, 3, 7)])
    model = sparsify(tiny_model(), replace(APART, text_top_p=words))
    with torch.no_grad():
        first = model(**inputs, use_cache=True)
        more = model(input_ids=torch.tensor([[7, 8, 9]]), past_key_values=first.past_key_values)
    whole = logits(model, text_after(inputs, [7, 8, 9]))[:, -3:]
    torch.testing.assert_close(more.logits, whole, atol=1e-4, rtol=1e-4)


def test_a_layer_may_have_its_own() -> None:
    inputs = prompt(TWO_VIDEOS)
    config = AdaSparkConfig(CUBE, P, (1.0, 0.5, 0.7), text_top_p=(1.0, 0.0, 0.6))
    trace = traced(sparsify(tiny_model(), config), inputs)
    seen = trace.word_probs > 0
    kept = trace.word_mask()
    assert (kept[0] >= seen[0]).all() and not kept[1].any() and 0 < kept[2].sum() < seen[2].sum()


def test_an_intervention_holds_for_words_that_read_everything() -> None:
    forced = {1: False, 2: True}
    model = sparsify(tiny_model(), replace(APART, text_top_p=1.0), forced=forced)
    inputs = prompt([(5, 3, 7)])
    trace = traced(model, inputs)
    last = trace.word_mask()[:, -1]
    assert not last[..., 1].any() and last[..., 2].all()
    fast = logits(model, inputs)
    with use_backend("reference"):
        torch.testing.assert_close(fast, logits(model, inputs), atol=1e-4, rtol=1e-4)


@given(scenes(most_tokens=40), st.sampled_from(CUBE_RULES), amounts, amounts)
@settings(max_examples=25)
def test_attention_by_any_rule_equals_the_reference(
    scene: Scene, name: str, amount: float, words: float
) -> None:
    sequence = scene.build()
    qkv = tensors(sequence, heads=4, groups=2)
    rule, kept = Rule(name, amount, text_amount=words), []
    for function in (sparse_attention, reference.sparse_attention):
        output, heard = _ran(function, qkv, sequence, rule)
        mask = allowed_mask(sequence, heard, sequence.length)
        rounding.check_attention(output, qkv, mask, scale=SCALE)
        kept.append([choice.kept for _, choice in heard])
    assert all(torch.equal(a, b) for a, b in zip(*kept, strict=True))


@pytest.mark.parametrize("amount, words", [(0.5, 1.0), (0.5, 0.0), (1.0, 0.4), (0.0, 1.0)])
def test_the_compiled_kernels_choose_as_tiles_do(amount: float, words: float) -> None:
    sequence = Scene(((8, 6, 7),), (5, 40), (2, 2, 2)).build()
    qkv = tensors(sequence, heads=4, groups=2)
    rule = Rule("top_p", amount, text_amount=words)
    mine, heard = _ran(cpu_attention.sparse_attention, qkv, sequence, rule)
    _, others = _ran(attention.by_tiles, qkv, sequence, rule)
    for (segment, choice), (_, other) in zip(heard, others, strict=True):
        assert (choice.kept != other.kept).any(-1).float().mean() <= 1e-3
        of = words if segment.is_text else amount
        if of in (0.0, 1.0):
            assert torch.equal(choice.kept, (segment.candidates & (of == 1)).expand_as(choice.kept))
        torch.testing.assert_close(choice.probs, other.probs, atol=1e-5, rtol=1e-4)
    mask = allowed_mask(sequence, heard, sequence.length)
    rounding.check_attention(mine, qkv, mask, scale=SCALE)


def _ran(
    function: Any, qkv: tuple[Tensor, Tensor, Tensor], sequence: Any, rule: Rule
) -> tuple[Tensor, list[tuple[Segment, Choice]]]:
    heard: list[tuple[Segment, Choice]] = []
    observe = lambda *told: heard.append(told)  # noqa: E731
    return function(*qkv, sequence, rule=rule, scale=SCALE, observe=observe), heard
