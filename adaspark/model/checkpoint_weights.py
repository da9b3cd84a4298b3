"""A checkpoint's weights: in which precision and where they go, and that all of them are there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from adaspark.errors import UserError
from adaspark.model import memory
from adaspark.model.checkpoint_files import blamed, some
from adaspark.model.checkpoint_source import BUNDLES, Source
from adaspark.model.families import known_family, model_class
from adaspark.model.precision import fastest
from adaspark.model.quantised import is_quantised

_A_LAYER = re.compile(r"(layers|blocks)\.\d+\.")


@dataclass(frozen=True)
class Plan:
    """The dtype of the weights ("auto": as they are stored) and where they go: a `device_map` as
    transformers takes it, or a `device` where there is none.
    """

    dtype: torch.dtype | str
    device: torch.device
    device_map: Any = None


def plan_for(source: Source, config: Any, device: torch.device) -> Plan:
    """How to load a model of this configuration; nothing is read or fetched for it.

    Raises UserError where its weights need more memory than is free.
    """
    if source.name in BUNDLES:
        return Plan(torch.float32, device)
    if is_quantised(config):
        placed = memory.device_map(source, memory.stored_bytes(source), device)
        return Plan("auto", device, placed or {"": device})
    parameters = _parameters(config)
    dtype = fastest(device, parameters)
    placed = memory.device_map(source, parameters * dtype.itemsize, device)
    # Without accelerate the weights pass through the host's memory.
    return Plan(dtype, device, placed if find_spec("accelerate") else None)


def load_weights(source: Source, config: Any, plan: Plan) -> Any:
    """The model with every weight from its files: what they lack would be random."""
    placing = {} if plan.device_map is None else {"device_map": plan.device_map}
    with blamed(source, ""):
        model, info = model_class(known_family(config)).from_pretrained(
            source.files,
            config=config,
            dtype=plan.dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are told, below
            **placing,
        )
    _check_loaded(source, info, extras_matter=not is_quantised(config))
    return model if placing else model.to(plan.device)


def _check_loaded(source: Source, info: dict[str, Any], *, extras_matter: bool) -> None:
    """Refuse a model whose files lack weights, or hold layers or shapes that it has not.

    Beside a quantised weight lie its scales, which some methods leave among the extras.
    """
    extra = [name for name in info["unexpected_keys"] if _A_LAYER.search(name)]
    what = f"; the files hold others, such as {some(extra)}" if extra else ""
    if missing := info["missing_keys"]:
        raise UserError(
            f"{source.name} lacks {len(missing):,} weights ({some(missing)}){what}: its "
            f"config.json and its files do not belong together; {source.remedy()}."
        )
    if extra and extras_matter:
        raise UserError(
            f"{source.name} holds weights that its config.json has no place for ({some(extra)}): "
            f"{source.remedy()}."
        )
    if wrong := {str(key[0]): key[1:] for key in info["mismatched_keys"]}:
        name, shapes = next(iter(sorted(wrong.items())))
        held, expected = (tuple(shape) for shape in shapes)
        raise UserError(
            f"{source.name} holds {len(wrong):,} weights of another shape than its config.json "
            f"says, such as {name}, {held} for {expected}: {source.remedy()}."
        )


def _parameters(config: Any) -> int:
    """How many parameters a model of this shape has; nothing is allocated."""
    with torch.device("meta"):
        model = model_class(known_family(config))(config)
    return sum(parameter.numel() for parameter in model.parameters())


def apply_delta(model: torch.nn.Module, path: Path) -> None:
    """Replace the parameters of `model` that the safetensors file holds, in the model's own dtype.

    Raises UserError where the file belongs to another model.
    """
    known = dict(model.named_parameters())
    for name, value in load_file(path).items():
        if name not in known or known[name].shape != value.shape:
            raise UserError(f"{path.name} belongs to another model: make it anew from this one.")
        known[name].data.copy_(value)
