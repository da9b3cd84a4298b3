"""What stands around and inside a model: wrappers, hooks, patched modules, configurations."""

from __future__ import annotations

import copy
import types
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import cpu_offload, disk_offload, dispatch_model
from accelerate.hooks import remove_hook_from_submodules
from models import prompt, tiny_model
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2MLP

from adaspark import record, restore, sparsify
from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig

CUBE = (2, 2, 3)
SPARSE = AdaSparkConfig(CUBE, 0.5, 0.5)
DENSE = AdaSparkConfig(CUBE, 1.0, 1.0)
VIDEOS = [(5, 3, 7), (2, 4, 4)]
Inputs = dict[str, Tensor]
# PEFT asks by a name that transformers gives up.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


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


def is_sparse(model: Any, inputs: Inputs) -> bool:
    """Whether both halves are, in every layer."""
    with record(model) as trace:
        logits(model, inputs)
    return all(s.attention_density < 1 and s.ffn_density < 1 for s in trace.layers)


def spread(model: Any, how: str, folder: Path) -> Any:
    """Hang accelerate's hooks on it."""
    if how == "cpu":
        return cpu_offload(model, torch.device("cpu"))
    if how == "disk":
        return disk_offload(model, folder, torch.device("cpu"))
    layers = {f"model.language_model.layers.{i}": "cpu" if i else "disk" for i in range(3)}
    others = ["model.visual", "model.language_model.embed_tokens", "model.language_model.norm"]
    rest = dict.fromkeys([*others, "model.language_model.rotary_emb", "lm_head"], "cpu")
    return dispatch_model(
        model, layers | rest, main_device="cpu", offload_dir=folder, force_hooks=True
    )


@pytest.mark.parametrize("how", ["cpu", "disk", "several"])
@pytest.mark.parametrize("first", ["sparsify", "hooks"])
def test_both_halves_are_sparse_with_accelerate_s_hooks(
    model: Any, inputs: Inputs, tmp_path: Path, how: str, first: str
) -> None:
    expected, mine = logits(model, inputs), tiny_model()
    if first == "sparsify":
        mine = spread(sparsify(mine, SPARSE), how, tmp_path)
    else:
        mine = sparsify(spread(mine, how, tmp_path), SPARSE)
    assert torch.equal(logits(mine, inputs), expected) and is_sparse(mine, inputs)


@pytest.mark.parametrize("first", ["restore", "unhook"])
def test_hooks_and_sparsity_are_undone_in_either_order(
    stock: Any, inputs: Inputs, tmp_path: Path, first: str
) -> None:
    expected, model = logits(stock, inputs), sparsify(copy.deepcopy(stock), SPARSE)
    spread(model, "several", tmp_path)
    for step in (first, "unhook" if first == "restore" else "restore"):
        if step == "restore":
            assert torch.equal(logits(restore(model), inputs), expected)
        else:
            remove_hook_from_submodules(model)
    assert torch.equal(logits(model, inputs), expected)
    assert all(type(a) is type(b) for a, b in zip(model.modules(), stock.modules(), strict=True))
    assert is_sparse(sparsify(model, SPARSE), inputs)


class Doubled(Qwen2MLP):
    """An MLP of one's own."""

    def forward(self, hidden: Tensor) -> Tensor:
        return 2 * super().forward(hidden)


class Foreign(nn.Module):
    """One that is no relative of transformers'."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, hidden: Tensor) -> Tensor:
        batch, count, width = hidden.shape  # it takes batches alone
        return self.inner(hidden.view(batch, count, width)).tanh()


def changed(model: Any, how: str) -> Any:
    for layer in model.model.language_model.layers:
        if how == "subclass":
            layer.mlp.__class__ = Doubled
        elif how == "foreign":
            layer.mlp = Foreign(layer.mlp)
        else:
            patched = lambda self, x: 3 * type(self).forward(self, x)  # noqa: E731
            layer.mlp.forward = types.MethodType(patched, layer.mlp)
    return model


@pytest.mark.parametrize("how", ["subclass", "foreign", "patched"])
@pytest.mark.parametrize("first", ["sparsify", "change"])
def test_any_mlp_runs_sparse_and_comes_back(inputs: Inputs, how: str, first: str) -> None:
    stock = changed(tiny_model(), how)
    model = tiny_model()
    model = (
        changed(sparsify(model, SPARSE), how)
        if first == "sparsify"
        else sparsify(changed(model, how), SPARSE)
    )
    assert is_sparse(model, inputs)
    sparsify(model, DENSE)
    assert (logits(model, inputs) - logits(stock, inputs)).abs().max() <= 1e-4
    restore(model)
    assert torch.equal(logits(model, inputs), logits(stock, inputs))
    for mine, theirs in zip(model.modules(), stock.modules(), strict=True):
        assert type(mine) is type(theirs) and mine.__dict__.keys() == theirs.__dict__.keys()


def test_patched_models_can_be_copied(inputs: Inputs) -> None:
    model = sparsify(changed(tiny_model(), "subclass"), SPARSE)
    assert torch.equal(logits(copy.deepcopy(model), inputs), logits(model, inputs))


def test_a_layer_that_does_not_call_its_mlp_says_so(model: Any, inputs: Inputs) -> None:
    layer = model.model.language_model.layers[1]
    whole = type(layer.mlp).forward

    def forward(self: Any, rows: Tensor, **given: Any) -> Tensor:
        given.pop("use_cache")
        rows = rows + self.self_attn(self.input_layernorm(rows), **given)[0]
        return rows + whole(self.mlp, self.post_attention_layernorm(rows))

    layer.forward = types.MethodType(forward, layer)
    with pytest.warns(UserWarning, match="the FFN of some layers ran dense"):
        logits(model, inputs)


@pytest.mark.parametrize("name", ["sdpa", "eager"])
def test_another_attention_set_afterwards_changes_no_sparse_call(
    model: Any, stock: Any, inputs: Inputs, name: str
) -> None:
    expected = logits(model, inputs)
    for which in (model, stock):
        which.set_attn_implementation(name)
    torch.testing.assert_close(logits(model, inputs), expected, atol=1e-4, rtol=1e-4)
    assert is_sparse(model, inputs)
    assert model.config.text_config._attn_implementation == name
    sparsify(model, DENSE)
    assert torch.equal(logits(model, inputs), logits(stock, inputs))
    assert torch.equal(logits(restore(model), inputs), logits(stock, inputs))


def test_eager_weights_are_those_of_the_stock_model(stock: Any, inputs: Inputs) -> None:
    stock.set_attn_implementation("eager")
    model = sparsify(copy.deepcopy(stock), DENSE)
    with torch.no_grad():
        mine = model(**inputs, output_attentions=True).attentions
        theirs = stock(**inputs, output_attentions=True).attentions
    assert len(mine) == 3 and all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("how", ["config", "copied", "from_config", "from_pretrained"])
def test_the_configuration_of_a_sparse_model_is_a_stock_one(
    model: Any, stock: Any, inputs: Inputs, tmp_path: Path, how: str
) -> None:
    kind, config = Qwen2_5_VLForConditionalGeneration, model.config
    assert config.to_dict() == stock.config.to_dict()
    assert config.text_config._attn_implementation == "sdpa"
    if how == "from_pretrained":
        model.save_pretrained(tmp_path)
        assert "adaspark" not in (tmp_path / "config.json").read_text()
        other = kind.from_pretrained(tmp_path, config=config)
    else:
        if how == "from_config":
            other = kind._from_config(config)
        else:
            other = kind(copy.deepcopy(config) if how == "copied" else config)
        other.load_state_dict(stock.state_dict())
    assert torch.equal(logits(other.eval(), inputs), logits(stock, inputs))


def test_our_name_in_a_configuration_is_the_stock_attention(stock: Any, inputs: Inputs) -> None:
    expected = logits(stock, inputs)
    stock.model.language_model.config._attn_implementation_internal = "adaspark"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.testing.assert_close(logits(stock, inputs), expected)


class Parallel(nn.DataParallel):
    """As on a machine without a second device."""


WRAPPED = {
    "peft": lambda model: get_peft_model(model, LoraConfig(target_modules=["q_proj", "up_proj"])),
    "data parallel": Parallel,
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "both": lambda model: Parallel(torch.compile(model, backend="eager")),
    "inner model": lambda model: model.model,
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_model_is_the_model_inside(name: str, stock: Any, inputs: Inputs) -> None:
    expected = logits(stock, inputs)
    mine = copy.deepcopy(stock)
    wrapped = WRAPPED[name](mine)
    assert sparsify(wrapped, SPARSE) is wrapped
    with record(wrapped) as trace:
        logits(mine, inputs)
    assert trace.attention_density < 1 and trace.ffn_density < 1
    assert restore(wrapped) is wrapped
    torch.testing.assert_close(logits(mine, inputs), expected)


def test_adapters_are_trained_and_left(stock: Any, inputs: Inputs) -> None:
    """LoRA put on a sparse model, and taken off a restored one."""
    wrapped = get_peft_model(sparsify(stock, SPARSE), LoraConfig(target_modules=["up_proj"]))
    assert is_sparse(wrapped, inputs)
    wrapped(**inputs, labels=inputs["input_ids"]).loss.backward()
    found = [p for n, p in wrapped.named_parameters() if "lora_B" in n and "layers" in n]
    assert len(found) == 3 and all(p.grad.ne(0).any() for p in found)
    plain = restore(wrapped).merge_and_unload()
    torch.testing.assert_close(logits(plain, inputs), logits(tiny_model(), inputs))


@pytest.mark.parametrize("thing", [nn.Linear(2, 2), nn.DataParallel(nn.Linear(2, 2)), 7, "Qwen"])
@pytest.mark.parametrize("use", [sparsify, restore, lambda m: record(m).__enter__()])
def test_what_is_no_model_is_refused_in_a_sentence(use: Any, thing: Any) -> None:
    with pytest.raises(UserError, match=r"not on \w+: pass the model that"):
        use(thing)


def test_the_text_model_alone_is_refused_in_a_sentence(stock: Any) -> None:
    with pytest.raises(UserError, match=r"text part of Qwen2\.5-VL alone: give the whole model"):
        sparsify(stock.model.language_model)


def test_a_dict_is_a_configuration(stock: Any) -> None:
    with record(sparsify(stock, {"attn_top_p": 0.5, "cube": [2, 2, 3]})) as trace:
        logits(stock, prompt(VIDEOS))
    assert trace.meta.config == AdaSparkConfig(CUBE, attn_top_p=0.5)


@pytest.mark.parametrize("config", [0.5, (0.5, 0.5), [4, 4, 4], "0.9", True])
def test_other_things_than_a_configuration_are_refused_in_a_sentence(
    stock: Any, config: Any
) -> None:
    with pytest.raises(UserError, match=r"is an AdaSparkConfig or a dict of its settings, not "):
        sparsify(stock, config)
    with pytest.raises(UserError, match="Unknown setting 'top_p'"):
        sparsify(stock, {"top_p": 0.5})


def test_fewer_layers_than_the_configuration_says_are_recorded(stock: Any, inputs: Inputs) -> None:
    """Layers dropped before, from the middle, and after."""
    text = stock.model.language_model
    text.layers = nn.ModuleList([text.layers[0], text.layers[2]])
    with record(sparsify(stock, AdaSparkConfig(CUBE, [0.5, 0.9], 0.5))) as trace:
        stock(**inputs, use_cache=False)
    assert len(trace.layers) == 2 == trace.meta.shape["layers"]
    sparsify(stock, SPARSE)
    text.layers = text.layers[1:]
    with record(stock) as trace:
        stock(**inputs, use_cache=False)
    assert len(trace.layers) == 1
