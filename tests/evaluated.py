"""Evaluations on tiny plans: one checkpoint for all of them, results in a folder of the test."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Any

from adaspark.eval.harness.context import Context, plan_dict
from adaspark.eval.report.results import Results
from adaspark.method.config import AdaSparkConfig
from adaspark.model import checkpoint


@cache
def loaded() -> checkpoint.Checkpoint:
    return checkpoint.load(device="cpu")


def context(folder: Path, plan: Any, *, budget_secs: float | None = None) -> Context:
    """A context as the command line makes it, with a configuration that drops much."""
    config = AdaSparkConfig((2, 2, 2), 0.9, 0.7)
    results = Results(
        folder, "adaspark eval test", plan=plan_dict(plan, "mini"), config=config.to_dict()
    )
    deadline = None if budget_secs is None else time.monotonic() + budget_secs
    return Context(loaded(), config, results, deadline=deadline, say=lambda _: None)
