"""What a film shows, as the page asks for it: the very cubes that are on screen, and how."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from adaspark.errors import UserError
from viz.video.captioned import MOMENT, Shape
from viz.video.difference import LEGEND_LINES
from viz.video.lettering import can_write
from viz.video.overlay import Mode, write_captioned

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

MAX_CAPTION = 200
FORMATS = ("mp4", "gif")


@dataclass(frozen=True)
class FilmOrder:
    """A film: layer, kind of query and overlay; `shares` and `kept` of each cube as they are on
    screen, one byte each in base64 (empty: the kind's own, by the usual threshold); its caption,
    shape and format; caption and moment (`viz.video.captioned`) in the page's own language, used
    where there are letters for both.
    """

    layer: int
    kind: str = "question"
    mode: str = "spotlight"
    caption: str = ""
    shape: Shape = "clip"
    format: str = "mp4"
    shares: str = ""
    kept: str = ""
    own_caption: str = ""
    own_moment: str = ""

    @property
    def name(self) -> str:
        """Alike for alike films."""
        return sha256(repr(self).encode()).hexdigest()[:16]

    def check(self, view: Any) -> None:
        """Raises UserError if the run, whose TraceView is given, has no such layer, kind of query,
        overlay or cubes.
        """
        layers = len(view.trace.computed_pairs)
        known = self.kind in view.kinds and self.mode in get_args(Mode)
        if not 0 <= self.layer < layers or not known:
            raise UserError(
                f"This run has no {self.mode} of {self.kind} in layer {self.layer} to draw."
            )
        drawn = self._drawn()
        if drawn and {len(values) for values in drawn} != {len(view.trace.bounds)}:
            raise UserError("The page's cubes are not this run's; reload the page.")

    def write(self, trace: Trace, video_path: str, out: str) -> None:
        """Write the film of a run that was checked."""
        caption, moment = self.words()
        write_captioned(
            trace,
            video_path,
            out,
            layer=self.layer,
            kind=self.kind,
            mode=self.mode,
            drawn=self._drawn(),
            caption=caption,
            moment=moment,
            shape=self.shape,
            as_gif=self.format == "gif",
        )

    def words(self) -> tuple[str, str]:
        """What is written: the caption, and the line that changes."""
        own = self.own_caption, self.own_moment
        if all(own) and can_write("".join(own)):
            return own
        return self.caption or f"Layer {self.layer}, {self.mode}, by the {self.kind}", MOMENT

    def _drawn(self) -> tuple[NDArray[np.floating], NDArray[np.bool_]] | None:
        if not self.shares:
            return None
        shares, kept = (np.frombuffer(_bytes(text), np.uint8) for text in (self.shares, self.kept))
        return shares.astype(np.float32) / 255, kept.astype(bool)


def film_order(query: Mapping[str, str], layer: int) -> FilmOrder:
    """What a page asks for by its query. Raises UserError if it cannot be."""
    shape: Any = query.get("shape", "clip")
    form = query.get("format", "mp4")
    if shape not in get_args(Shape) or form not in FORMATS:
        raise UserError(f"There is no film of shape {shape!r} in format {form!r}.")
    return FilmOrder(
        layer,
        query.get("kind", "question"),
        query.get("mode", "spotlight"),
        query.get("caption", "")[:MAX_CAPTION],
        shape,
        form,
        query.get("shares", ""),
        query.get("kept", ""),
        query.get("own_caption", "")[:MAX_CAPTION],
        query.get("own_moment", "")[:MAX_CAPTION],
    )


def difference_legend(text: str) -> list[str]:
    """The lines of a difference's legend in the page's language; none where there are not as many
    as it has, or no letters for them.
    """
    lines = [line[:MAX_CAPTION] for line in text.split("\n")]
    return lines if len(lines) == LEGEND_LINES and can_write(text) else []


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise UserError("The film was asked for in a broken address; reload the page.") from error
