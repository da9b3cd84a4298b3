"""Signals to the processes that tests start."""

from __future__ import annotations

import signal


def hears_interrupts() -> None:
    """For `preexec_fn`: tests run in the background of a shell ignore Ctrl-C, and so would what
    they start.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
