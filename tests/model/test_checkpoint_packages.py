"""Checkpoints that need a package of their own: it is named, with its command, before weights are
read; quantised ones by their method, LoRA folders with their base."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from checkpoints import edit_json, hub_checkpoint, linked, replace_file, write_json

from adaspark.errors import UserError
from adaspark.model import adapter, checkpoint, quantised
from adaspark.model.checkpoint import load

METHODS: dict[str, tuple[dict[str, Any], str]] = {
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 128}, "gptqmodel"),
    "gptq": ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptqmodel optimum"),
    "bitsandbytes": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
    "bitsandbytes, older": ({"load_in_8bit": True}, "bitsandbytes"),
    "compressed-tensors": ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
    "fp8": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "accelerate"),
    "torchao": ({"quant_method": "torchao", "quant_type": "int4_weight_only"}, "torchao"),
    "hqq": ({"quant_method": "hqq"}, "hqq"),
    "quanto": ({"quant_method": "quanto"}, "optimum-quanto"),
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub_checkpoint(tmp_path_factory.mktemp("hub") / "Qwen2.5-VL")


@pytest.fixture
def folder(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy whose weights nobody may read."""

    def read(*_: object, **__: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(checkpoint, "check_weights", read)
    return linked(tmp_path / "copy", stored)


def quantise(folder: Path, settings: dict[str, Any]) -> None:
    path = folder / "config.json"
    replace_file(path, path.read_bytes())
    edit_json(path, quantization_config=settings)


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as refused:
        load(str(folder), device="cpu")
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_package_is_named_with_its_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(quantised, "find_spec", lambda _: None)
    settings, packages = METHODS[method]
    quantise(folder, settings)
    text = refusal(folder)
    assert f"is quantised ({settings.get('quant_method', 'bitsandbytes')})" in text
    assert f"pip install {packages}" in text


@pytest.mark.parametrize("method", METHODS)
def test_an_installed_package_that_refuses_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """transformers looks for itself, and finds none of them here."""
    monkeypatch.setattr(quantised, "find_spec", lambda _: object())
    quantise(folder, METHODS[method][0])
    with pytest.raises((UserError, AssertionError)) as refused:
        load(str(folder), device="cpu")
    if isinstance(refused.value, UserError):
        assert "is quantised" in str(refused.value)


def test_an_unknown_method_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised, "find_spec", lambda _: object())
    quantise(folder, {"quant_method": "pressed-flowers"})
    assert "is quantised (pressed-flowers) and cannot run here" in refusal(folder)


def stand_in_for_peft(monkeypatch: pytest.MonkeyPatch, peft_model: Any) -> None:
    module = ModuleType("peft")
    module.PeftModel = peft_model  # type: ignore[attr-defined]
    module.__spec__ = ModuleSpec("peft", None)
    monkeypatch.setitem(sys.modules, "peft", module)


@pytest.fixture
def lora(stored: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "lora"
    folder.mkdir()
    write_json(
        folder / "adapter_config.json",
        {"peft_type": "LORA", "base_model_name_or_path": str(stored), "r": 4},
    )
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    return folder


def test_a_lora_folder_without_peft_is_one_sentence(
    lora: Path, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "find_spec", lambda _: None)
    text = refusal(lora)
    assert f"is a LoRA adapter of {stored}" in text and "pip install peft" in text


def test_a_lora_folder_loads_its_base_and_is_merged(
    lora: Path, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for peft that adds one to a weight."""

    def merged(model: Any, folder: Path) -> Any:
        assert json.loads((folder / "adapter_config.json").read_text())["r"] == 4
        with torch.no_grad():
            model.model.language_model.norm.weight += 1
        return SimpleNamespace(merge_and_unload=lambda: model)

    stand_in_for_peft(monkeypatch, SimpleNamespace(from_pretrained=merged))
    loaded, base = load(str(lora), device="cpu"), load(str(stored), device="cpu")
    norms = [c.model.model.language_model.norm.weight for c in (loaded, base)]
    assert torch.equal(norms[0], norms[1] + 1) and loaded.name == str(lora)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda f: (f / "adapter_model.safetensors").unlink(), "lacks adapter_model.safetensors"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "does not name its base model"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "adapter_config.json of"),
        (
            lambda f: edit_json(f / "adapter_config.json", base_model_name_or_path="/none/here"),
            "Unknown model '/none/here'",
        ),
        (
            lambda f: edit_json(f / "adapter_config.json", base_model_name_or_path=str(f)),
            "an adapter itself",
        ),
    ],
)
def test_a_spoiled_lora_folder_is_one_sentence(
    lora: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, message: str
) -> None:
    stand_in_for_peft(monkeypatch, None)
    spoil(lora)
    assert message in refusal(lora)
