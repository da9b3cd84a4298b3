"""The eight laws of the method, each by name, on a random Qwen2.5-VL with 7 heads a KV head."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from models import padded_batch, prompt, text_after, tiny_model
from torch import Tensor

from adaspark import record, restore, sparsify
from adaspark.kernels.backend import use_backend
from adaspark.kernels.cpu import loading as cpu_loading
from adaspark.method import attention, ffn
from adaspark.method.config import DENSE, AdaSparkConfig
from adaspark.model import qwen
from adaspark.trace.cost import flops
from adaspark.trace.trace import Trace

CUBE = (2, 2, 3)
SPARSE = AdaSparkConfig(CUBE, 0.6, 0.5)
TWO_VIDEOS = [(5, 3, 7), (2, 4, 4)]
SHAPES = {
    "ragged": [(5, 3, 7)],
    "one slice": [(1, 4, 5)],
    "smaller than one cube": [(1, 2, 2)],
    "no video": [],
    "two videos": TWO_VIDEOS,
}
Inputs = dict[str, Tensor]


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def stock(request: pytest.FixtureRequest) -> Any:
    return tiny_model(dtype=request.param)


@torch.no_grad()
def logits(model: Any, inputs: Inputs) -> Tensor:
    return model(**inputs).logits


@torch.no_grad()
def answer(model: Any, inputs: Inputs, count: int = 6) -> list[int]:
    written = model.generate(**inputs, max_new_tokens=count, do_sample=False)
    return written[0, inputs["input_ids"].shape[1] :].tolist()


@torch.no_grad()
def traced(model: Any, inputs: Inputs) -> Trace:
    with record(model) as trace:
        model(**inputs)
    return trace


@pytest.mark.parametrize("shape", SHAPES)
def test_law_1_one_is_the_stock_model(stock: Any, shape: str) -> None:
    inputs = prompt(SHAPES[shape])
    model = sparsify(copy.deepcopy(stock), AdaSparkConfig(CUBE, 1.0, 1.0))
    assert (logits(model, inputs) - logits(stock, inputs)).abs().max() <= 1e-4
    assert answer(model, inputs) == answer(stock, inputs)


def test_law_1_holds_for_the_sparse_path_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """p = 1 takes the stock kernel; the sparse kernels told to keep everything agree with it."""
    stock, inputs = tiny_model(), prompt(TWO_VIDEOS)
    # A rule that the compiled kernels do not choose by themselves.
    config = AdaSparkConfig(CUBE, ffn_top_p=0.5, attn_rule="top_k", attn_keep=0.5)
    model = sparsify(copy.deepcopy(stock), config)
    everything = lambda mass, candidates, *_, **__: candidates.expand_as(mass).clone()  # noqa: E731
    monkeypatch.setattr(attention, "keep_cubes", everything)
    monkeypatch.setattr(ffn, "keep_tokens", everything)
    assert cpu_loading.load().cpu is not None
    assert (logits(model, inputs) - logits(stock, inputs)).abs().max() <= 1e-4
    with use_backend("tiles"):
        assert (logits(model, inputs) - logits(stock, inputs)).abs().max() <= 1e-4


def test_law_2_restore_is_bit_identical(stock: Any) -> None:
    inputs = prompt(TWO_VIDEOS)
    model = copy.deepcopy(stock)
    before = {name: id(module) for name, module in model.named_modules()}
    sparsify(model, SPARSE)
    assert not torch.equal(logits(model, inputs), logits(stock, inputs))
    restore(model)
    assert torch.equal(logits(model, inputs), logits(stock, inputs))
    assert answer(model, inputs) == answer(stock, inputs)
    assert {name: id(module) for name, module in model.named_modules()} == before
    for mine, theirs in zip(model.modules(), stock.modules(), strict=True):
        assert type(mine) is type(theirs) and mine.__dict__.keys() == theirs.__dict__.keys()
        assert len(mine._forward_pre_hooks) == len(theirs._forward_pre_hooks)
        assert len(mine._forward_hooks) == len(theirs._forward_hooks)
    assert model.config.to_dict() == stock.config.to_dict()
    assert model.config.text_config._attn_implementation == "sdpa"


def test_law_2_twice_is_once(stock: Any) -> None:
    inputs = prompt(TWO_VIDEOS)
    once = sparsify(copy.deepcopy(stock), SPARSE)
    twice = sparsify(sparsify(copy.deepcopy(stock), DENSE), SPARSE)
    assert torch.equal(logits(once, inputs), logits(twice, inputs))
    assert torch.equal(logits(restore(twice), inputs), logits(stock, inputs))


@pytest.mark.parametrize("config", [SPARSE, AdaSparkConfig(CUBE, 1.0, 1.0)])
def test_law_3_recording_changes_no_bit(stock: Any, config: AdaSparkConfig) -> None:
    inputs = prompt(TWO_VIDEOS)
    model = sparsify(copy.deepcopy(stock), config)
    alone, words = logits(model, inputs), answer(model, inputs)
    with record(model):
        recorded = logits(model, inputs)
    with record(model):
        recorded_words = answer(model, inputs)
    assert torch.equal(recorded, alone) and recorded_words == words


@pytest.mark.parametrize("p", [0.2, 0.6, 0.9])
def test_law_4_every_kept_set_is_minimal(stock: Any, p: float) -> None:
    trace = traced(sparsify(copy.deepcopy(stock), AdaSparkConfig(CUBE, p, p)), prompt(TWO_VIDEOS))
    kept, mass = trace.word_mask(), trace.word_probs.astype(float)  # fp16: errors up to 1e-3
    held, least = (mass * kept).sum(-1), (mass + 2.0 * ~kept).min(-1)
    asked = mass.sum(-1) > 0.5
    assert asked.any() and (held[asked] >= p - 2e-3).all()
    assert (held[asked] - least[asked] < p + 2e-3).all()
    for layer in range(len(trace.layers)):
        for cube in range(len(trace.bounds)):
            inside = trace.cube_from_token == cube
            weights = trace.ffn_importance[layer, inside].astype(float)
            chosen = weights[trace.ffn_mask()[layer, inside]]
            assert chosen.sum() >= p - 2e-3
            assert chosen.sum() - chosen.min() < p + 2e-3


@pytest.mark.parametrize("shape", ["ragged", "two videos"])
def test_law_5_the_model_equals_the_slow_reference(shape: str) -> None:
    inputs = prompt(SHAPES[shape])
    model = sparsify(tiny_model(layers=2), SPARSE)
    fast = logits(model, inputs)
    with use_backend("reference"):
        slow = logits(model, inputs)
    torch.testing.assert_close(fast, slow, atol=1e-4, rtol=1e-4)


def test_law_6_density_never_rises_when_p_falls() -> None:
    """In the first layer, whose inputs no earlier choice has touched."""
    model, inputs = tiny_model(layers=1), prompt(TWO_VIDEOS)
    stats = []
    for p in (1.0, 0.95, 0.8, 0.6, 0.4, 0.2, 0.0):
        sparsify(model, AdaSparkConfig(CUBE, p, 1.0))
        attended = traced(model, inputs).attention_density
        sparsify(model, AdaSparkConfig(CUBE, 1.0, p))
        trace = traced(model, inputs)
        stats.append((attended, trace.ffn_density, flops(trace).sparse.total))
    assert stats[0][:2] == (1.0, 1.0) and stats[-1][0] < 0.5 and stats[-1][1] < 0.5
    for more, less in pairwise(stats):
        assert all(a >= b for a, b in zip(more, less, strict=True))


def test_law_6_flops_of_one_are_dense_plus_choosing() -> None:
    model = sparsify(tiny_model(), AdaSparkConfig(CUBE, 1.0, 1.0))
    counted = flops(traced(model, prompt(TWO_VIDEOS)))
    assert counted.sparse.choosing > 0
    assert counted.sparse.total == counted.dense.total + counted.sparse.choosing


@pytest.mark.parametrize("shape", ["ragged", "two videos", "no video"])
def test_law_7_prefill_then_decode_is_one_longer_prefill(shape: str) -> None:
    inputs = prompt(SHAPES[shape])
    model = sparsify(tiny_model(), SPARSE)
    with torch.no_grad():
        steps = model.generate(
            **inputs,
            max_new_tokens=5,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
    start = inputs["input_ids"].shape[1]
    words = steps.sequences[0, start:].tolist()
    whole = logits(model, text_after(inputs, words))[0, start - 1 : -1]
    torch.testing.assert_close(torch.cat(steps.logits), whole, atol=1e-4, rtol=1e-4)


def test_law_7_holds_for_a_second_question_too() -> None:
    inputs = prompt([(5, 3, 7)])
    model = sparsify(tiny_model(), SPARSE)
    with torch.no_grad():
        first = model(**inputs, use_cache=True)
        more = model(input_ids=torch.tensor([[7, 8, 9]]), past_key_values=first.past_key_values)
    whole = logits(model, text_after(inputs, [7, 8, 9]))[:, -3:]
    torch.testing.assert_close(more.logits, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_law_8_odd_videos_work(stock: Any, shape: str) -> None:
    inputs = prompt(SHAPES[shape])
    model = sparsify(copy.deepcopy(stock), SPARSE)
    trace = traced(model, inputs)
    assert logits(model, inputs).isfinite().all()
    assert len(answer(model, inputs)) > 0
    assert 0 < trace.attention_density <= 1 and 0 < trace.ffn_density <= 1
    assert len(trace.cube_from_token) == sum(t * h * w for t, h, w in SHAPES[shape])


@pytest.mark.parametrize("pair", [("ragged", "one slice"), ("two videos", "no video")])
def test_law_8_holds_in_a_padded_batch(pair: tuple[str, str]) -> None:
    """Each row of a batch answers what it answers alone."""
    prompts = [prompt(SHAPES[name], seed=i) for i, name in enumerate(pair)]
    model = sparsify(tiny_model(), SPARSE)
    together = logits(model, padded_batch(prompts))
    for row, inputs in zip(together, prompts, strict=True):
        alone = logits(model, inputs)[0]
        torch.testing.assert_close(row[-len(alone) :], alone, atol=1e-4, rtol=1e-4)


def test_law_8_a_grid_that_does_not_fit_is_refused_in_one_sentence() -> None:
    inputs = prompt([(5, 3, 7)])
    del inputs["pixel_values_videos"]
    inputs["video_grid_thw"] = torch.tensor([[5, 6, 12]])
    model = sparsify(tiny_model(), SPARSE)
    with pytest.raises(ValueError, match=r"marks 105 video tokens.*pass the video_grid_thw"):
        model(**inputs)


def test_the_patch_is_found_only_where_sparsify_put_it() -> None:
    model = tiny_model()
    assert qwen._patch_of(model) is None and restore(model) is model
