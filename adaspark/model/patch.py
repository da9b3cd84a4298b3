"""What `sparsify` hangs on a model, and which model is meant where another wraps it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.families import NAMES, Family, family_of, known_family, refusal
from adaspark.trace.recorder import Recorder

NAME = "_adaspark"
_WRAPPED = ("module", "_orig_mod")  # of DataParallel, DDP, FSDP, DeepSpeed; of torch.compile


@dataclass(eq=False)
class Patch:
    """The configuration of one model, and who listens to it. No call leaves anything here."""

    config: AdaSparkConfig
    forced: tuple[tuple[int, bool], ...] = ()
    warned: set[str] = field(default_factory=set)
    recorders: list[Recorder] = field(default_factory=list)

    def __getstate__(self) -> dict[str, Any]:
        """A copy of the model is not listened to."""
        return {**self.__dict__, "recorders": []}

    def warn(self, sentence: str) -> bool:
        """Say something once; returns whether it was said now."""
        if sentence in self.warned:
            return False
        self.warned.add(sentence)
        warnings.warn(sentence, stacklevel=4)
        return True


def patch_of(base: Any) -> Patch | None:
    """The patch of a base model, or of one of its modules; None where there is none."""
    patch: Patch | None = getattr(base, "__dict__", {}).get(NAME)
    return patch


def base_of(model: Any) -> Any:
    """The base model (`Qwen2_5_VLModel`, for example) inside a model, whatever wraps it.

    Raises UserError for a model of no known family.
    """
    found = _unwrapped(model)
    family = family_of(config := getattr(found, "config", None))
    if family is not None:
        for base in (found, getattr(found, "model", None)):
            if hasattr(base, family.text):
                return base
    if kind := getattr(config, "model_type", None):
        raise refusal(f"This {type(found).__name__}", kind)
    raise UserError(
        f"AdaSpark runs on {NAMES} of transformers, not on {type(found).__name__}: pass the model "
        "that from_pretrained gives."
    )


def family_in(base: Any) -> Family:
    """The family of a base model."""
    return known_family(base.config)


def _unwrapped(model: Any) -> Any:
    """What is inside a PeftModel, DataParallel, DDP, or what torch.compile gave."""
    if callable(inner := getattr(model, "get_base_model", None)):
        return _unwrapped(inner())
    for name in _WRAPPED:
        if isinstance(
            inner := getattr(model, "__dict__", {}).get("_modules", {}).get(name), nn.Module
        ):
            return _unwrapped(inner)
    return model
