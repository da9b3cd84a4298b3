"""Models of random weights in `adaspark bench`: their shapes, and their words beside stock's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adaspark.bench import cli
from adaspark.bench.serve import agreement as agreeing
from adaspark.bench.serve.agreement import agreement, bf16_step, sentence
from adaspark.bench.serve.conditions import Ran, Request
from adaspark.bench.serve.models import CONFIG, Served, load, random_checkpoint, write_clip
from adaspark.bench.serve.shapes import SHAPES, SHARPER, Shape
from adaspark.model.checkpoint import BUNDLED

CPU = torch.device("cpu")
SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 768,
}
SMALL_TOWER = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2}
SMALL_DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "layer_types": [*["linear_attention"] * 3, "full_attention"],
}


def small(name: str) -> Shape:
    """The shape with few and narrow layers; heads keep their size where the family states it."""
    shape = SHAPES[name]
    text = shape.text | SMALL | (SMALL_DELTA if "layer_types" in shape.text else {})
    if "head_dim" not in text:
        text["num_attention_heads"] = 1
        text["rope_parameters"] = text["rope_parameters"] | {"mrope_section": [8, 12, 12]}
    levels = (
        {"deepstack_visual_indexes": [0, 1]} if "deepstack_visual_indexes" in shape.vision else {}
    )
    return replace(shape, text=text, vision=shape.vision | SMALL_TOWER | levels)


def test_the_command_names_every_shape() -> None:
    assert set(cli.MODELS) == {BUNDLED, *SHAPES}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load(BUNDLED, CPU).checkpoint.tokenizer


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("shapes") / "clip.mp4", seconds=8)


def small_request(name: str, clip: Path, tokenizer: Any, words: int = 6) -> Request:
    loaded = random_checkpoint(name, small(name), tokenizer, CPU)
    loaded.model.float()  # words do not hang on how a product is rounded
    return Request(Served(loaded, CONFIG), clip, 300, words)


@pytest.mark.parametrize(("name", "billions"), [("7B", 8.29), ("Qwen3-VL-8B", 8.77)])
def test_a_shape_has_the_weights_of_the_published_model(
    name: str, billions: float, tokenizer: Any
) -> None:
    model = SHAPES[name].build(torch.device("meta"), tokenizer)
    weights = list(model.parameters())
    assert sum(weight.numel() for weight in weights) / 1e9 == pytest.approx(billions, abs=0.005)
    assert {weight.dtype for weight in weights} == {torch.bfloat16}


@pytest.mark.parametrize("name", SHAPES)
def test_queries_are_as_many_times_as_large(name: str, tokenizer: Any) -> None:
    """Of fresh weights' queries, in layers with attention; that makes a softmax sharp."""
    model = small(name).build(CPU, tokenizer)
    layers = model.model.language_model.layers
    attention = next(layer.self_attn for layer in layers if hasattr(layer, "self_attn"))
    with torch.no_grad():
        if not hasattr(attention, "q_norm"):
            size = float(attention.q_proj.weight.float().std())
            assert size == pytest.approx(SHARPER * 0.02, rel=0.1)
            return
        drawn = torch.randn(3, attention.head_dim)
        sizes = attention.q_norm.float()(drawn).norm(dim=-1)
    assert torch.allclose(sizes, SHARPER * torch.tensor(float(attention.head_dim)).sqrt())


@pytest.mark.parametrize("name", ["7B", "Qwen3-VL-8B", "Qwen3.5-9B"])
def test_every_family_is_asked_both_ways(name: str, clip: Path, tokenizer: Any) -> None:
    """At p = 1 it writes stock's words, and it is sparse and recorded otherwise."""
    request = small_request(name, clip, tokenizer)
    found = agreement(request)
    assert found == {"ours": {"words": 6, "equal": 6}}
    assert sentence(found) == "All 6 greedy words at p = 1 are stock's."
    recorded = request.ours(recorded=True)
    assert recorded.trace is not None and recorded.trace.attention_density < 1
    assert recorded.seconds["scene"] > 0


def test_stock_is_compared_with_itself_where_words_differ(
    clip: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = small_request("7B", clip, tokenizer, words=2)
    monkeypatch.setattr(Request, "ours", lambda *_, **__: Ran(ids=[700, 701]))
    found = agreement(request)
    assert found["ours"]["equal"] == 0 and found["ours"]["gap"] > 0
    assert found["kernels"] == {"words": 2, "equal": 2}


def test_a_word_that_differs_is_explained() -> None:
    logits = torch.zeros(3, 5)
    logits[1, 2], logits[1, 4] = 9.0, 8.5
    stock = Ran(ids=[0, 2, 1], logits=logits)
    found = agreeing._compared(stock, [0, 4, 1])
    assert found == {"words": 3, "equal": 1, "gap": 0.5, "step": 0.0625}
    told = sentence({"ours": found, "kernels": {"words": 3, "equal": 2}})
    assert "The first 1 of 3" in told and "leads by 0.500" in told and "steps of 0.062" in told
    assert "first 2 of the stock" in told


@pytest.mark.parametrize("value", [0.3, 1.0, 5.7, 9.0, 300.0])
def test_the_step_is_that_of_bf16(value: float) -> None:
    given = torch.tensor(value, dtype=torch.bfloat16)
    above = torch.nextafter(given, torch.tensor(1e9, dtype=torch.bfloat16))
    assert bf16_step(value) == float(above - given)
