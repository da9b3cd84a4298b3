"""Weights on disk: what a run starts from, and the few that sparse tuning changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from adaspark.errors import UserError

EMBEDDING = "model.language_model.embed_tokens.weight"


def read_start(source: Path, device: torch.device) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights of the model and of the auxiliary heads (empty where there are none).

    `source` is the `weights.pt` of a run, or a bundle's folder. Raises UserError for neither.
    """
    if source.is_dir():
        path = source / "model.safetensors"
        if not path.is_file():
            raise UserError(f"{source} holds no model.safetensors: give a bundle's folder.")
        return _whole(load_file(path, device=str(device))), {}
    if not source.is_file():
        raise UserError(f"{source} does not exist: give a weights.pt or a bundle's folder.")
    state = torch.load(source, map_location=device, weights_only=True)
    return _whole(state["model"]), state["heads"]


def _whole(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The output matrix is the embedding: files hold it once."""
    return {"lm_head.weight": weights[EMBEDDING], **weights}


def save_delta(model: nn.Module, names: set[str], path: Path, metadata: Mapping[str, Any]) -> None:
    """Write the parameters `names` of `model` in bfloat16: a bundle plus these is the model."""
    changed = {
        name: value.detach().to("cpu", torch.bfloat16).contiguous()
        for name, value in model.named_parameters()
        if name in names
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(changed, path, {key: str(value) for key, value in metadata.items()})


def apply_delta(model: nn.Module, path: Path) -> None:
    """Replace the parameters of `model` that `path` holds, in the model's own dtype.

    Raises UserError where the file cannot be read or belongs to another model.
    """
    try:
        changed = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read as safetensors: write it again.") from error
    known = dict(model.named_parameters())
    for name, value in changed.items():
        if name not in known or known[name].shape != value.shape:
            raise UserError(f"{path} does not belong to this model: it has no such {name}.")
        known[name].data.copy_(value)
