"""Unusual calls of a sparse model: dense with one warning where it must be, and training."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from models import checkpoint_layers, prompt, tiny_model
from torch import Tensor

from adaspark import record, sparsify
from adaspark.method.config import AdaSparkConfig
from adaspark.model.cache_names import cache_argument, cache_in

CUBE = (2, 2, 3)
SPARSE = AdaSparkConfig(CUBE, 0.5, 0.5)
VIDEOS = [(5, 3, 7), (2, 4, 4)]
DENSE_CALL = "AdaSpark runs this call dense: "
Inputs = dict[str, Tensor]


@pytest.fixture
def stock() -> Any:
    return tiny_model()


@pytest.fixture
def model() -> Any:
    return sparsify(tiny_model(), SPARSE)


@pytest.fixture
def inputs() -> Inputs:
    return prompt(VIDEOS)


@torch.no_grad()
def logits(model: Any, inputs: Inputs) -> Tensor:
    return model(**inputs).logits


@torch.no_grad()
def generate(model: Any, inputs: Inputs, count: int = 8, **options: Any) -> list[list[int]]:
    written = model.generate(**inputs, max_new_tokens=count, do_sample=False, **options)
    return written[:, inputs["input_ids"].shape[1] :].tolist()


def falls_back(model: Any, call: Any) -> list[str]:
    """The warnings of a call, made twice: each reason must be told once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
        call()
    return [str(w.message) for w in caught if str(w.message).startswith(DENSE_CALL)]


def test_a_cache_cut_inside_the_video_runs_dense_and_says_so(model: Any, inputs: Inputs) -> None:
    with torch.no_grad():
        cache = cache_in(model(**inputs))
        cache.crop(-130)
        with pytest.warns(UserWarning, match="the cache was cut inside the video"):
            model(input_ids=torch.tensor([[4]]), **cache_argument(model, cache))


def test_embeddings_without_types_run_dense_and_say_so(model: Any, inputs: Inputs) -> None:
    embeds = model.get_input_embeddings()(inputs["input_ids"])
    with pytest.warns(UserWarning, match="inputs_embeds came without mm_token_type_ids"):
        model(inputs_embeds=embeds, video_grid_thw=inputs["video_grid_thw"])


def test_an_unusual_mask_runs_dense_and_says_so(model: Any, inputs: Inputs) -> None:
    count = inputs["input_ids"].shape[1]
    inputs["attention_mask"] = torch.ones(1, 1, count, count).tril().bool()
    inputs["position_ids"] = torch.arange(count).expand(3, 1, -1)
    with pytest.warns(UserWarning, match="the attention mask is not the usual"):
        model(**inputs)


def test_sliding_window_layers_run_dense_and_say_so(model: Any, inputs: Inputs) -> None:
    model.model.language_model.layers[1].self_attn.sliding_window = 16
    with pytest.warns(UserWarning, match="this model has sliding-window layers"):
        model(**inputs)


def test_attention_weights_are_none_as_with_the_stock_model(model: Any, inputs: Inputs) -> None:
    """transformers logs that SDPA gives none; nothing is made up."""
    with torch.no_grad():
        output = model(**inputs, output_attentions=True)
    assert not output.attentions
    assert torch.equal(output.logits, logits(model, inputs))


def losses(model: Any, inputs: Inputs) -> Tensor:
    loss: Tensor = model(**inputs, labels=inputs["input_ids"], use_cache=False).loss
    loss.backward()
    return loss


def gradients(model: Any) -> dict[str, Tensor]:
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def test_one_trains_as_the_stock_model(stock: Any, inputs: Inputs) -> None:
    model = sparsify(copy.deepcopy(stock), AdaSparkConfig(CUBE, 1.0, 1.0)).train()
    assert torch.equal(losses(model, inputs), losses(stock.train(), inputs))
    expected = gradients(stock)
    for name, found in gradients(model).items():
        torch.testing.assert_close(found, expected[name])


def test_a_sparse_model_trains(model: Any, inputs: Inputs) -> None:
    model.train()
    before = losses(model, inputs)
    found = gradients(model)
    assert found.keys() == {name for name, _ in model.named_parameters()}
    assert all(g.isfinite().all() for g in found.values())
    with torch.no_grad():
        norm = torch.cat([g.flatten() for g in found.values()]).norm()
        for parameter in model.parameters():
            parameter -= 1e-3 * parameter.grad / norm
    assert losses(model, inputs) < before


def test_checkpointed_layers_give_the_same_gradients(model: Any, inputs: Inputs) -> None:
    again = copy.deepcopy(model).train()
    checkpoint_layers(again)
    losses(model.train(), inputs)
    losses(again, inputs)
    found = gradients(again)
    for name, expected in gradients(model).items():
        torch.testing.assert_close(found[name], expected)


def test_an_adapter_on_the_values_alone_trains(model: Any, inputs: Inputs) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("v_proj" in name)
    losses(model.train(), inputs)
    found = gradients(model)
    assert len(found) == 2 * 3 and all(g.ne(0).any() for g in found.values())


def test_attention_dropout_runs_dense_and_says_so(model: Any, inputs: Inputs) -> None:
    for layer in model.model.language_model.layers:
        layer.self_attn.attention_dropout = 0.1
    model.train()
    with (
        record(model) as trace,
        pytest.warns(UserWarning, match="attention dropout is on in training"),
    ):
        model(**inputs)
    assert trace.layers == [] and trace.attention_density == 1.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_work(dtype: torch.dtype, inputs: Inputs) -> None:
    found = logits(sparsify(tiny_model(dtype=dtype), SPARSE), inputs)
    assert found.dtype == dtype and found.isfinite().all()


def test_autocast_works(model: Any, inputs: Inputs) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = logits(model, inputs)
    assert found.dtype == torch.bfloat16 and found.isfinite().all()
