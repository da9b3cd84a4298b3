"""Manifests, and the checks of a class that one names."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points


@dataclass(frozen=True)
class ModelManifest:
    model_id: str
    simple_class_path: str | None = None
    chat_class_path: str | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.simple_class_path is None and self.chat_class_path is None:
            raise ValueError(f"ModelManifest('{self.model_id}') requires at least one class path")


class ModelRegistryV2:
    def __init__(self) -> None:
        self.manifests: dict[str, ModelManifest] = {}

    def load_entrypoint_manifests(self, group: str = "lmms_eval.models") -> None:
        for entry in entry_points(group=group):
            self.register(entry.load())

    def register(self, payload: object) -> None:
        payload = payload() if callable(payload) else payload
        if not isinstance(payload, Iterable) or isinstance(payload, str | bytes | dict):
            raise TypeError("Entry point payload must be an iterable of ModelManifest")
        for manifest in payload:
            if not isinstance(manifest, ModelManifest):
                raise TypeError("Entry point iterable must contain only ModelManifest objects")
            self.manifests[manifest.model_id] = manifest

    def get_model_class(self, name: str) -> type:
        from lmms_eval.api.model import lmms

        if name not in self.manifests:
            raise ValueError(f"Model '{name}' not found in available models: ")
        path = self.manifests[name].chat_class_path
        assert path is not None
        module, _, class_name = path.rpartition(".")
        cls: type = getattr(importlib.import_module(module), class_name)
        if not issubclass(cls, lmms):
            raise TypeError(f"Model class '{path}' is not a subclass of lmms")
        if getattr(cls, "is_simple", True):
            raise TypeError(
                f"Model '{name}' resolved as chat but {cls.__name__}.is_simple is True."
            )
        return cls
