"""Waiting for what another process does, in one place."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECS = 300.0
"""Ends a test that hangs: longer than anything takes on the busiest machine."""


def until(holds: Callable[[], bool], secs: float = PATIENCE_SECS) -> bool:
    """Look again and again, for so long at most; whether it holds at last."""
    end = time.monotonic() + secs
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)
    return holds()
