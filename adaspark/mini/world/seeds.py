"""Which scene seeds are for what: nothing that is measured was trained or tuned on.

Training draws below `HELD_OUT_SEED`. Above it every purpose has a range of its own: "test" for the
tests of training stages, "calibration" for choosing settings, "evaluation" for reported figures,
"clips" for the files of `adaspark world`.
"""

from __future__ import annotations

from typing import Literal

from adaspark.errors import UserError

Purpose = Literal["test", "calibration", "evaluation", "clips"]
PURPOSES: tuple[Purpose, ...] = ("test", "calibration", "evaluation", "clips")
HELD_OUT_SEED = 2**60  # seeds from here on are never drawn in training
RANGE = 2**50  # seeds of one purpose


def held_out_seed(purpose: Purpose, index: int) -> int:
    """The seed of the `index`-th scene of a purpose. Raises UserError outside its range."""
    if purpose not in PURPOSES:
        raise UserError(f"There are no seeds for {purpose!r}; choose one of {', '.join(PURPOSES)}.")
    if not 0 <= index < RANGE:
        raise UserError(f"A held-out scene has a number from 0 to {RANGE - 1}, got {index}.")
    return HELD_OUT_SEED + PURPOSES.index(purpose) * RANGE + index
