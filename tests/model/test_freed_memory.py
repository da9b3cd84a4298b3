"""Memory that a command frees is kept in one pool for its next tensors, until it is given back."""

from __future__ import annotations

import ctypes
import resource
import subprocess
import sys

import pytest
from paths import ROOT

from adaspark.model import freed_memory

FAULTS = """
import ctypes, resource, sys
from concurrent.futures import ThreadPoolExecutor
from adaspark.model import freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if sys.argv[1] == "kept":
    freed_memory.keep()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = ctypes.c_void_p(libc.malloc(2**26))
    ctypes.memset(held, 1, 2**26)
    libc.free(held)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with ThreadPoolExecutor(1) as thread:
    thread.submit(faults).result()
    print(thread.submit(faults).result())
freed_memory.give_back()
with ThreadPoolExecutor(1) as thread:
    print(thread.submit(faults).result())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc alone has such pools")
@pytest.mark.parametrize("how", ["free", "kept"])
def test_a_large_tensor_that_is_made_again_touches_no_new_memory(how: str) -> None:
    command = [sys.executable, "-c", FAULTS, how]
    done = subprocess.run(command, check=True, cwd=ROOT, timeout=120, capture_output=True)
    again, after = map(int, done.stdout.split())
    pages = 2**26 // resource.getpagesize()
    assert (again < pages // 10) if how == "kept" else (again > pages // 2)
    assert after > pages // 2  # once it was given back


def test_another_allocator_is_left_alone() -> None:
    freed_memory.keep(object())
    freed_memory.give_back(object())
