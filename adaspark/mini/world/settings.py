"""What SparkWorld scenes are drawn from: lengths, sizes, objects, and the share of each effect."""

from __future__ import annotations

from dataclasses import dataclass, replace

from adaspark.errors import UserError

EFFECTS = (
    "styled",
    "camera",
    "distractors",
    "occluder",
    "pale",
    "striped",
    "turning",
    "lookalikes",
)


@dataclass(frozen=True)
class SceneSettings:
    """What scenes are drawn from.

    `frames` at `fps` give the clip's length, `size` is (H, W) in pixels, `objects` an inclusive
    range and `brief_secs` the range of a short event's length; `moving` is the share of moving
    objects and `striped` that of striped ones. `needle` is (depth, seconds): one brief event,
    unique in shape and colour, whose middle lies at that share of the clip, or as near as it fits.

    The rest are shares of scenes: `repeats` with a colour or a shape that comes more than once,
    `styled` with another backdrop than the room, `camera` with a swaying camera, `distractors`
    with one to three of them, `occluder` with a pillar, `pale` with one pale object (the needle
    if there is one), `turning` with an object that changes its colour, `lookalikes` with two
    objects of one shape, one striped and one solid, in two colours. The last three effects come
    only in scenes that have room for them.

    Raises UserError for a share or a depth outside 0 to 1 and for a needle without length.
    """

    frames: int = 16
    size: tuple[int, int] = (112, 112)
    objects: tuple[int, int] = (2, 3)
    repeats: float = 0.25
    brief_secs: tuple[float, float] = (1.0, 3.0)
    moving: float = 0.5
    fps: float = 4.0
    needle: tuple[float, float] | None = None
    styled: float = 0.6
    camera: float = 0.3
    distractors: float = 0.3
    occluder: float = 0.2
    pale: float = 0.15
    striped: float = 0.15
    turning: float = 0.1
    lookalikes: float = 0.1

    def __post_init__(self) -> None:
        for name in ("repeats", "moving", *EFFECTS):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise UserError(f"{name} is a share from 0 to 1, got {share}.")
        if self.needle and not (0 <= self.needle[0] <= 1 and self.needle[1] > 0):
            raise UserError(
                "A needle needs a depth from 0 (start) to 1 (end) and a length above 0 seconds, "
                f"got {self.needle}."
            )

    @property
    def secs(self) -> float:
        """Length of the clip in seconds."""
        return self.frames / self.fps

    def with_effects(self, strength: float) -> SceneSettings:
        """The same settings with every effect's share times `strength`, at most 1."""
        shares = {name: min(1.0, strength * getattr(self, name)) for name in EFFECTS}
        return replace(self, **shares)

    def plain(self) -> SceneSettings:
        """The same settings without effects: the room, a still camera, solid objects alone."""
        return self.with_effects(0.0)
