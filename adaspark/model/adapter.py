"""A LoRA folder as a model: its base with the adapter merged into the weights."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from adaspark.errors import UserError
from adaspark.model.checkpoint_files import blamed, read_json, refuse_pointer, unusable
from adaspark.model.checkpoint_hub import fetch, settled
from adaspark.model.checkpoint_source import Source, locate

CONFIG = "adapter_config.json"
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True)
class Adapter:
    """An adapter's place, and the name of the model it adapts."""

    source: Source
    base: str


def read_adapter(source: Source) -> Adapter | None:
    """The adapter that a folder holds, None where it holds a whole model.

    Raises UserError where the adapter does not name its base, or peft is not installed.
    """
    if (source.files / "config.json").is_file() or not (source.files / CONFIG).is_file():
        return None
    base = read_json(source, CONFIG).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise unusable(source, CONFIG, "does not name its base model (base_model_name_or_path)")
    if find_spec("peft") is None:
        raise UserError(
            f"{source.name} is a LoRA adapter of {base}, and peft is not installed: pip install "
            f"peft, or give the base model or a merged checkpoint."
        )
    return Adapter(source, base)


def named_adapter(name: str) -> Adapter:
    """The adapter of this name: a folder, or a repository of the hub.

    Raises UserError where there is none.
    """
    try:
        source = locate(name)
    except UserError as error:
        raise UserError(f"The adapter cannot be used: {error}") from error
    _, found = settled(source, read_adapter)
    if found is None:
        raise UserError(
            f"{name} is not a LoRA adapter: give a folder with {CONFIG}, as `adaspark tune` and "
            f"peft write it."
        )
    return found


def with_adapter(model: Any, adapter: Adapter) -> Any:
    """The model with the adapter merged into its weights. Raises UserError where it does not fit.

    peft leaves what its file lacks at fresh, random values and only warns: that is refused.
    """
    from peft import PeftModel

    source = adapter.source
    fetch(source, _WEIGHTS)
    name = next((name for name in _WEIGHTS if (source.files / name).is_file()), None)
    if name is None:
        raise UserError(
            f"{source.name} lacks {_WEIGHTS[0]}, the adapter's weights: "
            f"{source.remedy(_WEIGHTS[0])}."
        )
    refuse_pointer(source, source.files / name)
    with blamed(source, name), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        merged = PeftModel.from_pretrained(model, source.files).merge_and_unload()
    if lacking := [str(w.message) for w in warned if "missing adapter keys" in str(w.message)]:
        raise unusable(source, name, f"lacks weights of the adapter ({lacking[0][:200]})")
    return merged
