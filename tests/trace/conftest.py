"""A recorded run of a tiny model, made once a file."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from models import prompt, tiny_model
from recorded import GRIDS, HEADS, LAYERS, P, Spy

from adaspark import record, sparsify
from adaspark.kernels import backend
from adaspark.method.config import AdaSparkConfig
from adaspark.trace.trace import Trace


@pytest.fixture(scope="module")
def model() -> Any:
    model = tiny_model(heads=HEADS, kv_heads=2, layers=LAYERS)
    return sparsify(model, AdaSparkConfig((2, 2, 2), P, P))


@pytest.fixture(scope="module")
def run(model: Any) -> tuple[Trace, Spy, list[int]]:
    """A prompt of two videos, and three words after it."""
    inputs = prompt(GRIDS)
    spy = Spy()
    with backend.use_backend(spy.backend), record(model) as trace, torch.no_grad():
        written = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    return trace, spy, written[0, :-1].tolist()  # the last word was never read
