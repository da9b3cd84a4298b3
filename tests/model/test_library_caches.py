"""Caches as callers use them: rows chosen, fixed sizes, filled in parts, quantised, rebuilt."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from library_versions import reorders_quantised_beams, resets_whole_caches
from models import padded_batch, prompt, text_after, tiny_model
from torch import Tensor
from transformers import DynamicCache, StaticCache
from transformers.cache_utils import QuantizedLayer

from adaspark import record, sparsify
from adaspark.method.config import AdaSparkConfig
from adaspark.model.cache_names import cache_argument, cache_in

CUBE = (2, 2, 3)
SPARSE = AdaSparkConfig(CUBE, 0.5, 0.5)
DENSE = AdaSparkConfig(CUBE, 1.0, 1.0)
VIDEOS = [(5, 3, 7), (2, 4, 4)]
PROMPTS = [prompt([(5, 3, 7)]), prompt([(2, 4, 4)], seed=1), prompt([], seed=2)]
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
def generate(model: Any, inputs: Inputs, count: int = 6, **options: Any) -> list[list[int]]:
    written = model.generate(**inputs, max_new_tokens=count, do_sample=False, **options)
    return written[:, inputs["input_ids"].shape[1] :].tolist()


def shuffled(cache: Any, how: str) -> list[int]:
    """Move the rows of a cache of three prompts; returns which each one now is."""
    if how == "repeat":
        cache.batch_repeat_interleave(2)
        return [0, 0, 1, 1, 2, 2]
    rows = [2, 0, 0]
    if how == "select":
        cache.batch_select_indices(torch.tensor(rows))
    elif how == "mask":
        cache.batch_select_indices(torch.tensor([True, False, True]))
        return [0, 2]
    else:
        cache.reorder_cache(torch.tensor(rows))
    return rows


def last_words(model: Any, word: int) -> list[Tensor]:
    """The logits after `word` at the end of each prompt alone."""
    return [logits(model, text_after(inputs, [word]))[0, -1] for inputs in PROMPTS]


@pytest.mark.parametrize("config", [SPARSE, DENSE], ids=["sparse", "one"])
@pytest.mark.parametrize("how", ["repeat", "select", "mask", "reorder"])
def test_rows_of_a_cache_keep_their_videos(stock: Any, how: str, config: AdaSparkConfig) -> None:
    model = sparsify(stock, config)
    batch = padded_batch(PROMPTS)
    expected = last_words(model, 7)
    with torch.no_grad():
        cache = cache_in(model(**batch))
        positions, _ = model.model.get_rope_index(
            **{
                k: v
                for k, v in padded_batch([text_after(p, [7]) for p in PROMPTS]).items()
                if k != "pixel_values_videos"
            }
        )
        for _ in range(2):  # a copy of a cache can be moved again
            branch = copy.deepcopy(cache)
            rows = shuffled(branch, how)
            mask = torch.cat([batch["attention_mask"], torch.ones(3, 1, dtype=torch.long)], 1)
            step = model(
                input_ids=torch.full((len(rows), 1), 7),
                attention_mask=mask[rows],
                position_ids=positions[:, rows, -1:],
                **cache_argument(model, branch),
            )
            for found, row in zip(step.logits[:, -1], rows, strict=True):
                torch.testing.assert_close(found, expected[row], atol=1e-4, rtol=1e-4)


def test_rows_chosen_by_a_layer_s_own_method_run_dense_and_say_so(model: Any) -> None:
    with torch.no_grad():
        cache = cache_in(model(**padded_batch(PROMPTS)))
        for layer in cache.layers:
            layer.batch_select_indices(torch.tensor([1]))
        with pytest.warns(UserWarning, match="another batch size than it was filled with"):
            model(
                input_ids=torch.tensor([[7]]),
                position_ids=torch.full((3, 1, 1), 20),
                **cache_argument(model, cache),
            )


@pytest.mark.parametrize("prompts", [PROMPTS[:1], PROMPTS], ids=["one", "padded batch"])
def test_a_static_cache_runs_sparse(model: Any, prompts: list[Inputs]) -> None:
    inputs = padded_batch(prompts)
    with record(model) as grown:
        expected = generate(model, inputs)
    with record(model) as trace:
        assert generate(model, inputs, cache_implementation="static") == expected
    assert trace.attention_density == grown.attention_density < 1 and trace.ffn_density < 1


def test_a_static_cache_of_one_s_own_runs_sparse_and_may_be_used_again(model: Any) -> None:
    cache = StaticCache(config=model.config.text_config, max_cache_len=160)
    for inputs in (PROMPTS[0], PROMPTS[2], PROMPTS[1]):
        cache.reset()
        with torch.no_grad():
            found = model(**inputs, **cache_argument(model, cache)).logits
        torch.testing.assert_close(found, logits(model, inputs), atol=1e-5, rtol=1e-5)


def test_one_with_a_static_cache_is_the_stock_model(stock: Any) -> None:
    inputs = padded_batch(PROMPTS)
    expected = generate(stock, inputs, cache_implementation="static")
    sparsify(stock, DENSE)
    assert generate(stock, inputs, cache_implementation="static") == expected


class Rounded(QuantizedLayer):
    """Keys and values rounded to 8 bits, as a quantised cache keeps them."""

    def _quantize(self, tensor: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        scale = tensor.abs().amax() / 127
        return (tensor / scale).round().to(torch.int8), scale

    def _dequantize(self, given: tuple[Tensor, Tensor]) -> Tensor:
        return given[0].float() * given[1]


def quantised(model: Any) -> DynamicCache:
    cache = DynamicCache(config=model.config.text_config)
    cache.layers = [Rounded(residual_length=4) for _ in cache.layers]
    return cache


def test_a_quantised_cache_runs_sparse(model: Any, inputs: Inputs) -> None:
    with torch.no_grad(), record(model) as trace:
        written = generate(model, inputs, **cache_argument(model, quantised(model)))
    assert written[0][0] == generate(model, inputs, 1)[0][0]
    assert trace.attention_density < 1
    assert [w.kind for w in trace.words].count("answer") == 5


@reorders_quantised_beams
def test_beams_with_a_quantised_cache_keep_their_videos(stock: Any, inputs: Inputs) -> None:
    given: dict[str, Any] = {"num_beams": 2, "num_return_sequences": 2}
    expected = generate(stock, inputs, **cache_argument(stock, quantised(stock)), **given)
    sparsify(stock, DENSE)
    assert generate(stock, inputs, **cache_argument(stock, quantised(stock)), **given) == expected


def test_a_rebuilt_cache_decodes_dense_and_says_so_once(model: Any, inputs: Inputs) -> None:
    with torch.no_grad():
        cache = cache_in(model(**inputs))
        rebuilt = DynamicCache()
        for index, layer in enumerate(cache.layers):
            rebuilt.update(layer.keys, layer.values, index)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for word in (7, 8):
                model(input_ids=torch.tensor([[word]]), **cache_argument(model, rebuilt))
    told = [str(w.message) for w in caught]
    assert len(told) == 1 and "not put there by this model's own calls" in told[0]


@resets_whole_caches
def test_a_cache_that_is_used_again_for_text_forgets_its_video(model: Any, stock: Any) -> None:
    @torch.no_grad()
    def in_turn(which: Any) -> Tensor:
        cache = DynamicCache(config=which.config.text_config)
        which(**PROMPTS[0], **cache_argument(which, cache))
        cache.reset()
        which(input_ids=torch.arange(60)[None], **cache_argument(which, cache))
        return which(input_ids=torch.tensor([[7]]), **cache_argument(which, cache)).logits

    assert torch.equal(in_turn(model), in_turn(stock))


def test_padding_in_a_later_question_is_not_seen(model: Any) -> None:
    """Two rows ask questions of different lengths, the shorter one padded at its end."""
    batch = padded_batch(PROMPTS[:2])
    asked = [[5, 6, 7, 8], [9, 10]]
    longer = torch.tensor([asked[0], [*asked[1], 0, 0]])
    mask = torch.cat([batch["attention_mask"], torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])], 1)
    expected = [logits(model, text_after(p, [*a, 3]))[0, -1] for p, a in zip(PROMPTS, asked)]  # noqa: B905
    with torch.no_grad():
        cache = cache_in(model(**batch))
        next_positions = model.model.rope_deltas + batch["attention_mask"].sum(-1, keepdim=True)
        steps = (next_positions + torch.arange(4)).expand(3, -1, -1)
        model(
            input_ids=longer,
            attention_mask=mask,
            position_ids=steps,
            **cache_argument(model, cache),
        )
        last = (next_positions + torch.tensor([[4], [2]])).expand(3, -1, -1)
        mask = torch.cat([mask, torch.ones(2, 1, dtype=torch.long)], 1)
        found = model(
            input_ids=torch.tensor([[3], [3]]),
            attention_mask=mask,
            position_ids=last,
            **cache_argument(model, cache),
        ).logits[:, -1]
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
