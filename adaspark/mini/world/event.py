"""One object of a SparkWorld scene, from its appearing to its end.

Places are in scene coordinates: shares of the frame's width and height, (0, 0) at the top left.
"""

from __future__ import annotations

from dataclasses import dataclass

from adaspark.mini.world.vocabulary import RGB, STEPS


@dataclass(frozen=True)
class Event:
    """One object from its appearing to its end.

    `x` and `y` are the centre at `start_secs` and `path` the distance travelled until `end_secs`,
    in shares of the frame's width and height; `radius` is in shares of the shorter side. `color`
    holds until `turn_secs`, `turns` after it; both are None if the colour stays. A `pale`
    object is blended into what lies behind it.
    """

    shape: str
    color: str
    rgb: RGB
    start_secs: float
    end_secs: float
    x: float
    y: float
    direction: str
    path: float
    radius: float
    angle: float
    fill: str = "solid"
    pale: bool = False
    turns: str | None = None
    turn_secs: float | None = None
    turn_rgb: RGB | None = None

    def place(self, secs: float) -> tuple[float, float]:
        """Centre at `secs`, in scene coordinates."""
        done = (secs - self.start_secs) / (self.end_secs - self.start_secs)
        step = STEPS[self.direction]
        return self.x + step[0] * self.path * done, self.y + step[1] * self.path * done

    def visible(self, secs: float) -> bool:
        """Whether the object is there at `secs`, hidden or not."""
        return self.start_secs <= secs < self.end_secs

    def color_at(self, secs: float) -> str:
        """Colour at `secs`."""
        if self.turns is None or self.turn_secs is None or secs < self.turn_secs:
            return self.color
        return self.turns
