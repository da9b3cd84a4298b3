"""What evaluations compare: conditions, each one way of answering."""

from __future__ import annotations

from dataclasses import dataclass

from adaspark.method.config import DENSE, AdaSparkConfig

CONTROLS = ("blind", "shuffled")


@dataclass(frozen=True)
class Condition:
    """One way of answering.

    `runs`, a number of tokens, replaces cubes by runs of that length in raster order; `oracle`
    weighs cubes by their dense attention mass. Baselines from outside the method: `frames` is the
    share of frames shown, evenly sampled; `prune` is the share of video tokens kept after the
    vision tower, those of largest norm (nothing else is dropped). Controls: `blind` shows grey
    pictures, `shuffled` the frames in a random order.

    Raises ValueError if these do not go together.
    """

    name: str
    config: AdaSparkConfig = DENSE
    runs: int | None = None
    oracle: bool = False
    frames: float | None = None
    prune: float | None = None
    control: str | None = None

    def __post_init__(self) -> None:
        if self.prune is not None and (not self.config.is_dense or self.frames is not None):
            raise ValueError("Pruning is a baseline of its own: it takes DENSE and all frames.")
        if self.oracle and self.config.attn_rule not in ("top_p", "top_k"):
            raise ValueError("An oracle uses the rule top_p or top_k.")
        if self.control is not None and self.control not in CONTROLS:
            raise ValueError(f"A control is one of {', '.join(CONTROLS)}, not {self.control!r}.")
        for share in (self.frames, self.prune):
            if share is not None and not 0 < share <= 1:
                raise ValueError(f"A share is above 0 and at most 1, not {share!r}.")


DENSE_CONDITION = Condition("dense")
