"""Independent pieces of CPU work, each whole on one thread.

An operator split over threads waits for the slowest of them; small operators by the thousand wait
all the time, and on a busy machine each wait costs a time slice. Whole pieces wait once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch

Piece = TypeVar("Piece")
Done = TypeVar("Done")


def run(work: Callable[[Piece], Done], pieces: Sequence[Piece], device: torch.device) -> list[Done]:
    """`[work(piece) for piece in pieces]`, on as many threads as torch may use.

    In this thread alone where there is one piece, gradients are wanted, or the tensors are not on
    the CPU.
    """
    threads = torch.get_num_threads()
    alone = threads == 1 or len(pieces) < 2 or device.type != "cpu"
    if alone or torch.is_grad_enabled():
        return [work(piece) for piece in pieces]
    inference = torch.is_inference_mode_enabled()

    def in_same_mode(piece: Piece) -> Done:
        with torch.inference_mode(inference), torch.no_grad():
            return work(piece)

    torch.set_num_threads(1)  # also what MKL uses, which is set for the whole process
    try:
        return list(_pool(threads).map(in_same_mode, pieces))
    finally:
        torch.set_num_threads(threads)


def together(work: Callable[[], object]) -> None:
    """Call `work` on as many threads as torch may use; the calls share it out among themselves.

    For work without torch operators that leaves the interpreter's lock. The threads are those of
    torch's own OpenMP where that can be reached: they spin for a while after each operator, and
    other threads would have to share the cores with them.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        work()
    elif (fork := _openmp()) is not None:
        _forked(fork, work, threads)
    else:
        others = [_pool(threads).submit(work) for _ in range(threads - 1)]
        work()
        for other in others:
            if not other.cancel():  # what has not begun by now would find nothing left
                other.result()


def _forked(fork: Any, work: Callable[[], object], threads: int) -> None:
    errors: list[BaseException] = []

    def call(_: object) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    called = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(call)  # lives until all threads are back
    fork(called, None, threads, 0)
    if errors:
        raise errors[0]


@cache
def _openmp() -> Any:
    """`GOMP_parallel` of the library that torch is linked with; None where it has another."""
    package = Path(torch.__file__).parent
    for path in (*package.glob("lib/libgomp*"), *package.parent.glob("torch.libs/libgomp*")):
        try:
            return ctypes.CDLL(str(path)).GOMP_parallel
        except (OSError, AttributeError):
            continue
    return None


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "adaspark", initializer=torch.set_num_threads, initargs=(1,))
