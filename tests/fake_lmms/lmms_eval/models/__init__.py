"""The registry; importing it loads every plugin, and one that fails is only warned of."""

from __future__ import annotations

import sys

from lmms_eval.models.registry_v2 import ModelRegistryV2

MODEL_REGISTRY_V2 = ModelRegistryV2()
try:
    MODEL_REGISTRY_V2.load_entrypoint_manifests()
except Exception as error:
    print(f"Failed to load model entry-point manifests: {error}", file=sys.stderr)
