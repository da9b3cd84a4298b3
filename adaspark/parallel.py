"""Independent pieces of CPU work, each whole on one thread.

An operator split over threads waits for the slowest of them; small operators by the thousand wait
all the time, and on a busy machine each wait costs a time slice. Whole pieces wait once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

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
    """Call `work` once on each of as many threads as torch may use; it shares itself out.

    For work without torch operators that leaves the interpreter's lock.
    """
    threads = torch.get_num_threads()
    others = [_pool(threads).submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "adaspark", initializer=torch.set_num_threads, initargs=(1,))
