"""Memory that answers free is kept in one pool for the next, and given back between them."""

from __future__ import annotations

import ctypes
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from app.service.allocator import Allocator

THREADS = """
import ctypes, sys, threading
from app.service.allocator import Allocator

libc = ctypes.CDLL(None)
if sys.argv[2] == "kept":
    Allocator()
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
met = threading.Barrier(9)

def take():
    libc.malloc(1000)
    met.wait()
    met.wait()  # its pool is its own for as long as it lives

for _ in range(8):
    threading.Thread(target=take).start()
met.wait()
opened = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, opened)
libc.fclose(opened)
met.wait()
"""

TENSORS = """
import ctypes, resource, sys
from concurrent.futures import ThreadPoolExecutor
from app.service.allocator import Allocator

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if sys.argv[1] == "kept":
    allocator = Allocator()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = ctypes.c_void_p(libc.malloc(2**26))
    ctypes.memset(held, 1, 2**26)
    libc.free(held)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with ThreadPoolExecutor(1) as thread:
    thread.submit(faults).result()
    print(thread.submit(faults).result())
if sys.argv[1] == "kept":
    allocator.give_back(1)
with ThreadPoolExecutor(1) as thread:
    print(thread.submit(faults).result())
"""


class Libc:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def mallopt(self, what: int, most: int) -> None:
        self.asked.append(("mallopt", most))

    def malloc_trim(self, spare: int) -> None:
        self.asked.append(("malloc_trim", spare))


def test_free_memory_is_given_back_once_after_runs() -> None:
    libc = Libc()
    allocator = Allocator(libc)
    told = len(libc.asked)
    assert libc.asked and {what for what, _ in libc.asked} == {"mallopt"}
    for runs in (0, 1, 1, 1, 5):
        allocator.give_back(runs)
    assert libc.asked[told:] == [("malloc_trim", 0)] * 2


def test_another_allocator_is_left_alone() -> None:
    Allocator(object()).give_back(1)


glibc = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_info"), reason="glibc alone has such pools"
)


@glibc
@pytest.mark.parametrize("how", ["free", "kept"])
def test_threads_share_one_pool(tmp_path: Path, how: str) -> None:
    told = tmp_path / "pools.xml"
    command = [sys.executable, "-c", THREADS, str(told), how]
    subprocess.run(command, check=True, cwd=ROOT, timeout=120)
    pools = len(re.findall(r"<heap ", told.read_text()))
    assert (pools == 1) if how == "kept" else (pools > 1)


@glibc
@pytest.mark.parametrize("how", ["free", "kept"])
def test_a_large_tensor_that_is_made_again_touches_no_new_memory(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TENSORS, how], check=True, cwd=ROOT, timeout=120, capture_output=True
    )
    again, after = map(int, done.stdout.split())
    pages = 2**26 // resource.getpagesize()
    assert (again < pages // 10) if how == "kept" else (again > pages // 2)
    assert after > pages // 2  # once it was given back
