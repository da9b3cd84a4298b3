"""How words are drawn, where they are not simply the likeliest."""

from __future__ import annotations

from dataclasses import dataclass

from adaspark.errors import UserError


@dataclass(frozen=True)
class Drawing:
    """How words are drawn at random. None takes the generation config's own `temperature`."""

    seed: int = 0
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 < self.temperature <= 100:
            raise UserError(
                f"temperature must be above 0 and at most 100, got {self.temperature:g}; the "
                f"likeliest words are written where nothing is sampled."
            )
        if not 0 <= self.seed < 2**63:
            raise UserError(f"seed must be a whole number from 0, got {self.seed}.")
