"""What a process has in memory, now and at its peak so far, in kilobytes (1,024 bytes)."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_kilobytes() -> int:
    """The peak so far. (Linux tells; `ru_maxrss` there begins with that of the parent process.)"""
    return _told("VmHWM:")


def resident_kilobytes() -> int:
    """Now; the peak so far where the system does not tell."""
    return _told("VmRSS:")


def reset_peak() -> None:
    """Count the peak from now on, where the system can."""
    with suppress(OSError):
        _CLEAR.write_text("5", "ascii")


def _told(name: str) -> int:
    try:
        lines = _STATUS.read_text("utf-8").splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
