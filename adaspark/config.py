"""How sparse, and in which cubes: the one configuration of the method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from adaspark.errors import UserError

Cube = tuple[int, int, int]


@dataclass(frozen=True)
class AdaSparkConfig:
    """The dials of AdaSpark. The defaults are ours: the paper's values are not public.

    `cube` is (t, h, w) in merged tokens. `attn_top_p` is the share of attention mass that the
    chosen cubes must reach (0 keeps only text and the own cube, 1 keeps everything).
    `ffn_top_p` is the share of token importance that passes through the FFN in each cube (0 keeps
    one token a cube). Raises UserError where a value cannot be used.
    """

    cube: Cube = (4, 4, 4)
    attn_top_p: float = 0.9
    ffn_top_p: float = 0.7

    def __post_init__(self) -> None:
        object.__setattr__(self, "cube", _checked_cube(self.cube))
        for name in ("attn_top_p", "ffn_top_p"):
            object.__setattr__(self, name, _checked_share(name, getattr(self, name)))

    @property
    def is_dense(self) -> bool:
        """Whether nothing is dropped: both thresholds are 1."""
        return self.attn_top_p == 1.0 and self.ffn_top_p == 1.0

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {**asdict(self), "cube": list(self.cube)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AdaSparkConfig:
        """The inverse of `to_dict`; an unknown key is an error."""
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise UserError(f"Unknown setting {unknown[0]!r}; the settings are {known}.")
        return cls(**values)


def _checked_share(name: str, value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= 1:
        raise UserError(f"{name} must be a number from 0 to 1, got {value!r}.")
    return float(value)


def _checked_cube(value: Any) -> Cube:
    sides = tuple(value) if isinstance(value, list | tuple) else ()
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 3 or not whole or min(sides) < 1:
        raise UserError(
            f"A cube is three whole numbers of at least 1 (time, height, width), such as 4,4,4; "
            f"got {value!r}."
        )
    return sides[0], sides[1], sides[2]


DENSE = AdaSparkConfig(attn_top_p=1.0, ffn_top_p=1.0)
