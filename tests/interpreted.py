"""The GPU kernels wherever tests run: compiled on a CUDA device, else interpreted on the CPU.

`conftest.py` asks Triton to interpret; this makes it compute bf16 as a device does, and faster.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

triton = pytest.importorskip("triton", reason="Triton is not installed: pip install triton")
import triton.language as tl  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def _mend_bf16(builder: Any) -> None:
    """The interpreter truncates to bf16, and multiplies its bits as whole numbers: as devices do
    is rounded to the nearest, and widened exactly."""
    product, cast = builder.create_dot, builder.cast_impl

    def widened(tensor: Any) -> Any:
        if tensor.dtype.scalar != tl.bfloat16:
            return tensor
        return type(tensor)((tensor.data.astype(np.uint32) << 16).view(np.float32), tl.float32)

    def create_dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return product(self, widened(a), widened(b), *rest)

    def cast_impl(self: Any, tensor: Any, target: Any) -> Any:
        pair = (tensor.dtype.scalar, target.scalar)
        if pair == (tl.bfloat16, tl.float32):
            return widened(tensor)
        if pair == (tl.float32, tl.bfloat16):
            rounded = torch.from_numpy(np.ascontiguousarray(tensor.data)).bfloat16()
            return type(tensor)(rounded.view(torch.int16).numpy().view(np.uint16), tl.bfloat16)
        return cast(self, tensor, target)

    builder.create_dot = create_dot
    builder.cast_impl = builder.create_fp_ext = builder.create_fp_trunc = cast_impl


def _mend_scalars(module: Any) -> None:
    """Before Triton 3.9 a scalar, which is an array of one, was no whole number to numpy >= 2.4."""
    usual = module._patch_lang_tensor

    def patch(tensor: Any, scope: Any) -> None:
        usual(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    module._patch_lang_tensor = patch


def _mend_calls(module: Any) -> None:
    """The interpreter puts its own functions into Triton's language at a launch, and once more at
    every call of a device function, which is a third of its time: the launch puts all of them."""
    language = SimpleNamespace(__globals__={"language": tl, "core": tl.core})
    usual = module._patch_lang
    module._patch_lang = lambda _: usual(language)

    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        return self.rewrite()(*arguments, **named)

    module.InterpretedFunction.__call__ = call


if DEVICE == "cpu":
    from triton.runtime import interpreter

    _mend_bf16(interpreter.InterpreterBuilder)
    _mend_scalars(interpreter)
    _mend_calls(interpreter)
