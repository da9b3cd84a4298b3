"""What all tests share: derandomised properties, fresh memory that is never innocent, and GPU
kernels that are interpreted where there is no GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings
from long import mark_further

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # must precede the first import of Triton, by anybody

settings.register_profile("project", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("project")


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
