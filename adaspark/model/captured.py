"""A computation on buffers that never move, replayed as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Captured:
    """`compute`, run as it is the first time, which compiles; captured the second time.

    It must read and write the same tensors in every call and never wait for the device. On a CPU,
    and where it cannot be captured (`failed` is then told why, once), it just runs.
    """

    def __init__(
        self,
        compute: Callable[[], Tensor],
        device: torch.device,
        failed: Callable[[str], object],
    ) -> None:
        self._compute, self._failed = compute, failed
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._output: Tensor | None = None
        self._calls = 0

    def __call__(self) -> Tensor:
        """What `compute` returns: of a graph, always the same tensor."""
        self._calls += 1
        if self._stream is not None and self._calls == 2:
            self._capture(self._stream)
        if self._graph is None or self._output is None:
            return self._compute()
        self._graph.replay()
        return self._output

    def _capture(self, stream: torch.cuda.Stream) -> None:
        graph = torch.cuda.CUDAGraph()
        here = torch.cuda.current_stream(stream.device)
        stream.wait_stream(here)
        try:
            # Not `torch.cuda.graph`: that empties the allocator's cache, which the next prefill
            # would have to fill anew.
            with torch.cuda.stream(stream):
                graph.capture_begin(capture_error_mode="thread_local")
                try:
                    self._output = self._compute()
                finally:
                    graph.capture_end()
            self._graph = graph
        except RuntimeError as error:
            self._failed(str(error).splitlines()[0])
        here.wait_stream(stream)
