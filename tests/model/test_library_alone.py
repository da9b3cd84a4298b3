"""Modules called outside a call of the model, packed samples, and calls that say too little."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from library_versions import leaves_out_types
from models import prompt, tiny_model
from torch import Tensor

from adaspark import record, restore, sparsify
from adaspark.method.config import AdaSparkConfig

CUBE = (2, 2, 3)
SPARSE = AdaSparkConfig(CUBE, 0.5, 0.5)
DENSE = AdaSparkConfig(CUBE, 1.0, 1.0)
VIDEOS = [(5, 3, 7), (2, 4, 4)]
Inputs = dict[str, Tensor]


@pytest.fixture
def stock() -> Any:
    return tiny_model()


@pytest.fixture
def inputs() -> Inputs:
    return prompt(VIDEOS)


@pytest.fixture
def model(inputs: Inputs) -> Any:
    """Sparse, and a prompt with video has been through it."""
    model = sparsify(tiny_model(), SPARSE)
    with torch.no_grad():
        model(**inputs)
    return model


@torch.no_grad()
def logits(model: Any, inputs: Inputs, **options: Any) -> Tensor:
    return model(**inputs, **options).logits


def text_model(model: Any, rows: Tensor) -> Tensor:
    return model.model.language_model(inputs_embeds=rows).last_hidden_state


def layer(model: Any, rows: Tensor) -> Tensor:
    text = model.model.language_model
    positions = torch.arange(rows.shape[1]).expand(3, 1, -1)
    return text.layers[1](rows, position_embeddings=text.rotary_emb(rows, positions))


def attention(model: Any, rows: Tensor) -> Tensor:
    text = model.model.language_model
    positions = torch.arange(rows.shape[1]).expand(3, 1, -1)
    embedded = text.rotary_emb(rows, positions)
    return text.layers[1].self_attn(rows, position_embeddings=embedded, attention_mask=None)[0]


def norm_and_mlp(model: Any, rows: Tensor) -> Tensor:
    layer = model.model.language_model.layers[1]
    return layer.mlp(layer.post_attention_layernorm(rows))


ALONE = {
    "text model": text_model,
    "layer": layer,
    "attention": attention,
    "mlp": lambda model, rows: model.model.language_model.layers[1].mlp(rows),
    "norm and mlp": norm_and_mlp,
}


@pytest.mark.parametrize("count", [40, 151, 300])
@pytest.mark.parametrize("name", ALONE)
def test_a_module_called_by_itself_is_the_stock_one(
    model: Any, stock: Any, name: str, count: int
) -> None:
    rows = torch.randn(1, count, 56, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(ALONE[name](model, rows), ALONE[name](stock, rows))


@pytest.mark.parametrize("name", ALONE)
def test_an_error_inside_a_call_leaves_nothing_behind(
    model: Any, stock: Any, inputs: Inputs, name: str
) -> None:
    """Whatever is raised, and wherever."""
    text = model.model.language_model
    for module in (model.model.visual, text.layers[1].self_attn.o_proj, text.layers[1].mlp.up_proj):
        for error in (RuntimeError, KeyboardInterrupt):

            def fail(*_: Any, error: type[BaseException] = error) -> None:
                raise error

            handle = module.register_forward_hook(fail)
            with pytest.raises(error):
                logits(model, inputs)
            handle.remove()
            rows = torch.randn(1, 151, 56, generator=torch.Generator().manual_seed(3))
            with torch.no_grad():
                assert torch.equal(ALONE[name](model, rows), ALONE[name](stock, rows))


def packed(prompts: list[Inputs], model: Any) -> Inputs:
    """The samples in one row, kept apart by text positions that start again."""
    positions = []
    for sample in prompts:
        given = {k: v for k, v in sample.items() if k != "pixel_values_videos"}
        three, _ = model.model.get_rope_index(**given)
        text = torch.arange(three.shape[-1]).expand(1, 1, -1)
        positions.append(torch.cat([text, three]))
    joined = {
        name: torch.cat([p[name] for p in prompts], 1)
        for name in ("input_ids", "mm_token_type_ids")
    }
    for name in ("pixel_values_videos", "video_grid_thw"):
        joined[name] = torch.cat([p[name] for p in prompts if name in p])
    return {**joined, "position_ids": torch.cat(positions, -1)}


@pytest.mark.parametrize("config", [SPARSE, DENSE], ids=["sparse", "one"])
def test_packed_samples_are_kept_apart(stock: Any, config: AdaSparkConfig) -> None:
    prompts = [prompt([(5, 3, 7)]), prompt([(2, 4, 4), (1, 3, 2)], seed=1), prompt([], seed=2)]
    inputs = packed(prompts, stock)
    dense = logits(stock, inputs, use_cache=False)
    model = sparsify(stock, config)
    with record(model) as trace:
        together = logits(model, inputs, use_cache=False)
    alone = torch.cat([logits(model, sample) for sample in prompts], 1)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    if config is DENSE:
        assert (together - dense).abs().max() <= 1e-4
    assert trace.meta.grids == [(5, 3, 7)]  # of a batch, its first prompt
    assert len(trace.words) == prompts[0]["input_ids"].shape[1] - 105


def test_what_the_stock_model_does_not_keep_apart_is_one_prompt(stock: Any) -> None:
    """With a cache it sees one sample in the row, whatever the positions."""
    inputs = packed([prompt([(5, 3, 7)]), prompt([(2, 4, 4)], seed=1)], stock)
    dense = logits(stock, inputs)
    assert (logits(sparsify(stock, DENSE), inputs) - dense).abs().max() <= 1e-4
    with record(sparsify(stock, SPARSE)) as trace:
        logits(stock, inputs)
    assert trace.meta.grids == [(5, 3, 7), (2, 4, 4)]


def test_samples_packed_by_lengths_alone_run_dense_and_say_so(model: Any, inputs: Inputs) -> None:
    lengths = torch.tensor([0, 80, 151])
    with pytest.warns(UserWarning, match="packed by cu_seq_lens_q"):
        logits(model, inputs, cu_seq_lens_q=lengths, cu_seq_lens_k=lengths)


def told(call: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
        call()
    return [str(w.message) for w in caught]


@leaves_out_types
def test_embeddings_generated_from_without_types_say_so(model: Any, inputs: Inputs) -> None:
    """With plain text's positions nothing gives the video's shape."""
    given = {k: inputs[k] for k in ("attention_mask", "pixel_values_videos", "video_grid_thw")}
    embeds = model.get_input_embeddings()(inputs["input_ids"])
    said = told(lambda: model.generate(inputs_embeds=embeds, **given, max_new_tokens=2))
    assert len(said) == 1 and "mm_token_type_ids give the video's shape" in said[0]


def test_embeddings_without_types_run_sparse_where_the_placeholders_are_seen(
    model: Any, inputs: Inputs
) -> None:
    """As the stock model finds the video's place itself."""
    del inputs["mm_token_type_ids"]
    expected = logits(model, inputs)
    embeds = model.get_input_embeddings()(inputs.pop("input_ids")).detach()
    with record(model) as trace:
        found = logits(model, {**inputs, "inputs_embeds": embeds})
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert trace.attention_density < 1


@leaves_out_types
def test_ids_generated_from_without_types_say_so(model: Any, inputs: Inputs) -> None:
    del inputs["mm_token_type_ids"]
    said = told(lambda: model.generate(**inputs, max_new_tokens=2, do_sample=False))
    assert len(said) == 1 and "mm_token_type_ids give the video's shape" in said[0]


@leaves_out_types
def test_a_recording_of_what_ran_dense_says_why(model: Any, inputs: Inputs) -> None:
    del inputs["mm_token_type_ids"]
    call = lambda: model.generate(**inputs, max_new_tokens=2, do_sample=False)  # noqa: E731
    told(call)
    with (
        pytest.warns(UserWarning, match=r"recorded no prompt: it ran dense, for neither video"),
        record(model) as trace,
    ):
        call()
    assert trace.layers == []


def test_positional_arguments_are_understood(model: Any, inputs: Inputs) -> None:
    expected = logits(model, inputs)
    ids, mask = inputs.pop("input_ids"), inputs.pop("attention_mask")
    with torch.no_grad():
        found = model.model(ids, mask, **inputs).last_hidden_state
        assert torch.equal(model.lm_head(found), expected)
        assert torch.equal(
            model.lm_head(model.model(ids, mask, **inputs, return_dict=False)[0]), expected
        )


def test_a_call_without_causality_runs_dense_and_says_so(
    model: Any, stock: Any, inputs: Inputs
) -> None:
    del inputs["pixel_values_videos"]  # whose encoder takes no such argument
    with pytest.warns(UserWarning, match="its attention is not causal"):
        found = logits(model, inputs, is_causal=False)
    assert torch.equal(found, logits(stock, inputs, is_causal=False))
    assert torch.equal(logits(restore(model), inputs), logits(stock, inputs))
