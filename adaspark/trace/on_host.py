"""Arrays of what a device holds, through memory that it writes by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def on_host(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """The same as arrays of their own; a device is waited for once, not for each.

    Pinned memory, which is dear, is given back: the arrays are copies of it.
    """
    copies = [tensor.detach().to("cpu", non_blocking=True) for tensor in tensors]
    for device in {tensor.device for tensor in tensors if tensor.is_cuda}:
        torch.cuda.current_stream(device).synchronize()
    return [
        copy.numpy().copy() if tensor.is_cuda else copy.numpy()
        for copy, tensor in zip(copies, tensors, strict=True)
    ]
