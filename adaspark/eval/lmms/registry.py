"""The plugin for lmms-eval: names alone, because lmms-eval reads them whenever it is imported.

Its entry point is `manifests` (group `lmms_eval.models` in pyproject.toml); the models themselves
are `model.py` and `qwen3.py`. Only `--model adaspark_...` loads one of them.
"""

from __future__ import annotations

from typing import Any

MODEL = "adaspark_qwen2_5_vl"
_CLASS_PATHS = {
    MODEL: "adaspark.eval.lmms.model.AdaSparkQwen2_5_VL",
    "adaspark_qwen3_vl": "adaspark.eval.lmms.qwen3.AdaSparkQwen3_VL",
    "adaspark_qwen3_5": "adaspark.eval.lmms.qwen3.AdaSparkQwen3_5",
}


def manifests() -> list[Any]:
    """What lmms-eval registers."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return [ModelManifest(model_id=name, chat_class_path=at) for name, at in _CLASS_PATHS.items()]
