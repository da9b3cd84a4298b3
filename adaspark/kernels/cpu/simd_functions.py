"""Functions of vectors of fp32 that LLVM has none for."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from adaspark.kernels.cpu.simd import INTEGERS, LANES, VECTOR, call_llvm, constant, operation

_LOG_TERMS = (
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)


def _whole(value: int) -> Any:
    return ir.Constant(INTEGERS, [value] * LANES)


@operation
def exp(builder: Any, x: Any) -> Any:
    """e^x of x <= 0 within 3e-7, relative; 0 below -87. (Coefficients as XNNPACK's.)"""
    power = call_llvm(builder, "rint", builder.fmul(x, constant(1.4426950408889634)))
    rest = call_llvm(builder, "fma", power, constant(-0.693359375), x)
    rest = call_llvm(builder, "fma", power, constant(2.12194440e-4), rest)
    series = constant(0.00828929059207)
    for term in (0.0418978221714, 0.166676521301, 0.499991506338, 0.999999701977, 1.0):
        series = call_llvm(builder, "fma", series, rest, constant(term))
    exponent = builder.add(builder.fptosi(power, INTEGERS), _whole(127))
    scale = builder.bitcast(builder.shl(exponent, _whole(23)), VECTOR)
    tiny = builder.fcmp_ordered("<", x, constant(-87.0))
    return builder.select(tiny, constant(0.0), builder.fmul(series, scale))


@operation
def log(builder: Any, x: Any) -> Any:
    """Natural logarithm of x >= 1 within 2e-7, and of 1 exactly. (Coefficients as Cephes'.)"""
    bits = builder.bitcast(x, INTEGERS)
    above = builder.sub(bits, _whole(0x3F3504F3))  # the root of 1/2
    exponent = builder.ashr(above, _whole(23))
    fraction = builder.sub(bits, builder.shl(exponent, _whole(23)))
    rest = builder.fsub(builder.bitcast(fraction, VECTOR), constant(1.0))
    series = constant(7.0376836292e-2)
    for term in _LOG_TERMS:
        series = call_llvm(builder, "fma", series, rest, constant(term))
    power, square = builder.sitofp(exponent, VECTOR), builder.fmul(rest, rest)
    series = builder.fmul(builder.fmul(series, rest), square)
    series = call_llvm(builder, "fma", power, constant(-2.12194440e-4), series)
    rest = builder.fadd(rest, call_llvm(builder, "fma", square, constant(-0.5), series))
    return call_llvm(builder, "fma", power, constant(0.693359375), rest)
