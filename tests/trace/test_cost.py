"""FLOPs: by hand, from a trace, and against the products that PyTorch really computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from models import prompt, tiny_model
from torch.utils.flop_counter import FlopCounterMode

from adaspark import flops, record, sparsify
from adaspark.errors import UserError
from adaspark.kernels.backend import use_backend
from adaspark.method.config import AdaSparkConfig
from adaspark.trace.cost import vision_flops
from adaspark.trace.trace import Trace

QWEN_7B = {
    "layers": 28,
    "hidden": 3584,
    "intermediate": 18944,
    "heads": 28,
    "kv_heads": 4,
    "head_dim": 128,
}
TOY = {"layers": 2, "hidden": 6, "intermediate": 10, "heads": 3, "kv_heads": 1, "head_dim": 2}


def test_a_prefill_by_hand() -> None:
    """5 tokens: 15 causal pairs a head; 2 FLOPs a multiply-add."""
    counted = flops(TOY, video_tokens=3, text_tokens=2)
    assert counted.dense.projections == 2 * 2 * 5 * (6 * 6 + 2 * 6 * 2 + 6 * 6)
    assert counted.dense.attention == 2 * 2 * (2 * 2) * 3 * 15
    assert counted.dense.ffn == 2 * 2 * 5 * 3 * 6 * 10
    assert counted.dense.total == 1920 + 720 + 3600
    assert counted.sparse == counted.dense and counted.reduction == 0


def test_densities_scale_their_own_part() -> None:
    counted = flops(
        TOY, video_tokens=8, text_tokens=2, attention_density=0.25, ffn_density=0.5, vision=1000.0
    )
    assert counted.sparse.projections == counted.dense.projections
    assert counted.sparse.attention == 0.25 * counted.dense.attention
    assert counted.sparse.ffn == counted.dense.ffn * (2 + 4) / 10
    saved = counted.dense.total - counted.sparse.total
    assert counted.reduction == pytest.approx(saved / counted.dense.total)
    assert counted.reduction_with_vision == pytest.approx(saved / (counted.dense.total + 1000))


def test_choosing_is_counted_where_there_are_cubes() -> None:
    counted = flops(TOY, video_tokens=8, text_tokens=2, cubes=4)
    products = 2 * 2 * (2 * 3 * (8 / 2 + 2) * 4)  # q x mean key, half the cubes for video
    means, norms = 2 * 8 * 1 * 2, 2 * 2 * 8 * 6
    assert counted.sparse.choosing == products + means + norms
    assert counted.dense.choosing == 0 and counted.reduction < 0


def test_useful_arithmetic_of_the_7b_model() -> None:
    """Of the 7B model, a token and layer: 58.7 MFLOP for projections, 407 for the FFN, 7.17 for
    causal attention per 1,000 tokens of context, and so the shares below.
    """
    one = flops(QWEN_7B, text_tokens=1).dense
    assert one.projections / 28 == pytest.approx(58.7e6, rel=1e-3)
    assert one.ffn / 28 == pytest.approx(407e6, rel=1e-3)
    context = 1000
    dense = flops(QWEN_7B, text_tokens=context).dense
    assert dense.attention / context / 28 == pytest.approx(7.17e6, rel=2e-3)
    for tokens, share in ((8, 0.11), (32, 0.34), (64, 0.50), (128, 0.67), (1024, 0.94)):
        dense = flops(QWEN_7B, video_tokens=tokens * 1024).dense
        assert dense.attention / dense.total == pytest.approx(share, abs=0.01)


def test_57_percent_needs_both_halves_at_64k() -> None:
    both = flops(QWEN_7B, video_tokens=65536, attention_density=0.30, ffn_density=0.50)
    assert both.reduction == pytest.approx(0.57, abs=0.01)
    assert flops(QWEN_7B, video_tokens=65536, attention_density=0.30).reduction < 0.40


@pytest.mark.parametrize(
    "shape, given, told",
    [
        ({}, {}, "it lacks layers, hidden"),
        (None, {}, "a mapping with layers"),
        (TOY, {"attention_density": 3.0}, "from 0 to 1"),
        (TOY, {"ffn_density": float("nan")}, "from 0 to 1"),
        (TOY, {"video_tokens": -5}, "counted from 0"),
    ],
)
def test_what_no_prefill_has_is_refused(shape: Any, given: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        flops(shape, **given)


def test_counts_are_ready_for_json() -> None:
    counted = flops(TOY, video_tokens=8, text_tokens=2, ffn_density=0.5, vision=10.0).to_dict()
    assert set(counted) == {
        "dense",
        "sparse",
        "executed",
        "reduction",
        "reduction_with_vision",
        "vision",
    }
    parts = counted["sparse"]
    assert parts["total"] == sum(value for name, value in parts.items() if name != "total")


def traced(model: Any, grids: list[tuple[int, int, int]]) -> Trace:
    with record(model) as trace, torch.no_grad():
        model(**prompt(grids))
    return trace


def test_a_trace_is_counted_by_its_own_arrays() -> None:
    model = sparsify(tiny_model(heads=4, kv_heads=2), AdaSparkConfig((2, 2, 2), 0.5, 0.5))
    trace = traced(model, [(3, 4, 5)])
    counted = flops(trace)
    shape, tokens = trace.meta.shape, trace.meta.counts.tokens
    assert shape == {
        "layers": 3,
        "hidden": 32,
        "intermediate": 160,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 8,
    }
    assert counted.dense == flops(shape, text_tokens=tokens).dense
    assert counted.sparse.attention == 4 * 8 * trace.computed_pairs.sum()
    assert counted.executed.attention == 4 * 8 * trace.executed_pairs.sum()
    passed = trace.ffn_mask().sum() + 3 * (tokens - 60)
    assert counted.sparse.ffn == counted.executed.ffn == 6 * 32 * 160 * passed
    assert counted.sparse.total <= counted.executed.total < counted.dense.total
    assert counted.vision == 0
    trace.meta.vision_flops = 5.0
    assert flops(trace).vision == 5.0


@pytest.fixture
def one_thread() -> Iterator[None]:
    """A FLOP counter hears the thread it was opened in."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.mark.usefixtures("one_thread")
def test_the_executed_figure_is_what_pytorch_multiplies() -> None:
    """The whole language model, product by product; embeddings come ready, the head apart."""
    model = sparsify(tiny_model(heads=4, kv_heads=2), AdaSparkConfig((2, 2, 2), 0.5, 0.5))
    inputs = prompt([(3, 4, 5)])
    # The counter hears PyTorch's operators alone.
    with torch.no_grad(), use_backend("tiles"), record(model) as trace:
        features = model.get_video_features(
            inputs.pop("pixel_values_videos"), inputs["video_grid_thw"]
        ).pooler_output
        embeds = model.get_input_embeddings()(inputs.pop("input_ids"))
        embeds[inputs["mm_token_type_ids"] == 2] = torch.cat(features)
        count = embeds.shape[1]
        inputs["position_ids"] = torch.arange(count).expand(3, 1, -1)
        with FlopCounterMode(display=False) as counter:
            model.model(inputs_embeds=embeds, **inputs)
    executed = flops(trace).executed
    measured = counter.get_total_flops()
    # Counted beside the products: adding up means and norms, and no masked candidate.
    assert measured == pytest.approx(executed.total, rel=0.02)


@pytest.mark.parametrize("grid", [(1, 2, 2), (3, 4, 5), (2, 5, 3)])
def test_vision_flops_are_what_pytorch_multiplies(grid: tuple[int, int, int]) -> None:
    model = tiny_model()
    model.set_attn_implementation("eager")
    slices, rows, columns = grid
    pixels = torch.randn(slices * rows * columns * 4, 1176)
    shape = torch.tensor([[slices, 2 * rows, 2 * columns]])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.model.visual(pixels, grid_thw=shape)
    assert vision_flops(model.config.vision_config, grid) == counter.get_total_flops()


def test_reductions_are_finite_for_any_sparse_run() -> None:
    model = sparsify(tiny_model(), AdaSparkConfig((4, 4, 4), 0.0, 0.0))
    counted = flops(traced(model, [(6, 4, 4)]))
    assert 0 < counted.reduction < 1
    assert 0 < counted.reduction_with_vision <= counted.reduction
    assert np.isfinite(list(counted.executed.to_dict().values())).all()
