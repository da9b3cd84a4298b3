"""Arrays as small JSON values: {"dtype", "shape", "data"}, base64, little-endian.

dtype is "u1", "u2", "u4" (packed, first value in the highest bits), "u8" or "u16".
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(values: NDArray[Any], bits: int) -> dict[str, Any]:
    """Whole numbers below 2**bits (bits 1, 2, 4, 8 or 16) as a JSON-ready value."""
    flat = np.ascontiguousarray(values).reshape(-1)
    data = flat.astype("<u2").tobytes() if bits == 16 else _squeezed(flat, bits).tobytes()
    text = base64.b64encode(data).decode("ascii")
    return {"dtype": f"u{bits}", "shape": list(values.shape), "data": text}


def packed_shares(shares: NDArray[Any], bits: int = 8) -> dict[str, Any]:
    """Shares in [0, 1] on 2**bits levels. A share above 0 never becomes 0."""
    top = 2**bits - 1
    exact = shares.astype(np.float64) * top
    levels = np.where(exact > 0, np.maximum(np.round(exact), 1), 0)
    return packed(levels.astype(np.uint8), bits)


def finite_or_none(value: float, digits: int | None = None) -> float | None:
    """The number, rounded to `digits` decimals if given; None for NaN and infinity, which JSON
    does not have.
    """
    if not math.isfinite(value):
        return None
    return float(value) if digits is None else round(float(value), digits)


def unpacked(value: dict[str, Any]) -> NDArray[np.integer]:
    """The inverse of `packed`: whole numbers in their shape."""
    raw = base64.b64decode(value["data"])
    bits = int(value["dtype"][1:])
    count = int(np.prod(value["shape"], dtype=np.int64))
    if bits == 16:
        return np.frombuffer(raw, "<u2").reshape(value["shape"])
    ones = np.unpackbits(np.frombuffer(raw, np.uint8), count=count * bits).reshape(-1, bits)
    weights = 1 << np.arange(bits - 1, -1, -1)
    values: NDArray[np.integer] = (ones * weights).sum(-1).reshape(value["shape"])
    return values


def packed_size(count: int, bits: int) -> int:
    """Bytes of base64 that `count` values take."""
    return 4 * -(-count * bits // 24)


def _squeezed(flat: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    codes = flat.astype(np.uint8)
    if bits == 8:
        return codes
    ones = np.unpackbits(codes[:, None], axis=1)[:, 8 - bits :]
    return np.packbits(ones.reshape(-1))
