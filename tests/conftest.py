"""What all tests share: derandomised properties, fresh memory that is never innocent, GPU kernels
that are interpreted where there is no GPU, and one that wakes what the kernel forgot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import awake
import pytest
import torch
from hypothesis import HealthCheck, settings
from long import mark_further

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # must precede the first import of Triton, by anybody

settings.register_profile(
    "project",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],  # it judges how fast the machine is
)
settings.load_profile("project")


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """One watcher a run, in the process that the workers descend from."""
    if hasattr(session.config, "workerinput"):
        return (yield)
    with subprocess.Popen([sys.executable, awake.__file__, str(os.getpid())]) as watcher:
        try:
            return (yield)
        finally:
            watcher.terminate()


@pytest.hookimpl(tryfirst=True)  # before `-m` leaves them out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_further(items)


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """Fill the memory of torch.empty and its kin with NaN: an unwritten row cannot pass."""
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    assert torch.empty(3).isnan().all() and torch.ones(1).new_empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)
