"""How a stored picture becomes upright: rotation and mirroring."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from adaspark.video.rgb import Picture


@dataclass(frozen=True)
class Turn:
    """How a stored picture becomes upright: transposed first, then flipped."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def clockwise_degrees(self) -> int:
        """0, 90, 180 or 270; a mirrored picture counts as the turn without the mirror."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def upright(self, picture: Picture) -> Picture:
        """Turn a picture [H, W, 3]."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        step_y, step_x = (-1 if flip else 1 for flip in (self.flip_y, self.flip_x))
        return np.ascontiguousarray(picture[::step_y, ::step_x])


def turn_of(frame: Any) -> Turn:
    """Return the turn that a frame's display matrix asks for, to the nearest quarter."""
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return Turn()
    # x' = a x + c y and y' = b x + d y, in the upright picture's coordinates.
    a, b, _, c, d, *_ = np.frombuffer(bytes(side_data), dtype=np.int32).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(transpose=False, flip_x=a < 0, flip_y=d < 0)
    return Turn(transpose=True, flip_x=c < 0, flip_y=b < 0)
