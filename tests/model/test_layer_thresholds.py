"""Thresholds by layer: equal ones are one for all, each acts in its own layer, none is guessed."""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from models import prompt, tiny_model
from test_laws import CUBE, SHAPES, TWO_VIDEOS, answer, logits, traced
from torch import Tensor

from adaspark import AdaSparkConfig, restore, sparsify
from adaspark.errors import UserError
from adaspark.kernels.backend import use_backend
from adaspark.trace.cost import flops
from adaspark.trace.trace import Trace

LAYERS = 3
MIXED = AdaSparkConfig(CUBE, (0.4, 1.0, 0.7), (1.0, 0.3, 0.6))


@torch.no_grad()
def states(model: Any, inputs: dict[str, Tensor]) -> list[Tensor]:
    """What enters each layer, and what leaves the last one normalised."""
    found: tuple[Tensor, ...] = model(**inputs, output_hidden_states=True).hidden_states
    return list(found)


@pytest.mark.few(2)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("ps", [(0.6, 0.5), (1.0, 0.5), (0.6, 1.0), (0.0, 0.0)])
def test_equal_thresholds_are_one_for_all_to_the_bit(
    ps: tuple[float, float], dtype: torch.dtype
) -> None:
    inputs, stock = prompt(TWO_VIDEOS), tiny_model(dtype=dtype)
    one = sparsify(copy.deepcopy(stock), AdaSparkConfig(CUBE, *ps))
    each = sparsify(stock, AdaSparkConfig(CUBE, *((p,) * LAYERS for p in ps)))
    assert torch.equal(logits(one, inputs), logits(each, inputs))
    assert answer(one, inputs) == answer(each, inputs)
    records = traced(one, inputs), traced(each, inputs)
    for name in (field.name for field in fields(Trace) if field.name != "meta"):
        mine, other = (getattr(trace, name) for trace in records)
        assert np.array_equal(mine, other, equal_nan=mine.dtype.kind == "f"), name
    assert flops(records[0]) == flops(records[1])


def test_a_layer_at_one_is_dense_in_that_layer_only() -> None:
    model, inputs = tiny_model(), prompt(TWO_VIDEOS)
    layers = traced(sparsify(model, MIXED), inputs).layers
    assert [layer.attention_density == 1 for layer in layers] == [False, True, False]
    assert [layer.ffn_density == 1 for layer in layers] == [True, False, False]


@pytest.mark.parametrize("sparse", range(LAYERS))
def test_what_one_layer_drops_changes_nothing_before_it(sparse: int) -> None:
    inputs, stock = prompt(TWO_VIDEOS), tiny_model()
    dense = states(stock, inputs)
    ps = tuple(0.3 if layer == sparse else 1.0 for layer in range(LAYERS))
    for config in (AdaSparkConfig(CUBE, ps, 1.0), AdaSparkConfig(CUBE, 1.0, ps)):
        changed = states(sparsify(copy.deepcopy(stock), config), inputs)
        same = [torch.equal(mine, other) for mine, other in zip(changed, dense, strict=True)]
        assert same == [layer <= sparse for layer in range(LAYERS + 1)]


@pytest.mark.few(2)
@pytest.mark.parametrize("shape", SHAPES)
def test_each_layer_equals_the_slow_reference(shape: str) -> None:
    inputs, model = prompt(SHAPES[shape]), sparsify(tiny_model(), MIXED)
    fast, words = logits(model, inputs), answer(model, inputs)
    with use_backend("reference"):
        torch.testing.assert_close(fast, logits(model, inputs), atol=1e-4, rtol=1e-4)
        assert words == answer(model, inputs)


def test_a_trace_holds_every_layers_threshold() -> None:
    trace = traced(sparsify(tiny_model(), MIXED), prompt(TWO_VIDEOS))
    assert trace.meta.config.attn_top_p == (0.4, 1.0, 0.7)
    assert trace.meta.config == MIXED


def test_another_number_of_layers_is_refused_and_changes_nothing() -> None:
    inputs, stock = prompt(TWO_VIDEOS), tiny_model()
    wrong = AdaSparkConfig(CUBE, (0.5,) * 4)
    message = "^Thresholds are given for 4 layers and this model has 3: give one number for all "
    with pytest.raises(UserError, match=message):
        sparsify(model := copy.deepcopy(stock), wrong)
    assert torch.equal(logits(model, inputs), logits(stock, inputs))
    before = logits(sparsify(model, MIXED), inputs)
    with pytest.raises(UserError, match=message):
        sparsify(model, wrong)
    assert torch.equal(logits(model, inputs), before)
    assert torch.equal(logits(restore(model), inputs), logits(stock, inputs))
