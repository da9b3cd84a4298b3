"""Weights on disk: what a run starts from, and the few that sparse tuning changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from adaspark.errors import UserError
from adaspark.mini.training.tokenizer import train_tokenizer


def read_start(source: Path, device: torch.device) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights of the model and of the auxiliary heads (empty if there are none).

    `source` is the `weights.pt` of a run, or a bundle's folder. Raises UserError for neither.
    """
    if source.is_dir():
        return _bundled(source), {}
    if not source.is_file():
        raise UserError(f"{source} does not exist: give a weights.pt or a bundle's folder.")
    state = torch.load(source, map_location=device, weights_only=True)
    return state["model"], state["heads"]


def _check_bundle(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no config.json: give a bundle's folder.")


def _bundled(folder: Path) -> dict[str, Tensor]:
    """A bundle's weights by the model's parameter names; its files use those of an older class."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    _check_bundle(folder)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    weights: dict[str, Tensor] = model.state_dict()
    return weights


def read_tokenizer(source: Path | None) -> Any:
    """The tokenizer of the bundle that training starts from, or the project's own, made anew."""
    if source is None or not source.is_dir():
        return train_tokenizer()
    from transformers import AutoTokenizer

    _check_bundle(source)
    return AutoTokenizer.from_pretrained(source)


def save_delta(model: nn.Module, names: set[str], path: Path, metadata: Mapping[str, Any]) -> None:
    """Write the parameters `names` of `model` in bfloat16: a bundle plus these is the model."""
    changed = {
        name: value.detach().to("cpu", torch.bfloat16).contiguous()
        for name, value in model.named_parameters()
        if name in names
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(changed, path, {key: str(value) for key, value in metadata.items()})
