"""Qwen2.5-VL with AdaSpark as a model of lmms-eval, with real weights on its benchmarks.

lmms-eval samples and shows the video; this class takes its own arguments, sparsifies what the
parent has loaded and, if asked, writes the counted cost of each request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from lmms_eval.models.chat.qwen2_5_vl import Qwen2_5_VL

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.qwen import record, sparsify
from adaspark.trace.cost import flops
from adaspark.trace.trace import Trace


class AdaSparkQwen2_5_VL(Qwen2_5_VL):  # type: ignore[misc]
    """lmms-eval's own chat model, sparse.

    Beside the parent's arguments it takes those of `AdaSparkConfig`, lists in JSON
    (`cube=[4,8,8],attn_top_p=0.9`), and `costs`, a file to which each request adds one line of
    JSON: densities and counted FLOPs. Recording takes memory and time: leave it out to time a run.

    Raises UserError if one of them cannot be used.
    """

    is_simple = False

    def __init__(self, *, costs: str | None = None, **arguments: Any) -> None:
        config, rest = split_arguments(arguments)
        if costs is not None and str(rest.get("batch_size", 1)) != "1":
            raise UserError("costs are counted request by request: set batch_size to 1.")
        super().__init__(**{"attn_implementation": "sdpa", **rest})
        self._costs = None if costs is None else Path(costs)
        sparsify(self.model, config)

    def generate_until(self, requests: Sequence[Any]) -> list[Any]:
        """The parent's answers; with `costs` one request after the other, each recorded."""
        if self._costs is None:
            return list(super().generate_until(requests))
        answers: list[Any] = []
        for request in requests:
            with record(self.model) as trace:
                answers += super().generate_until([request])
            line = {"task": request.task_name, "doc_id": request.doc_id, **costs_of(trace)}
            with self._costs.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return answers


def split_arguments(given: Mapping[str, Any]) -> tuple[AdaSparkConfig, dict[str, Any]]:
    """The configuration among the arguments, and the other ones: the parent refuses ours."""
    own = {field.name for field in fields(AdaSparkConfig)} & given.keys()
    config = AdaSparkConfig.from_dict({name: _read(given[name]) for name in own})
    return config, {name: value for name, value in given.items() if name not in own}


def costs_of(trace: Trace) -> dict[str, Any]:
    """What a request's prefill computed, JSON-ready; FLOPs are of the language model.

    A request without video runs dense and says so by 0 video tokens alone.
    """
    if trace.meta.counts is None or trace.meta.config is None:
        return {"video_tokens": 0}
    counted = flops(trace)
    return {
        "video_tokens": len(trace.cube_from_token),
        "text_tokens": trace.meta.counts.text_tokens,
        "config": trace.meta.config.to_dict(),
        "attention_density": trace.attention_density,
        "ffn_density": trace.ffn_density,
        "flops": {"dense": counted.dense.total, "sparse": counted.sparse.total},
        "reduction": counted.reduction,
        "attention_by_layer": [layer.attention_density for layer in trace.layers],
        "ffn_by_layer": [layer.ffn_density for layer in trace.layers],
    }


def _read(value: Any) -> Any:
    """lmms-eval reads numbers from its command line and leaves lists as they were typed."""
    if isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value  # for AdaSparkConfig to refuse
    return value
