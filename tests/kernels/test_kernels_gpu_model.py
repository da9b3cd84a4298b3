"""A whole model on the GPU kernels: the answers and the trace of the PyTorch path."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any

import interpreted
import numpy as np
import pytest
import torch
from models import prompt, tiny_model

from adaspark import record, sparsify
from adaspark.kernels.backend import Implementation, use_backend
from adaspark.kernels.gpu import attention as gpu_attention
from adaspark.kernels.gpu.thresholds import Thresholds
from adaspark.method.config import AdaSparkConfig
from adaspark.model import halves
from adaspark.trace.trace import Trace

DEVICE = interpreted.DEVICE


def answered(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, Trace]:
    with torch.no_grad(), record(model) as trace:
        written = model.generate(
            **inputs,
            max_new_tokens=2,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
    return torch.stack(written.logits), trace


@pytest.mark.few
@pytest.mark.parametrize("grids", [[(3, 3, 2)], [(2, 2, 3), (2, 2, 1)]], ids=["one", "two videos"])
def test_prefill_decode_and_trace_are_those_of_the_pytorch_path(
    grids: list[tuple[int, int, int]],
) -> None:
    model = sparsify(
        tiny_model(heads=4, kv_heads=2, layers=1, head_dim=16), AdaSparkConfig((2, 2, 2), 0.6, 0.5)
    )
    model.to(DEVICE)
    inputs = {name: value.to(DEVICE) for name, value in prompt(grids).items()}
    expected, plain = answered(model, inputs)
    with use_backend("gpu"):
        logits, trace = answered(model, inputs)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    for name in ("kept_share", "word_kept", "ffn_kept", "computed_pairs"):
        np.testing.assert_array_equal(getattr(trace, name), getattr(plain, name), name)
    assert (trace.executed_pairs >= trace.computed_pairs).all()


@pytest.mark.few
@pytest.mark.parametrize("p", [0.6, 1.0])
def test_a_layer_reported_at_once_gives_the_trace_of_its_segments(
    monkeypatch: pytest.MonkeyPatch, p: float
) -> None:
    """In a prefill of several chunks, whose text is a question too, and in decoding."""
    model = sparsify(
        tiny_model(heads=4, kv_heads=2, layers=1, head_dim=16), AdaSparkConfig((2, 2, 2), p, 0.5)
    )
    model.to(DEVICE)
    inputs = {name: value.to(DEVICE) for name, value in prompt([(3, 3, 2), (2, 2, 3)]).items()}
    small = Thresholds(grouped_rows=0, selection_bytes=1)
    attend = partial(gpu_attention.sparse_attention, thresholds=small)
    report = partial(gpu_attention.report_dense, thresholds=small)
    with use_backend(Implementation(attend, gpu_attention.sparse_ffn, report)):
        logits, trace = answered(model, inputs)
        usual = halves._observer
        monkeypatch.setattr(halves, "_observer", lambda *given: usual(*given).observe)
        expected, plain = answered(model, inputs)
    assert torch.equal(logits, expected)
    for field in fields(Trace):
        found, expected_field = getattr(trace, field.name), getattr(plain, field.name)
        if field.name == "meta":
            assert found == expected_field
        elif found.dtype in (np.float32, np.float16):
            np.testing.assert_allclose(
                found, expected_field, atol=1e-6, rtol=1e-3, err_msg=field.name
            )
        else:
            np.testing.assert_array_equal(found, expected_field, field.name)
