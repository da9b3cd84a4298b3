"""Qwen3-VL and Qwen3.5 with AdaSpark as models of lmms-eval."""

from __future__ import annotations

from lmms_eval.models.chat.qwen3_5 import Qwen3_5
from lmms_eval.models.chat.qwen3_vl import Qwen3_VL

from adaspark.eval.lmms.sparse import Sparse


class AdaSparkQwen3_VL(Sparse, Qwen3_VL):  # type: ignore[misc]
    """lmms-eval's own chat model, sparse."""


class AdaSparkQwen3_5(Sparse, Qwen3_5):  # type: ignore[misc]
    """lmms-eval's own chat model, sparse."""
