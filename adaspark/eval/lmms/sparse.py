"""What makes a model of lmms-eval sparse: its own arguments, and the counted cost of each request.

lmms-eval samples and shows the video; the class takes its own arguments, sparsifies what the
parent has loaded and, if asked, writes the counted cost of each request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from adaspark.errors import UserError
from adaspark.eval.lmms.arguments import split_arguments
from adaspark.model.qwen import record, sparsify
from adaspark.trace.cost import flops
from adaspark.trace.summary import finite_or_none
from adaspark.trace.trace import Trace


class Sparse:
    """Stands before one of lmms-eval's own chat models, which becomes sparse.

    Beside the parent's arguments it takes those of `AdaSparkConfig`, lists in JSON
    (`cube=[4,8,8],attn_top_p=0.9`), and `costs`, a file to which each request adds one line of
    JSON: densities and counted FLOPs. Recording takes memory and time: leave it out to time a run.
    `max_video_tokens` is a limit for each video, as Qwen's own tables have one (24,576): its frames
    shrink to fit.

    Several processes (`accelerate launch --num_processes N -m lmms_eval`) share the requests; on a
    processor (`--cpu` and `device=cpu`), too. Where one has fewer than another, lmms-eval asks it
    one of its own again, which then has two lines.

    Raises UserError if one of them cannot be used.
    """

    is_simple = False

    def __init__(
        self, *, costs: str | None = None, max_video_tokens: int | None = None, **arguments: Any
    ) -> None:
        config, rest = split_arguments(arguments)
        if costs is not None and str(rest.get("batch_size", 1)) != "1":
            raise UserError("costs are counted request by request: set batch_size to 1.")
        with _as_one_process() if rest.get("device") == "cpu" else nullcontext():
            super().__init__(**{"attn_implementation": "sdpa", **rest})
        self._costs = None if costs is None else Path(costs)
        if max_video_tokens is not None:
            limit_video_tokens(max_video_tokens)
        sparsify(self.model, config)  # type: ignore[attr-defined]

    def generate_until(self, requests: Sequence[Any]) -> list[Any]:
        """The parent's answers; with `costs` one request after the other, each recorded."""
        if self._costs is None:
            return list(super().generate_until(requests))  # type: ignore[misc]
        answers: list[Any] = []
        for request in requests:
            with record(self.model) as trace:  # type: ignore[attr-defined]
                answers += super().generate_until([request])  # type: ignore[misc]
            line = {"task": request.task_name, "doc_id": request.doc_id, **costs_of(trace)}
            with self._costs.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return answers


@contextmanager
def _as_one_process() -> Iterator[None]:
    """lmms-eval's models load onto the CUDA device of their process's number where there are
    several, whatever `device` says. Which requests are a process's own its evaluator tells later.
    """
    from accelerate import Accelerator

    counted = Accelerator.num_processes
    Accelerator.num_processes = 1
    try:
        yield
    finally:
        Accelerator.num_processes = counted


def limit_video_tokens(count: int) -> None:
    """Have qwen-vl-utils, by which lmms-eval reads videos, give no video more tokens than that.

    It takes nine tenths of a context's length for its videos, and reads that length here.
    """
    from qwen_vl_utils import vision_process

    vision_process.MODEL_SEQ_LEN = count / 0.9


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
        "attention_by_layer": [finite_or_none(each.attention_density) for each in trace.layers],
        "ffn_by_layer": [each.ffn_density for each in trace.layers],
    }
