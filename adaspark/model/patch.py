"""What `sparsify` hangs on a model, and which model is meant where another wraps it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.method.rules import Rule
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

    def rule(self, layer: int) -> Rule:
        """How a layer's cubes are chosen, interventions included."""
        return replace(self.config.attention_in(layer), forced=self.forced)

    def warn(self, sentence: str) -> bool:
        """Say something once; returns whether it was said now."""
        if sentence in self.warned:
            return False
        self.warned.add(sentence)
        warnings.warn(sentence, stacklevel=4)
        return True


def patch_of(base: Any) -> Patch | None:
    """The patch of a `Qwen2_5_VLModel`, or of one of its modules; None where there is none."""
    patch: Patch | None = getattr(base, "__dict__", {}).get(NAME)
    return patch


def base_of(model: Any) -> Any:
    """The `Qwen2_5_VLModel` inside a model, whatever wraps it.

    Raises UserError for any other model.
    """
    found = _unwrapped(model)
    base = found if hasattr(found, "language_model") else getattr(found, "model", None)
    kind = getattr(getattr(found, "config", None), "model_type", None)
    if kind != "qwen2_5_vl" or not hasattr(base, "language_model"):
        raise UserError(
            f"AdaSpark runs on Qwen2_5_VLForConditionalGeneration, not on {type(found).__name__}: "
            "pass the model that Qwen2_5_VLForConditionalGeneration.from_pretrained gives."
        )
    return base


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
