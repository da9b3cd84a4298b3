"""What the reading of one upload may take, and how a process is bound to that."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from app.media.reader.sandbox import forbid_network

_STATM = Path("/proc/self/statm")
_OPEN_FILES = 64


@dataclass(frozen=True)
class ReaderLimits:
    """The limits of one reader.

    `memory_mb` is address space beyond that of its own code, `file_mb` the size of a file that it
    writes, `cpu_secs` its processor time. The server ends it when it says nothing for `silent_secs`
    while it is waited for, or has been waited for `wait_secs` in all.
    """

    memory_mb: int = 3072
    file_mb: int = 2048
    cpu_secs: int = 7200
    silent_secs: float = 30.0
    wait_secs: float = 7200.0


def confine(limits: ReaderLimits) -> None:
    """Bind this process to its limits for good: it cannot raise them again, nor use the network.

    Where the system has no such limits (Windows), the server's deadlines are what is left.
    """
    if sys.platform == "win32":
        return
    import resource

    bounds = {
        resource.RLIMIT_CPU: limits.cpu_secs,
        resource.RLIMIT_FSIZE: limits.file_mb * 2**20,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,  # what is in memory then is a visitor's
    }
    if _STATM.exists():
        pages = int(_STATM.read_text().split()[0])
        own_bytes = pages * resource.getpagesize()
        bounds[resource.RLIMIT_AS] = own_bytes + limits.memory_mb * 2**20
    for kind, bound in bounds.items():
        _, most = resource.getrlimit(kind)
        bound = bound if most == resource.RLIM_INFINITY else min(bound, most)
        # At the first of the two bounds of time a signal says which one it was.
        last = bound + 1 if kind == resource.RLIMIT_CPU and bound != most else bound
        resource.setrlimit(kind, (bound, last))
    forbid_network()
