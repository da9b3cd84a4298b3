"""Vectors of fp32 inside numba: what LLVM's own vectoriser does not find, or finds half as wide.

The kernels here compute on `Lanes`, one register of this machine's widest kind, and multiply
matrices by blocks that stay in registers. Ours; the blocking is that of any BLAS.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

_features = binding.get_host_cpu_features()
LANES = 16 if _features.get("avx512f") else 8 if _features.get("avx2") else 4
"""fp32 numbers in a register."""
WIDE = LANES * (2 if LANES == 8 else 4)
"""Columns of a wide block: AVX2 has half as many registers as the others."""

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR, INTEGERS = ir.VectorType(_F32, LANES), ir.VectorType(_I32, LANES)


class _LanesType(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name=f"Lanes{LANES}")


_lanes = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


def operation(build: Callable[..., Any]) -> Any:
    """A numba function of vectors to a vector, from how its instructions are built."""

    def definition(typingctx: Any, *args: Any) -> Any:
        return _lanes(*args), lambda context, builder, signature, values: build(builder, *values)

    names = ["typingctx", *list(inspect.signature(build).parameters)[1:]]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in names]
    definition.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    definition.__name__, definition.__doc__ = build.__name__, build.__doc__
    return intrinsic(definition)


def call_llvm(builder: Any, name: str, *args: Any) -> Any:
    """Call LLVM's own function `name` on vectors."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * len(args))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
    return builder.call(function, args)


def constant(value: float) -> Any:
    """A number in every lane, known when it is compiled."""
    return ir.Constant(VECTOR, [value] * LANES)


@operation
def fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, rounded once."""
    return call_llvm(builder, "fma", x, y, z)


@operation
def pick(builder: Any, x: Any, limit: Any, yes: Any, no: Any) -> Any:
    """`yes` in lanes with x >= limit, `no` in the others."""
    return builder.select(builder.fcmp_ordered(">=", x, limit), yes, no)


@operation
def root(builder: Any, x: Any) -> Any:
    """Square root."""
    return call_llvm(builder, "sqrt", x)


_add = operation(lambda builder, x, y: builder.fadd(x, y))
_subtract = operation(lambda builder, x, y: builder.fsub(x, y))
_multiply = operation(lambda builder, x, y: builder.fmul(x, y))
_divide = operation(lambda builder, x, y: builder.fdiv(x, y))


def _operator(symbol: Callable[..., Any], function: Any) -> None:
    def implementation(x, y):  # bare names: numba compares the signatures
        return (lambda x, y: function(x, y)) if x == y == _lanes else None

    overload(symbol)(implementation)


_operator(operator.add, _add)
_operator(operator.sub, _subtract)
_operator(operator.mul, _multiply)
_operator(operator.truediv, _divide)


@intrinsic
def splat(typingctx: Any, value: Any) -> Any:
    """One fp32 number in every lane."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0])

    return _lanes(types.float32), build


def _splat(builder: Any, value: Any) -> Any:
    empty = ir.Constant(VECTOR, ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, empty, ir.Constant(INTEGERS, [0] * LANES))


def _reduction(name: str, flags: tuple[str, ...], start: tuple[float, ...]) -> Any:
    @intrinsic
    def reduce(typingctx: Any, x: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            first = [ir.Constant(_F32, value) for value in start]
            kind = ir.FunctionType(_F32, [_F32] * len(first) + [VECTOR])
            symbol = f"llvm.vector.reduce.{name}.v{LANES}f32"
            function = cgutils.get_or_insert_function(builder.module, kind, symbol)
            return builder.call(function, [*first, *args], fastmath=flags)

        return types.float32(x), build

    return reduce


largest = _reduction("fmax", ("nnan", "nsz"), ())
total = _reduction("fadd", ("reassoc",), (0.0,))


def element(builder: Any, context: Any, kind: Any, array: Any, index: Any) -> Any:
    """Pointer to element `index` of a contiguous array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _load(builder: Any, pointer: Any) -> Any:
    value = builder.load(builder.bitcast(pointer, VECTOR.as_pointer()))
    value.align = 4
    return value


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, VECTOR.as_pointer())).align = 4


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """LANES numbers of a contiguous fp32 array, from `index` on."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, element(builder, context, signature.args[0], *args))

    return _lanes(array, types.int64), build


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write `value` to a contiguous fp32 array, from `index` on."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _store(builder, args[2], element(builder, context, signature.args[0], args[0], args[1]))
        return context.get_dummy_value()

    return types.void(array, types.int64, _lanes), build


@intrinsic
def store_flags(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write zeros and ones to a contiguous uint8 array, from `index` on."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        flags = builder.fptoui(args[2], ir.VectorType(ir.IntType(8), LANES))
        pointer = element(builder, context, signature.args[0], args[0], args[1])
        builder.store(flags, builder.bitcast(pointer, flags.type.as_pointer())).align = 1
        return context.get_dummy_value()

    return types.void(array, types.int64, _lanes), build


def block(rows: int, columns: int) -> Any:
    """A function that adds a product of matrices to `rows` x `columns` numbers held in registers.

    `f(a, a_rows, b, b_start, stride, depth, c, c_rows, first, column)`: for each i in
    [first, first + rows), c[c_rows[i] + column + j] += sum over k < depth of
    a[a_rows[i] + k] * b[b_start + k * stride + column + j]. The arrays are flat and fp32, `a_rows`
    and `c_rows` int64.
    """
    vectors = columns // LANES

    @intrinsic
    def multiply_add(
        typingctx: Any,
        a: Any,
        a_rows: Any,
        b: Any,
        b_start: Any,
        stride: Any,
        depth: Any,
        c: Any,
        c_rows: Any,
        first: Any,
        column: Any,
    ) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args

            def at(array: int, index: Any) -> Any:
                return element(builder, context, kinds[array], args[array], index)

            def step(pointer: Any, vector: int) -> Any:
                return builder.gep(pointer, [ir.Constant(_I64, vector * LANES)])

            first, column = args[8], args[9]
            index = [builder.add(first, ir.Constant(_I64, row)) for row in range(rows)]
            a_from_row = [at(0, builder.load(at(1, i))) for i in index]
            c_from_row = [at(6, builder.add(builder.load(at(7, i)), column)) for i in index]
            sums = [[cgutils.alloca_once(builder, VECTOR) for _ in range(vectors)] for _ in index]
            for held, pointer in zip(sums, c_from_row, strict=True):
                for v, place in enumerate(held):
                    builder.store(_load(builder, step(pointer, v)), place)
            b_first = builder.add(args[3], column)
            with cgutils.for_range(builder, args[5]) as loop:
                b_row = at(2, builder.add(b_first, builder.mul(loop.index, args[4])))
                right = [_load(builder, step(b_row, v)) for v in range(vectors)]
                for held, pointer in zip(sums, a_from_row, strict=True):
                    left = _splat(builder, builder.load(builder.gep(pointer, [loop.index])))
                    for place, factor in zip(held, right, strict=True):
                        builder.store(
                            call_llvm(builder, "fma", left, factor, builder.load(place)), place
                        )
            for held, pointer in zip(sums, c_from_row, strict=True):
                for v, place in enumerate(held):
                    _store(builder, builder.load(place), step(pointer, v))
            return context.get_dummy_value()

        i64 = types.int64
        return types.void(a, a_rows, b, i64, i64, i64, c, c_rows, i64, i64), build

    return multiply_add
