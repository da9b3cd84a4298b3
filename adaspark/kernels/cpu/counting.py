"""Whole numbers inside numba: rows as the bits of a word, and what threads share."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from adaspark.kernels.cpu.simd import WIDE, element

_I32, _I64 = ir.IntType(32), ir.IntType(64)


@intrinsic
def set_flags(typingctx: Any, array: Any, index: Any) -> Any:
    """Which of WIDE bytes of a contiguous uint8 array, from `index` on, are not 0: bit i of the
    uint64 is byte i.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bytes_ = ir.VectorType(ir.IntType(8), WIDE)
        pointer = element(builder, context, signature.args[0], *args)
        loaded = builder.load(builder.bitcast(pointer, bytes_.as_pointer()))
        loaded.align = 1
        is_set = builder.icmp_unsigned("!=", loaded, ir.Constant(bytes_, [0] * WIDE))
        mask = builder.bitcast(is_set, ir.IntType(WIDE))
        return mask if WIDE == 64 else builder.zext(mask, _I64)

    return types.uint64(array, types.int64), build


@intrinsic
def lowest_bit(typingctx: Any, mask: Any) -> Any:
    """Number of the lowest bit that is set in a uint64."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), build


@intrinsic
def take(typingctx: Any, counter: Any) -> Any:
    """The next number of a counter that threads share, int64 [1]: each number once."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element(builder, context, signature.args[0], args[0], ir.Constant(_I64, 0))
        return builder.atomic_rmw("add", pointer, ir.Constant(_I64, 1), "monotonic")

    return types.int64(counter), build


@intrinsic
def ones(typingctx: Any, mask: Any) -> Any:
    """How many bits are set in a uint64."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.trunc(builder.ctpop(args[0]), ir.IntType(8))

    return types.uint8(types.uint64), build


@intrinsic
def _exchange(typingctx: Any, array: Any, index: Any) -> Any:
    """Put 1 into an int32 element that threads share, before all that follows; what was there."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element(builder, context, signature.args[0], *args)
        return builder.atomic_rmw("xchg", pointer, ir.Constant(_I32, 1), "acquire")

    return types.int32(array, types.int64), build


@intrinsic
def unlock(typingctx: Any, array: Any, index: Any) -> Any:
    """Let another thread have a row, with all that was written before."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element(builder, context, signature.args[0], *args)
        builder.store_atomic(ir.Constant(_I32, 0), pointer, "release", 4)
        return context.get_dummy_value()

    return types.void(array, types.int64), build


@njit(nogil=True)
def lock(locks, row):
    """Have a row alone, of int32 [n] that are 0 at first; nobody keeps one for long."""
    while _exchange(locks, row):
        pass
