"""Whole numbers of a launch.

Triton's own functions of these names, which kernels may call too, take as long on the host as a
small launch; a prompt needs hundreds.
"""

from __future__ import annotations


def cdiv(count: int, size: int) -> int:
    """How many pieces of `size` hold `count`."""
    return -(-count // size)


def next_power_of_2(count: int) -> int:
    """The least power of two that is `count` at least, 1 at least."""
    return 1 << max(count - 1, 0).bit_length()
