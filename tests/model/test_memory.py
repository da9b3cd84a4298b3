"""Weights that do not fit are refused before they are read; those that do go straight there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import edit_json, hub_checkpoint, linked, replace_file

from adaspark.cli import main
from adaspark.errors import UserError
from adaspark.model import checkpoint_weights, memory
from adaspark.model.checkpoint import load
from adaspark.model.checkpoint_source import Source

GPU = torch.device("cuda")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub_checkpoint(tmp_path_factory.mktemp("hub") / "Qwen2.5-VL", layers=1)


@pytest.fixture
def source(folder: Path) -> Source:
    return Source("Qwen/Large", folder)


def test_too_large_a_model_is_one_sentence_before_its_weights_are_opened(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = linked(tmp_path / "copy", folder)
    for path in copied.glob("*.safetensors"):
        replace_file(path, b"never opened")
    monkeypatch.setattr(memory, "free_on_host", lambda: 1000)
    with pytest.raises(UserError, match=r"needs 0\.0 GB for its weights and this machine has 0\.0"):
        load(str(copied), device="cpu")


def test_the_size_is_that_of_the_configuration_in_the_dtype_of_loading(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(memory, "device_map", lambda _, needed, __: asked.append(needed))
    model = load(str(folder), device="cpu").model
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    assert asked == [held]


def test_stored_bytes_come_from_the_index_or_the_files(source: Source, tmp_path: Path) -> None:
    shards = [path.stat().st_size for path in source.files.glob("*.safetensors")]
    assert 0 < sum(shards) - memory.stored_bytes(source) < 20_000  # their headers
    (tmp_path / "model.safetensors").write_bytes(b"123")
    assert memory.stored_bytes(Source("x", tmp_path)) == 3


@pytest.mark.parametrize(
    "free, expected",
    [([200], {"": GPU}), ([50, 200], "auto"), ([120, 10], {"": GPU}), ([60, 60], "auto")],
)
def test_one_gpu_takes_it_or_all_do(
    source: Source, monkeypatch: pytest.MonkeyPatch, free: list[int], expected: Any
) -> None:
    monkeypatch.setattr(memory, "free_on_gpus", lambda: free)
    placed = memory.device_map(source, 100, GPU)
    if isinstance(expected, dict):
        expected = {"": torch.device("cuda", 0)}
    assert placed == expected


@pytest.mark.parametrize("free, where", [([90], "the GPU has"), ([40, 50], "the 2 GPUs has")])
def test_gpus_that_are_too_small_are_named(
    source: Source, monkeypatch: pytest.MonkeyPatch, free: list[int], where: str
) -> None:
    monkeypatch.setattr(memory, "free_on_gpus", lambda: free)
    with pytest.raises(UserError, match=f"Qwen/Large needs 0.0 GB for its weights and {where}"):
        memory.device_map(source, 100, GPU)


def test_a_map_of_devices_is_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on several GPUs: modules on "meta" would not answer, so all are put on the CPU by it."""
    plan = checkpoint_weights.Plan(torch.float32, torch.device("cpu"), {"": "cpu"})
    monkeypatch.setattr("adaspark.model.checkpoint.plan_for", lambda *_: plan)
    found = load(str(folder), device="cpu")
    assert found.device.type == "cpu" and found.model.dtype == torch.float32


def test_free_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.free_on_host() > 2**24
    monkeypatch.setattr(Path, "read_text", lambda *_: "nothing")
    assert memory.free_on_host() == memory.memory_bytes()


def test_yarn_stretches_the_context_and_blurs_positions(folder: Path) -> None:
    plain, long = (load(str(folder), device="cpu", yarn=yarn) for yarn in (None, 4.0))
    contexts = [m.model.config.text_config.max_position_embeddings for m in (plain, long)]
    assert contexts[1] == 4 * contexts[0]
    turned = [m.model.model.language_model.rotary_emb.inv_freq for m in (plain, long)]
    assert (
        not torch.equal(*turned) and long.model.config.text_config.rope_parameters["mrope_section"]
    )


def test_a_context_is_stretched_once(folder: Path, tmp_path: Path) -> None:
    copied = linked(tmp_path / "copy", folder)
    content = (copied / "config.json").read_text()
    replace_file(copied / "config.json", content.encode())
    scaled = {"type": "yarn", "mrope_section": [2, 3, 3], "factor": 4}
    edit_json(
        copied / "config.json",
        rope_scaling={**scaled, "original_max_position_embeddings": 32768},
    )
    assert load(str(copied), device="cpu").model is not None
    with pytest.raises(UserError, match="stretched already"):
        load(str(copied), device="cpu", yarn=2.0)
    with pytest.raises(UserError, match="yarn must be above 1"):
        load(str(folder), device="cpu", yarn=1.0)


def test_a_preset_sets_what_is_shown(folder: Path) -> None:
    from adaspark.model.engine import Engine

    engine = Engine(str(folder), "cpu", preset="qwen")
    shown = engine._checkpoint.sampling
    assert (shown.fps, shown.max_frames, shown.max_tokens) == (2.0, 768, 24_576)
    assert Engine("mini", "cpu", preset="qwen")._checkpoint.sampling.max_frames != 768


def test_an_unknown_preset_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "clip.mp4", "Why?", "--preset", "best"]) == 2
    assert "Unknown preset 'best': choose qwen." in capsys.readouterr().err
