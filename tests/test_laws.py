"""The eight laws of the method, each by name, on random models of every family."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from family_models import BY_NAME, Shape, family_model, family_prompt
from models import padded_batch, text_after
from torch import Tensor

from adaspark import record, restore, sparsify
from adaspark.kernels.backend import use_backend
from adaspark.kernels.cpu import loading as cpu_loading
from adaspark.method import attention, ffn
from adaspark.method.config import DENSE, AdaSparkConfig
from adaspark.model import qwen
from adaspark.model.cache_names import cache_argument, cache_in
from adaspark.trace.cost import flops
from adaspark.trace.recorder import Recorder
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


CASES = [(name, dtype) for name in BY_NAME for dtype in (torch.float32, torch.bfloat16)]
IDS = [f"{name}-{str(dtype).removeprefix('torch.')}" for name, dtype in CASES]


@pytest.fixture(scope="module", params=CASES, ids=IDS)
def stock(request: pytest.FixtureRequest) -> Any:
    name, dtype = request.param
    return family_model(name, dtype=dtype)


@pytest.fixture(params=BY_NAME)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def prompt(model: Any, grids: list[tuple[int, int, int]], seed: int = 0) -> Inputs:
    return family_prompt(model.config.model_type, grids, seed=seed)


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


@pytest.mark.few(6)
@pytest.mark.parametrize("shape", SHAPES)
def test_law_1_one_is_the_stock_model(stock: Any, shape: str) -> None:
    inputs = prompt(stock, SHAPES[shape])
    model = sparsify(copy.deepcopy(stock), AdaSparkConfig(CUBE, 1.0, 1.0))
    assert (logits(model, inputs) - logits(stock, inputs)).abs().max() <= 1e-4
    assert answer(model, inputs) == answer(stock, inputs)


@pytest.mark.parametrize("timestamps", ["slice", "text"])
def test_law_1_holds_for_the_sparse_path_itself(
    family: str, timestamps: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """p = 1 takes the stock kernel; the sparse kernels told to keep everything agree with it."""
    stock = family_model(family)
    inputs = prompt(stock, TWO_VIDEOS)
    # A rule that the compiled kernels do not choose by themselves.
    config = AdaSparkConfig(
        CUBE, ffn_top_p=0.5, attn_rule="top_k", attn_keep=0.5, timestamps=timestamps
    )
    model = sparsify(copy.deepcopy(stock), config)
    everything = lambda mass, candidates, *_, **__: candidates.expand_as(mass).clone()  # noqa: E731
    monkeypatch.setattr(attention, "keep_cubes", everything)
    monkeypatch.setattr(ffn, "keep_tokens", everything)
    assert cpu_loading.load().cpu is not None
    assert (logits(model, inputs) - logits(stock, inputs)).abs().max() <= 1e-4
    with use_backend("tiles"):
        assert (logits(model, inputs) - logits(stock, inputs)).abs().max() <= 1e-4


@pytest.mark.few(4)
def test_law_2_restore_is_bit_identical(stock: Any) -> None:
    inputs = prompt(stock, TWO_VIDEOS)
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


@pytest.mark.few(3)
def test_law_2_twice_is_once(stock: Any) -> None:
    inputs = prompt(stock, TWO_VIDEOS)
    once = sparsify(copy.deepcopy(stock), SPARSE)
    twice = sparsify(sparsify(copy.deepcopy(stock), DENSE), SPARSE)
    assert torch.equal(logits(once, inputs), logits(twice, inputs))
    assert torch.equal(logits(restore(twice), inputs), logits(stock, inputs))


@pytest.mark.few(5)
@pytest.mark.parametrize("config", [SPARSE, AdaSparkConfig(CUBE, 1.0, 1.0)])
def test_law_3_recording_changes_no_bit(stock: Any, config: AdaSparkConfig) -> None:
    inputs = prompt(stock, TWO_VIDEOS)
    model = sparsify(copy.deepcopy(stock), config)
    alone, words = logits(model, inputs), answer(model, inputs)
    with record(model):
        recorded = logits(model, inputs)
    with record(model):
        recorded_words = answer(model, inputs)
    assert torch.equal(recorded, alone) and recorded_words == words


@pytest.mark.few(4)
@pytest.mark.parametrize("p", [0.2, 0.6, 0.9])
def test_law_4_every_kept_set_is_minimal(
    family: str, p: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock, choices = family_model(family), []
    monkeypatch.setattr(Recorder, "attention", lambda *told: choices.append(told[-1]))
    with use_backend("tiles"):
        trace = traced(sparsify(stock, AdaSparkConfig(CUBE, p, p)), prompt(stock, TWO_VIDEOS))
    asked = 0
    for choice in choices:
        held = (choice.probs * choice.kept).sum(-1)
        least = (choice.probs + 2.0 * ~choice.kept).amin(-1) if choice.kept.numel() else held
        chose = choice.probs.sum(-1) > 0.5
        asked += int(chose.sum())
        assert (held[chose] >= p - 1e-5).all()
        assert (held[chose] - least[chose] < p + 1e-5).all()
    assert asked
    for layer in range(len(trace.layers)):
        for cube in range(len(trace.bounds)):
            inside = trace.cube_from_token == cube
            weights = trace.ffn_importance[layer, inside].astype(float)  # fp16: errors up to 1e-3
            chosen = weights[trace.ffn_mask()[layer, inside]]
            assert chosen.sum() >= p - 2e-3
            assert chosen.sum() - chosen.min() < p + 2e-3


@pytest.mark.few(4)
@pytest.mark.parametrize("shape", ["ragged", "two videos"])
def test_law_5_the_model_equals_the_slow_reference(family: str, shape: str) -> None:
    model = sparsify(family_model(family, shape=Shape(layers=2)), SPARSE)
    inputs = prompt(model, SHAPES[shape])
    fast = logits(model, inputs)
    with use_backend("reference"):
        slow = logits(model, inputs)
    torch.testing.assert_close(fast, slow, atol=1e-4, rtol=1e-4)


@pytest.mark.few(3)
def test_law_6_density_never_rises_when_p_falls(family: str) -> None:
    """In the first layer, whose inputs no earlier choice has touched."""
    model = family_model(family, shape=Shape(layers=1))
    inputs = prompt(model, TWO_VIDEOS)
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


def test_law_6_flops_of_one_are_dense_plus_choosing(family: str) -> None:
    model = sparsify(family_model(family), AdaSparkConfig(CUBE, 1.0, 1.0))
    counted = flops(traced(model, prompt(model, TWO_VIDEOS)))
    assert counted.sparse.choosing > 0
    assert counted.sparse.total == counted.dense.total + counted.sparse.choosing


@torch.no_grad()
def in_steps_and_at_once(model: Any, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """The logits of five written words, as they were written and in one prefill."""
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
    return torch.cat(steps.logits), whole


def assert_as_close(mine: tuple[Tensor, Tensor], stocks: tuple[Tensor, Tensor]) -> None:
    """Within 1e-4 beyond what the stock model's own two ways differ by: a recurrent layer sums
    in another order in steps, and when it is padded.
    """
    own = float((stocks[0] - stocks[1]).abs().max())
    torch.testing.assert_close(*mine, atol=1e-4 + 2 * own, rtol=1e-4)


@pytest.mark.parametrize("shape", ["ragged", "two videos", "no video"])
def test_law_7_prefill_then_decode_is_one_longer_prefill(family: str, shape: str) -> None:
    model = family_model(family)
    inputs = prompt(model, SHAPES[shape])
    stocks = in_steps_and_at_once(model, inputs)
    assert_as_close(in_steps_and_at_once(sparsify(model, SPARSE), inputs), stocks)


def test_law_7_holds_for_a_second_question_too(family: str) -> None:
    model = sparsify(family_model(family), SPARSE)
    inputs = prompt(model, [(5, 3, 7)])
    with torch.no_grad():
        first = model(**inputs, use_cache=True)
        more = model(input_ids=torch.tensor([[7, 8, 9]]), **cache_argument(model, cache_in(first)))
    whole = logits(model, text_after(inputs, [7, 8, 9]))[:, -3:]
    torch.testing.assert_close(more.logits, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.few(6)
@pytest.mark.parametrize("shape", SHAPES)
def test_law_8_odd_videos_work(stock: Any, shape: str) -> None:
    inputs = prompt(stock, SHAPES[shape])
    model = sparsify(copy.deepcopy(stock), SPARSE)
    trace = traced(model, inputs)
    assert logits(model, inputs).isfinite().all()
    assert len(answer(model, inputs)) > 0
    assert 0 < trace.attention_density <= 1 and 0 < trace.ffn_density <= 1
    assert len(trace.cube_from_token) == sum(t * h * w for t, h, w in SHAPES[shape])


@pytest.mark.parametrize("pair", [("ragged", "one slice"), ("two videos", "no video")])
def test_law_8_holds_in_a_padded_batch(family: str, pair: tuple[str, str]) -> None:
    """Each row of a batch answers what it answers alone."""
    model = family_model(family)
    prompts = [prompt(model, SHAPES[name], seed=i) for i, name in enumerate(pair)]
    stock, batch = copy.deepcopy(model), padded_batch(prompts)
    sparsify(model, SPARSE)
    rows = zip(logits(model, batch), logits(stock, batch), prompts, strict=True)
    for row, own, inputs in rows:
        alone, stocks = logits(model, inputs)[0], logits(stock, inputs)[0]
        start = -len(alone)
        assert_as_close((row[start:], alone), (own[start:], stocks))


def test_law_8_a_grid_that_does_not_fit_is_refused_in_one_sentence(family: str) -> None:
    model = sparsify(family_model(family), SPARSE)
    inputs = prompt(model, [(5, 3, 7)])
    del inputs["pixel_values_videos"]
    inputs["video_grid_thw"] = torch.tensor([[5, 6, 12]])
    with pytest.raises(ValueError, match=r"marks \d+ video tokens.*pass the video_grid_thw"):
        model(**inputs)


def test_the_patch_is_found_only_where_sparsify_put_it() -> None:
    model = family_model("qwen2_5_vl")
    assert qwen._patch_of(model) is None and restore(model) is model
