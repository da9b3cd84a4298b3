"""Tokens weighed by the norm of the FFN's input instead of the residual stream's."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from models import prompt, tiny_model
from test_laws import CUBE, SHAPES, TWO_VIDEOS, logits, traced

from adaspark import AdaSparkConfig, sparsify
from adaspark.errors import UserError
from adaspark.kernels.backend import use_backend

BY_INPUT = AdaSparkConfig(CUBE, 1.0, 0.5, ffn_importance="input")


def uneven_norm() -> torch.nn.Module:
    """A model whose norms before the FFN weigh channels apart, as trained ones do."""
    model = tiny_model(layers=2)
    generator = torch.Generator().manual_seed(0)
    for layer in model.model.language_model.layers:
        weight = layer.post_attention_layernorm.weight
        weight.data = 3 * torch.rand(weight.shape, generator=generator)
    return model


def test_the_recorded_importance_is_that_of_what_enters_the_ffn() -> None:
    model, inputs = uneven_norm(), prompt([(5, 3, 7)])
    seen: list[torch.Tensor] = []
    hook = model.model.language_model.layers[0].mlp.register_forward_pre_hook(
        lambda _, args: seen.append(args[0][0])
    )
    trace = traced(sparsify(model, BY_INPUT), inputs)
    hook.remove()
    is_video = inputs["mm_token_type_ids"][0] == 2
    norms = seen[0][is_video].float().norm(dim=-1).numpy()
    for cube in range(len(trace.bounds)):
        inside = trace.cube_from_token == cube
        share = norms[inside] / norms[inside].sum()
        assert trace.ffn_importance[0, inside] == pytest.approx(share, abs=2e-3)  # kept as fp16


@pytest.mark.parametrize("shape", SHAPES)
def test_the_model_equals_the_slow_reference(shape: str) -> None:
    inputs, model = (
        prompt(SHAPES[shape]),
        sparsify(uneven_norm(), replace(BY_INPUT, attn_top_p=0.6)),
    )
    fast = logits(model, inputs)
    with use_backend("reference"):
        torch.testing.assert_close(fast, logits(model, inputs), atol=1e-4, rtol=1e-4)


def test_it_chooses_other_tokens_as_many_and_all_at_one() -> None:
    inputs, stock = prompt(TWO_VIDEOS), uneven_norm()
    share = {"ffn_rule": "top_k", "ffn_keep": 0.4}
    one, other = (
        traced(sparsify(copy.deepcopy(stock), AdaSparkConfig(CUBE, 1.0, **share, **how)), inputs)  # type: ignore[arg-type]
        for how in ({}, {"ffn_importance": "input"})
    )
    assert one.ffn_density == other.ffn_density
    assert (one.ffn_mask()[0] != other.ffn_mask()[0]).any()
    whole = sparsify(copy.deepcopy(stock), replace(BY_INPUT, ffn_top_p=1.0))
    assert torch.equal(logits(whole, inputs), logits(stock, inputs))


def test_another_importance_is_refused() -> None:
    with pytest.raises(UserError, match="ffn_importance must be one of residual, input, got 'x'"):
        AdaSparkConfig(ffn_importance="x")
