"""Threads that answer share few pools of memory, and what is free in them is given back."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from app.service.allocator import MOST_POOLS, Allocator

THREADS = """
import ctypes, sys, threading
from app.service.allocator import Allocator

libc = ctypes.CDLL(None)
if sys.argv[2] == "bounded":
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
    assert libc.asked == [("mallopt", MOST_POOLS)]
    for runs in (0, 1, 1, 1, 5):
        allocator.give_back(runs)
    assert libc.asked[1:] == [("malloc_trim", 0)] * 2


def test_another_allocator_is_left_alone() -> None:
    Allocator(object()).give_back(1)


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_info"), reason="glibc alone has such pools"
)
@pytest.mark.parametrize("how", ["free", "bounded"])
def test_many_threads_share_few_pools(tmp_path: Path, how: str) -> None:
    told = tmp_path / "pools.xml"
    command = [sys.executable, "-c", THREADS, str(told), how]
    subprocess.run(command, check=True, cwd=ROOT, timeout=120)
    pools = len(re.findall(r"<heap ", told.read_text()))
    assert (pools <= MOST_POOLS) if how == "bounded" else (pools > MOST_POOLS)
