"""Qwen2.5-VL with AdaSpark as a model of lmms-eval, with real weights on its benchmarks."""

from __future__ import annotations

from lmms_eval.models.chat.qwen2_5_vl import Qwen2_5_VL

from adaspark.eval.lmms.sparse import Sparse


class AdaSparkQwen2_5_VL(Sparse, Qwen2_5_VL):  # type: ignore[misc]
    """lmms-eval's own chat model, sparse."""
