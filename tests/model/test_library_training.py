"""Gradients, checkpointing and torch.compile: recorded, recomputed, left uncompiled."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from models import checkpoint_layers, prompt, tiny_model
from torch import Tensor

from adaspark import record, restore, sparsify
from adaspark.method.config import AdaSparkConfig

CUBE = (2, 2, 3)
SPARSE = AdaSparkConfig(CUBE, 0.5, 0.5)
DENSE = AdaSparkConfig(CUBE, 1.0, 1.0)
VIDEOS = [(5, 3, 7), (2, 4, 4)]
Inputs = dict[str, Tensor]


@pytest.fixture
def inputs() -> Inputs:
    return prompt(VIDEOS)


@torch.no_grad()
def logits(model: Any, inputs: Inputs) -> Tensor:
    return model(**inputs).logits


def step(model: Any, inputs: Inputs) -> dict[str, Tensor]:
    """The gradients of a training step."""
    model.train().zero_grad()
    model(**inputs, labels=inputs["input_ids"], use_cache=False).loss.backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.few(2)
@pytest.mark.parametrize("config", [SPARSE, DENSE], ids=["sparse", "one"])
@pytest.mark.parametrize("checkpointing", [None, False, True], ids=["none", "new", "reentrant"])
def test_a_training_step_is_recorded_without_a_change(
    inputs: Inputs, config: AdaSparkConfig, checkpointing: bool | None
) -> None:
    model = sparsify(tiny_model(), config)
    with record(model) as alone:
        logits(model, inputs)
    if checkpointing is not None:
        checkpoint_layers(model, {"use_reentrant": checkpointing})
    expected = {name: gradient.clone() for name, gradient in step(model, inputs).items()}
    with record(model) as trace:
        found = step(model, inputs)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    for name in ("kept_share", "ffn_kept", "word_kept", "computed_pairs", "causal_pairs"):
        assert (getattr(trace, name) == getattr(alone, name)).all()
    assert len(trace.words) == len(alone.words) and trace.meta.counts == alone.meta.counts


def test_recomputed_layers_know_their_own_prompt(inputs: Inputs) -> None:
    """Two prompts go forward before the first one's gradients are taken, in turns."""
    model, other = sparsify(tiny_model(), SPARSE), prompt([(3, 4, 4)], seed=1)
    checkpoint_layers(model, {"use_reentrant": False})
    apart = [step(model, given) for given in (inputs, other)]
    expected = {name: apart[0][name] + apart[1][name] for name in apart[0]}
    model.zero_grad()
    losses = [
        model(**given, labels=given["input_ids"], use_cache=False).loss for given in (inputs, other)
    ]
    for loss in losses:
        loss.backward()
    for name, parameter in model.named_parameters():
        if name in expected:
            torch.testing.assert_close(parameter.grad, expected[name], atol=1e-4, rtol=1e-4)


def test_outputs_with_gradients_are_recorded(inputs: Inputs) -> None:
    model = sparsify(tiny_model(), SPARSE)
    with record(model) as trace:
        found = model(**inputs).logits
    assert found.requires_grad and trace.ffn_density < 1 and len(trace.layers) == 3


@pytest.mark.long
@pytest.mark.few
@pytest.mark.parametrize("first", ["compile", "sparsify"])
def test_a_compiled_model_answers_as_an_uncompiled_one(first: str) -> None:
    """Of an odd number of slices; nothing of ours is traced, whatever the backend."""
    torch.compiler.reset()
    model, inputs = tiny_model(layers=1), prompt([(5, 3, 7)])
    stock = copy.deepcopy(model)
    plain = sparsify(copy.deepcopy(model), SPARSE)
    if first == "compile":
        compiled = torch.compile(model, backend="eager")
        logits(compiled, prompt([]))  # traced while it was a stock model
        sparsify(compiled, SPARSE)
    else:
        compiled = torch.compile(sparsify(model, SPARSE), backend="eager")
    for given in (inputs, prompt([])):
        torch.testing.assert_close(
            logits(compiled, given), logits(plain, given), atol=1e-4, rtol=1e-4
        )
    restore(compiled)
    text = prompt([])
    torch.testing.assert_close(logits(compiled, text), logits(stock, text), atol=1e-4, rtol=1e-4)


def test_layers_compiled_one_by_one_answer_as_uncompiled_ones(inputs: Inputs) -> None:
    torch.compiler.reset()
    model = sparsify(tiny_model(layers=2), SPARSE)
    expected = logits(model, inputs)
    for layer in model.model.language_model.layers:
        layer.compile(backend="eager")
    torch.testing.assert_close(logits(model, inputs), expected, atol=1e-4, rtol=1e-4)
    text = prompt([])
    torch.testing.assert_close(
        logits(model, text), logits(tiny_model(layers=2), text), atol=1e-4, rtol=1e-4
    )
