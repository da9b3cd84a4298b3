"""The plugin for lmms-eval: names alone, because lmms-eval reads them whenever it is imported.

Its entry point is `manifests` (group `lmms_eval.models` in pyproject.toml); the model itself is
`model.py`. Only `--model adaspark_qwen2_5_vl` loads it.
"""

from __future__ import annotations

from typing import Any

MODEL = "adaspark_qwen2_5_vl"
CLASS_PATH = "adaspark.eval.lmms.model.AdaSparkQwen2_5_VL"


def manifests() -> list[Any]:
    """What lmms-eval registers."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return [ModelManifest(model_id=MODEL, chat_class_path=CLASS_PATH)]
